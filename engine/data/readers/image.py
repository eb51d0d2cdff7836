"""Pictures: PNG, JPEG, BMP and WebP, through Pillow."""

from __future__ import annotations

import io
import re
import threading
import warnings
import zlib
from os import PathLike
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from engine import arguments
from engine.data.readers.files import as_path, in_one_line, read_bytes
from engine.errors import ConfigurationError, FormatError, shown
from engine.typing import Array

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
"""What is opened at all; Pillow knows dozens more, each with a parser that might be attacked."""

MAX_PIXELS = 89_478_485
"""Pillow's own warning limit: a quarter of a GiB of RGB."""

Channels = Literal[1, 3]

FAINT = 0.1
"""Ink that differs from the background by less than this share of white cannot be seen."""

# What begins a new part of a JPEG: within a scan ff is followed by 0 or a restart mark, and any
# number of ff may stand before a marker.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class Picture(NamedTuple):
    """A decoded picture.

    Parameters
    ----------
    values : float32 array, shape (channels, h, w)
        In [0, 1].
    is_grey : bool
        Whether the file holds no colours.
    is_on_black : bool
        Whether transparent parts became black, because the ink is white.
    """

    values: Array
    is_grey: bool
    is_on_black: bool


# warnings.catch_warnings changes a filter list of the whole process, so one thread at a time.
_LOCK = threading.Lock()


def read_image(
    path: str | PathLike[str],
    channels: Channels | None = None,
    size: tuple[int, int] | None = None,
) -> Array:
    """Read a picture as the networks take it.

    Transparent parts become white, or black where the ink itself is white. A photograph is turned
    upright as its camera noted.

    Parameters
    ----------
    path : path
        PNG, JPEG, BMP or WebP; the content decides, not the file's name.
    channels : {1, 3}, optional
        Grey or RGB; by default what the file holds.
    size : (int, int), optional
        Height and width in pixels to resample to (bilinear); by default the picture's own.

    Returns
    -------
    float32 array, shape (channels, h, w)
        In [0, 1].

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read.
    FormatError
        If it is no picture in one of these formats, truncated, damaged, or has more than about 90
        million pixels.
    ConfigurationError
        If `channels` or `size` is out of range.
    """
    channels, size = checked_settings("read_image", channels, size)
    place = as_path(path, "read_image path")
    return parse_image(read_bytes(place), str(place), channels, size)


def parse_image(
    content: bytes,
    name: str,
    channels: Channels | None = None,
    size: tuple[int, int] | None = None,
) -> Array:
    """Return the picture in the bytes of an image file.

    Parameters
    ----------
    content : bytes
    name : str
        Where they come from, for the errors.
    channels, size
        As `read_image`.

    Returns
    -------
    float32 array, shape (channels, h, w)
        In [0, 1].

    Raises
    ------
    FormatError
        As `read_image`.
    """
    return decode(content, name, channels, size).values


def decode(
    content: bytes,
    name: str,
    channels: Channels | None = None,
    size: tuple[int, int] | None = None,
) -> Picture:
    """Return the picture as `parse_image`, with what its file says about it."""
    check_complete(content, name)
    try:
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities in metadata, which are not used
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
                opened.load()
                is_grey = is_grey_mode(opened.mode)
                picture, is_on_black = _plain(_upright(opened), channels)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise FormatError(f"{name}: {in_one_line(error)}; scale the picture down") from error
    except UnidentifiedImageError as error:
        raise FormatError(f"{name}: expected a PNG, JPEG, BMP or WebP picture") from error
    # Pillow answers damaged files with a dozen types (SyntaxError, struct.error, KeyError ...).
    except Exception as error:
        raise FormatError(f"{name}: the picture is damaged ({in_one_line(error)})") from error
    if size is not None:
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    values = np.asarray(picture)
    top = np.float32(65535 if values.dtype == np.uint16 else 255)
    scaled: Array = np.divide(values, top, dtype=np.float32)
    planes = scaled[np.newaxis] if scaled.ndim == 2 else scaled.transpose(2, 0, 1)
    return Picture(np.ascontiguousarray(planes), is_grey, is_on_black)


def holds_colours(content: bytes) -> bool | None:
    """Return whether a picture is stored with colours, by its header; None if it is no picture."""
    try:
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
                return not is_grey_mode(opened.mode)
    except Exception:  # whoever decodes it will say what is wrong
        return None


def is_grey_mode(mode: str) -> bool:
    """Return whether Pillow's mode has no colours."""
    return mode in ("1", "L", "LA", "La") or mode.startswith("I")


def checked_settings(
    name: str, channels: Any, size: Any
) -> tuple[Channels | None, tuple[int, int] | None]:
    """Return what pictures can be read with, as plain Python.

    Raises
    ------
    ConfigurationError
        If `channels` is neither 1 nor 3, or `size` is no size of pictures.
    """
    if channels is not None and not (arguments.is_whole(channels) and channels in (1, 3)):
        raise arguments.refusal(name, "channels 1 or 3", channels)
    wanted = None if channels is None else cast("Channels", int(channels))
    if size is None:
        return wanted, None
    edges = tuple(size) if arguments.is_sequence(size) else ()
    if len(edges) != 2 or not all(arguments.is_whole(edge) and edge >= 1 for edge in edges):
        raise arguments.refusal(name, "size as (height, width) in pixels", size)
    if int(edges[0]) * int(edges[1]) > MAX_PIXELS:
        raise ConfigurationError(
            f"{name}: a size of {shown(size)} is more than {MAX_PIXELS:,} pixels; use a smaller one"
        )
    return wanted, (int(edges[0]), int(edges[1]))


def _upright(picture: Image.Image) -> Image.Image:
    """Return a copy, turned as the camera noted."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a damaged note spoils no pixel, so the picture is used as it lies
        return picture.copy()


def _plain(picture: Image.Image, channels: Channels | None) -> tuple[Image.Image, bool]:
    """Return the picture in mode L or RGB (or I;16: grey with 16 bits), without transparency.

    The other value tells whether transparent parts became black.
    """
    if picture.mode.startswith("I"):
        # PNG keeps 16-bit grey as I;16. Pillow would clip it at 255 instead of scaling it.
        deep = np.asarray(picture).astype(np.uint16)
        if channels != 3:
            return Image.fromarray(deep), False
        grey = Image.fromarray((deep // 257).astype(np.uint8))
        return grey.convert("RGB"), False
    is_grey, is_on_black = is_grey_mode(picture.mode), False
    if picture.has_transparency_data:
        picture, is_on_black = _opaque(picture.convert("RGBA"))
    wanted = channels or (1 if is_grey else 3)
    return picture.convert("L" if wanted == 1 else "RGB"), is_on_black


def _opaque(layer: Image.Image) -> tuple[Image.Image, bool]:
    """Put a picture on white; on black where nothing could be seen on white."""
    on_white = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    if _contrast(on_white) >= FAINT:
        return on_white, False
    on_black = Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer)
    return (on_black, True) if _contrast(on_black) >= FAINT else (on_white, False)


def _contrast(picture: Image.Image) -> float:
    """Return the widest range of a channel, as a share of white."""
    ranges = picture.convert("RGB").getextrema()
    return max(high - low for low, high in ranges) / 255  # type: ignore[misc]


def check_complete(content: bytes, name: str) -> None:
    """Refuse a picture whose end is missing.

    Decoders are generous: they accept files that lack their last bytes, and a picture with a grey
    lower half is worse than an error.

    Raises
    ------
    FormatError
        If the container of the picture is incomplete, or a checksum in a PNG is wrong. Other
        content passes; the decoder judges it.
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_png(content, name)
    elif content.startswith(b"\xff\xd8\xff"):
        _check_jpeg(content, name)
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        _check_length(8 + int.from_bytes(content[4:8], "little"), content, name)
    elif content.startswith(b"BM"):
        _check_length(int.from_bytes(content[2:6], "little"), content, name)


def _check_length(declared: int, content: bytes, name: str) -> None:
    if declared > len(content):
        raise FormatError(
            f"{name}: the picture declares {declared:,} bytes, received {len(content):,}; the file "
            "is truncated"
        )


def _check_jpeg(content: bytes, name: str) -> None:
    """Walk from marker to marker to the end of the first picture.

    What follows is no part of it: cameras append films, second pictures and notes.
    """
    start = 2
    while found := _MARKER.search(content, start):
        start = found.end()
        kind = content[start - 1]
        if kind == 0xD9:
            return
        if kind in (0x01, 0xD8):  # markers that stand alone
            continue
        # The data of a segment, a thumbnail for example, hold markers of their own: step over.
        length = int.from_bytes(content[start : start + 2], "big")
        start += max(length, 2)
    raise FormatError(f"{name}: the JPEG picture has no end; the file is truncated")


def _check_png(content: bytes, name: str) -> None:
    start = 8
    while True:
        length = int.from_bytes(content[start : start + 4], "big")
        end = start + 12 + length  # length, kind, data, checksum
        if end > len(content):
            raise FormatError(f"{name}: the PNG picture ends in the middle; the file is truncated")
        kind = content[start + 4 : start + 8]
        checksum = int.from_bytes(content[end - 4 : end], "big")
        if zlib.crc32(memoryview(content)[start + 4 : end - 4]) != checksum:
            raise FormatError(
                f"{name}: the PNG picture is damaged (wrong checksum of chunk {kind!r} at byte "
                f"{start})"
            )
        if kind == b"IEND":
            return
        start = end
