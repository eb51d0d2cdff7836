"""Pictures: PNG, JPEG, BMP and WebP, through Pillow."""

from __future__ import annotations

import io
import threading
import warnings
import zlib
from collections.abc import Sequence
from os import PathLike
from typing import Literal, SupportsIndex

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.data.readers.files import as_path, in_one_line, read_bytes
from engine.errors import ConfigurationError, FormatError
from engine.typing import Array

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
"""What is opened at all; Pillow knows dozens more, each with a parser that might be attacked."""

MAX_PIXELS = 89_478_485
"""Pillow's own warning limit: a quarter of a GiB of RGB."""

Channels = Literal[1, 3]

# warnings.catch_warnings changes a filter list of the whole process, so one thread at a time.
_LOCK = threading.Lock()


def read_image(
    path: str | PathLike[str],
    channels: Channels | None = None,
    size: tuple[int, int] | None = None,
) -> Array:
    """Read a picture as the networks take it.

    Transparent parts become white, and a photograph is turned upright as its camera noted.

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
    if channels not in (None, 1, 3):
        raise ConfigurationError(f"read_image: expected channels 1 or 3, received {channels!r}")
    if size is not None:
        _check_size(size)
    place = as_path(path)
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
    check_complete(content, name)
    try:
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities in metadata, which are not used
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
                opened.load()
                picture = _plain(_upright(opened), channels)
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
    return np.ascontiguousarray(planes)


def _check_size(size: tuple[int, int]) -> None:
    is_pair = isinstance(size, Sequence) and len(size) == 2
    if not is_pair or not all(isinstance(edge, SupportsIndex) and edge >= 1 for edge in size):
        raise ConfigurationError(
            f"read_image: expected size as (height, width) in pixels, received {size!r}"
        )
    if size[0] * size[1] > MAX_PIXELS:
        raise ConfigurationError(
            f"read_image: a size of {size} is more than {MAX_PIXELS:,} pixels; use a smaller one"
        )


def _upright(picture: Image.Image) -> Image.Image:
    """Return a copy, turned as the camera noted."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a damaged note spoils no pixel, so the picture is used as it lies
        return picture.copy()


def _plain(picture: Image.Image, channels: Channels | None) -> Image.Image:
    """Return the picture in mode L or RGB (or I;16: grey with 16 bits), without transparency."""
    if picture.mode.startswith("I"):
        # PNG keeps 16-bit grey as I;16. Pillow would clip it at 255 instead of scaling it.
        deep = np.asarray(picture).astype(np.uint16)
        if channels != 3:
            return Image.fromarray(deep)
        grey = Image.fromarray((deep // 257).astype(np.uint8))
        return grey.convert("RGB")
    is_grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    wanted = channels or (1 if is_grey else 3)
    return picture.convert("L" if wanted == 1 else "RGB")


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
        # After the last start of a scan there must be an end of the image. (Within a scan the
        # byte ff is followed by 0 or a restart mark, and thumbnails stand before the scan.)
        if content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda"):
            raise FormatError(f"{name}: the JPEG picture has no end; the file is truncated")
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
