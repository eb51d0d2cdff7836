"""What transforms take and give: settings, images and results, or an error that says why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine import arguments
from engine.errors import ConfigurationError, DtypeError, ShapeError, shown
from engine.typing import Array


def checked_chain(where: str, chain: Any) -> tuple[Callable[..., Any], ...]:
    """Return one transform, or several in their order, as a tuple.

    Raises
    ------
    ConfigurationError
        If an entry is no transform, or the entries have no order (as in a set).
    """
    entries = tuple(chain) if arguments.is_sequence(chain) else (chain,)
    for entry in entries:
        check_transform(f"{where}: expected", entry)
    return entries


def checked_result(where: str, result: Any, dtype: np.dtype[Any]) -> Array:
    """Return what a chain made of a sample as an array that `dtype` can take.

    A function that returns nothing would otherwise give NaN, and one that returns fractions of
    whole numbers 0.

    Raises
    ------
    DtypeError
        If it is no array of numbers, or the conversion would lose their decimals.
    """
    if isinstance(result, np.ndarray) and result.dtype == dtype:
        return result
    made = arguments.array(f"{where}: result of the transforms", result)
    if not np.can_cast(made.dtype, dtype, "same_kind"):
        raise DtypeError(
            f"{where}: expected the transforms to give {dtype} as the samples are, received "
            f"{made.dtype}; make the samples floats first: x.astype('float32')"
        )
    return made


def check_transform(where: str, entry: Any) -> None:
    """Refuse what cannot be called as a transform; the text goes on after `where`."""
    if callable(entry) and not isinstance(entry, type):
        return
    advice = f"; call the class: {entry.__name__}(...)" if isinstance(entry, type) else ""
    raise ConfigurationError(
        f"{where} transforms as transform(image, generator), received {shown(entry)}{advice}"
    )


def check_float(image: Array, name: str) -> None:
    """Refuse an image of whole numbers."""
    if image.dtype.kind != "f":
        raise DtypeError(
            f"{name}: expected a float image, received {image.dtype}; use "
            "image.astype('float32') / 255"
        )


def image_shape(image: Any, name: str) -> tuple[int, int, int]:
    """Return channels, height and width of an image; refuse what is none."""
    if not isinstance(image, np.ndarray) or image.dtype.kind not in "fiub":
        raise DtypeError(
            f"{name}: expected an image (c, h, w) as an array of numbers, received {shown(image)}"
        )
    if image.ndim != 3:
        raise ShapeError(f"{name}: expected an image (c, h, w), received shape {image.shape}")
    channels, height, width = image.shape
    return channels, height, width


def check_generator(generator: Any, name: str) -> None:
    """Refuse what a transform cannot draw from."""
    if isinstance(generator, np.random.Generator):
        return
    if isinstance(generator, type) or not (
        hasattr(generator, "integers") and hasattr(generator, "random")
    ):
        expected = "a numpy.random.Generator"
        raise arguments.refusal(f"{name} generator", expected, generator)


def in_dtype(
    values: tuple[float, ...], image: Array, where: str, above_zero: bool = False
) -> Array:
    """Return numbers in the dtype of an image; refuse what it rounds to something else altogether.

    In float32 1e300 is infinite and 1e-60 is 0, in whole numbers 0.5 is 0.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.array(values, np.float64).astype(image.dtype)
        if image.dtype.kind == "f":
            good = np.isfinite(result).all() and not (above_zero and (result == 0).any())
        else:
            good = (result.astype(np.float64) == values).all()
    if not good:
        raise ConfigurationError(
            f"{where}: expected what an image of {image.dtype} can hold, received {shown(values)}"
        )
    return result


def pair(value: Any, name: str, lowest: int) -> tuple[int, int]:
    """Return one number or two as two, each at least `lowest`."""
    entries = tuple(value) if arguments.is_sequence(value) else (value, value)
    if len(entries) == 2 and all(
        arguments.is_whole(entry) and lowest <= entry <= arguments.LARGEST for entry in entries
    ):
        return int(entries[0]), int(entries[1])
    expected = f"a whole number from {lowest} on, or a pair of them"
    raise arguments.refusal(name, expected, value)


def numbers(value: Any, name: str) -> tuple[float, ...]:
    """Return one finite number or several as a tuple."""
    if arguments.is_sequence(value):
        return arguments.several(name, value)
    return (arguments.number(name, value),)
