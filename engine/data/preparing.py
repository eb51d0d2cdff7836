"""One picture as a net takes it: the same way for files, arrays, what is pasted and what is drawn.

How a run's pictures are brought to its net belongs to the run (`engine.record`). A picture is
brought to the size and the colours that the training set had, by the reader that read the set; or,
if the set holds digits made as MNIST's were, it is made like them. The transforms that draw nothing
follow.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine import arguments
from engine.data.digits import TIMES, prepare_digit
from engine.data.readers import read_npy, read_npz
from engine.data.readers.files import as_path, read_bytes
from engine.data.readers.image import parse_image
from engine.errors import DataError, FormatError, ShapeError, shown
from engine.pictures import SIDE, Look
from engine.typing import Array, Shape

ARRAYS = (".npy", ".npz")
DIGIT = (1, SIDE, SIDE)
ROUNDING = 1e-3
"""A value may exceed 1 by so much and is still brightness from 0 to 1."""
BRIGHTEST = 1.5
"""Training sets with larger values do not hold brightness from 0 to 1."""


class NotRecorded(DataError):
    """A run does not say how its pictures are prepared, and it makes a difference."""


class Preparation(StrEnum):
    """How pictures are brought to what a net takes."""

    auto = "auto"
    digit = "digit"
    plain = "plain"


@dataclass(frozen=True)
class Prepared:
    """A picture that is ready.

    Parameters
    ----------
    x : float32 array, shape (c, h, w)
    steps : tuple of str
        What was done, in order.
    """

    x: Array
    steps: tuple[str, ...]


@dataclass(frozen=True)
class _Pixels:
    """A picture as it came: float32 (c, h, w) in [0, 1], and a file of it, to be resampled."""

    values: Array
    write: Callable[[], bytes]
    name: str
    is_exact: bool


def prepare_picture(
    picture: str | PathLike[str] | Array,
    shape: Shape,
    look: Look | None = None,
    how: Preparation = Preparation.auto,
    name: str = "picture",
) -> Prepared:
    """Bring a picture to the size, colours and values of a training set.

    Parameters
    ----------
    picture : path or array
        PNG, JPEG, BMP, WebP, npy or npz; or an array (h, w), (h, w, c) or (c, h, w) with 1 to 4
        channels, of bytes, of 16 bits, or of numbers up to 1, 255 or 65535.
    shape : (c, h, w)
        What the net takes, for runs that do not record their pictures.
    look : Look or None
        How the pictures looked that the run was trained on; None if that is not recorded.
    how : Preparation, or its name
        ``digit`` as MNIST's digits, ``plain`` by resampling alone; ``auto`` as recorded.
    name : str
        Of an array, for the errors.

    Raises
    ------
    EngineError
        If it is no intact picture, shows no clear digit where one is expected, or the net takes
        no pictures.
    """
    name, how = arguments.text("prepare_picture name", name), _checked_how(how)
    if not isinstance(picture, np.ndarray):
        picture = as_path(picture, "prepare_picture picture", "a picture")
        name = str(picture)
    if look is not None:
        arguments.instance("prepare_picture look", look, Look, "a Look, as a run's record has it")
    given = arguments.index("prepare_picture shape", shape)
    target = look.shape if look is not None and how is not Preparation.digit else given
    if len(target) != 3 or target[0] not in (1, 3):
        raise ShapeError(
            f"{name}: expected a net for pictures (1, h, w) or (3, h, w), this one takes {target}"
        )
    is_digit = how is Preparation.digit or (how is Preparation.auto and bool(look and look.centred))
    if is_digit and target != DIGIT:
        raise ShapeError(
            f"{name}: digits are prepared for nets that take (1, {SIDE}, {SIDE}), this one takes "
            f"{target}; use --preparation plain"
        )
    array = _array(picture)
    if array is not None and look is not None and not _is_brightness(look) and _is_raw(array, look):
        return Prepared(array.astype(np.float32), ("taken as it is, in the values of the run",))
    pixels = _of_file(Path(name)) if array is None else _of_array(array, name)
    channels, height, width = pixels.values.shape
    found = f"{width}{TIMES}{height} {'grey' if channels == 1 else 'RGB'}"
    if np.isnan(pixels.values).any() and (is_digit or pixels.values.shape != target):
        place = tuple(int(i) for i in np.argwhere(np.isnan(pixels.values))[0])
        raise DataError(f"{name}: holds nan at {place}; only a picture of shape {target} may do so")
    if is_digit:
        return _digit(pixels, found)
    if look is not None and not _is_brightness(look):
        raise DataError(
            f"{name}: this run was trained on values from {look.low:.4g} to {look.high:.4g}, and "
            "how they were made of pictures (0 to 1) is not recorded; train it with Normalize "
            "among the transforms of its DataLoader"
        )
    if pixels.values.shape == target:
        return Prepared(pixels.values, (found, "taken as it is"))
    if look is None and how is Preparation.auto and target == DIGIT:
        raise NotRecorded(
            f"{name}: expected {SIDE} x {SIDE} pixels, received {height} x {width}; how this run's "
            "pictures were prepared is not recorded: add --preparation digit if it reads digits "
            "as MNIST has them, else --preparation plain"
        )
    kind = "grey" if target[0] == 1 else "RGB"
    steps = (found, f"resampled to {target[2]}{TIMES}{target[1]} {kind}")
    return Prepared(_resampled(pixels, target), steps)


def _checked_how(how: Any) -> Preparation:
    """Return the member for a name, too: a plain text is equal to it, but not the same."""
    return Preparation(
        arguments.choice("prepare_picture how", how, [one.value for one in Preparation])
    )


def _digit(pixels: _Pixels, found: str) -> Prepared:
    steps = [found]
    values = pixels.values
    if len(values) == 3:
        steps.append("to grey")
        values = parse_image(pixels.write(), pixels.name, 1)
    digit, done = prepare_digit(values[0], pixels.name)
    return Prepared(digit[np.newaxis], (*steps, *done))


def _resampled(pixels: _Pixels, target: Shape) -> Array:
    channels, height, width = target
    if pixels.is_exact and pixels.values.shape[1:] == (height, width):
        return parse_image(pixels.write(), pixels.name, 1 if channels == 1 else 3)
    return parse_image(pixels.write(), pixels.name, 1 if channels == 1 else 3, (height, width))


def _is_brightness(look: Look) -> bool:
    return look.low >= -ROUNDING and look.high <= BRIGHTEST


def _is_raw(array: Array, look: Look) -> bool:
    """Return whether an array has the run's own shape and, beyond brightness, its own values."""
    if array.shape != look.shape or array.dtype.kind != "f":
        return False
    return bool(np.nanmin(array) < -ROUNDING or np.nanmax(array) > 1 + ROUNDING)


# -- files and arrays ----------------------------------------------------------------------------


def _array(picture: Any) -> Array | None:
    """Return the array that was given, or that a file of NumPy's holds; None for other files."""
    if isinstance(picture, np.ndarray):
        return picture
    path = Path(picture)
    if path.suffix.lower() not in ARRAYS:
        return None
    if path.suffix.lower() == ".npy":
        return _squeezed(read_npy(path))
    arrays = read_npz(path)
    if len(arrays) > 1:
        raise FormatError(
            f"{path}: expected one array, a picture, received {', '.join(arrays)}; a whole set is "
            "given with --data"
        )
    return _squeezed(next(iter(arrays.values())))


def _squeezed(array: Array) -> Array:
    """Return a batch of one picture as the picture."""
    return array[0] if array.ndim == 4 and len(array) == 1 else array


def _of_file(path: Path) -> _Pixels:
    content = read_bytes(path)
    return _Pixels(parse_image(content, str(path)), lambda: content, str(path), False)


def _of_array(array: Array, name: str) -> _Pixels:
    """Return an array as what a file with the same picture would give."""
    rows = _channels_last(array, name)
    numbers, is_exact = brightness(rows, name), rows.dtype != np.uint8
    write = partial(_written, np.nan_to_num(numbers), is_exact)
    if rows.shape[2] in (1, 3) and is_exact:
        values = np.ascontiguousarray(numbers.transpose(2, 0, 1), np.float32)
    else:
        values = parse_image(write(), name)
    return _Pixels(values, write, name, is_exact)


def _written(numbers: Array, is_exact: bool) -> bytes:
    """Return brightness (h, w, c) as the bytes of a PNG."""
    if numbers.shape[2] == 1 and is_exact:  # grey keeps 16 bits on its way through a file
        image = Image.fromarray(np.rint(numbers[..., 0] * 65535).astype(np.uint16))
    else:
        small = np.rint(numbers * 255).astype(np.uint8)
        image = Image.fromarray(small[..., 0] if small.shape[2] == 1 else small)
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _channels_last(array: Array, name: str) -> Array:
    """Return a picture as (h, w, c)."""
    if array.ndim == 2:
        array = array[..., np.newaxis]
    elif array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    elif array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] in (1, 3, 4):
        # Both ends could be the channels: a picture is seldom so few pixels wide or high.
        array = array.transpose(1, 2, 0) if array.shape[1] > 4 >= array.shape[2] else array
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or 0 in array.shape:
        raise FormatError(
            f"{name}: expected an array of shape (h, w), (h, w, 3) or (c, h, w), received "
            f"{array.shape}"
        )
    return array


def brightness(array: Array, name: str = "picture") -> Array:
    """Return numbers of any kind as brightness, float64 in [0, 1].

    What 1 is comes from the largest number: 1, 255 or 65535. Bytes always go to 255, and so do
    wider whole numbers none of which exceeds it, as programs write them that convert a picture.
    NaN stays NaN.

    Raises
    ------
    DataError
        If there are numbers below 0, above 65535, or none.
    """
    name = arguments.text("brightness name", name)
    if not isinstance(array, np.ndarray):
        raise DataError(f"{name}: expected an array of numbers, received {shown(array)}")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected numbers, received {array.dtype}")
    values = np.asarray(array, np.float64)
    known = values[np.isfinite(values)]
    if not known.size:
        raise DataError(f"{name}: expected brightness, received no finite number")
    low, high = float(known.min()), float(known.max())
    if low < -ROUNDING or high > 65535:
        raise DataError(
            f"{name}: expected brightness from 0 to 1, 255 or 65535, received values from "
            f"{low:.4g} to {high:.4g}"
        )
    if array.dtype.kind == "b":
        top = 1.0
    elif array.dtype == np.uint8:
        top = 255.0
    elif array.dtype.kind in "iu":
        top = 1.0 if high <= 1 else 255.0 if high <= 255 else 65535.0
    else:
        top = 1.0 if high <= 1 + ROUNDING else 255.0 if high <= 255 else 65535.0
    return np.clip(values / top, 0.0, 1.0)
