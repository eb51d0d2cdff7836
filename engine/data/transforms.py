"""Changes of one image, drawn from a generator that belongs to the sample, so replayable.

A transform is a small immutable object, called as ``transform(image, generator)`` with an image
(c, h, w); it returns a new image and leaves the given one alone.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from engine.errors import ConfigurationError, DtypeError, ShapeError, UnknownName
from engine.typing import Array


@dataclass(frozen=True)
class RandomCrop:
    """Cut a window of a fixed size from a random place, after padding all four sides.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result in pixels.
    padding : int or (int, int)
        Rows added above and below, columns added left and right.
    fill : float
        The value of added pixels.

    Raises
    ------
    ConfigurationError
        If a size is below 1 or a padding below 0.
    """

    size: int | tuple[int, int]
    padding: int | tuple[int, int] = 0
    fill: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _pair(self.size, "RandomCrop: size", lowest=1))
        object.__setattr__(self, "padding", _pair(self.padding, "RandomCrop: padding", lowest=0))
        object.__setattr__(self, "fill", _number(self.fill, "RandomCrop: fill"))

    def __call__(self, image: Array, generator: np.random.Generator) -> Array:
        """Return the window, shape (c, *size).

        Raises
        ------
        ShapeError
            If the padded image is smaller than the window.
        """
        channels, height, width = _image_shape(image, "RandomCrop")
        rows, columns = cast("tuple[int, int]", self.size)
        above, left = cast("tuple[int, int]", self.padding)
        if height + 2 * above < rows or width + 2 * left < columns:
            raise ShapeError(
                f"RandomCrop: a window of {rows} x {columns} does not fit into an image of "
                f"{height} x {width} with padding {above}, {left}; use a size of at most "
                f"({height + 2 * above}, {width + 2 * left})"
            )
        top = int(generator.integers(height + 2 * above - rows + 1)) - above
        start = int(generator.integers(width + 2 * left - columns + 1)) - left
        result = np.full((channels, rows, columns), self.fill, image.dtype)
        # Only the part of the window that lies on the image is copied; the rest is padding.
        y0, y1 = _overlap(top, rows, height)
        x0, x1 = _overlap(start, columns, width)
        result[:, y0 - top : y1 - top, x0 - start : x1 - start] = image[:, y0:y1, x0:x1]
        return result


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """Mirror left and right with a given probability.

    Parameters
    ----------
    p : float
        Probability in [0, 1].

    Raises
    ------
    ConfigurationError
        If `p` is no probability.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        value = _number(self.p, "RandomHorizontalFlip: p")
        if not 0 <= value <= 1:
            raise ConfigurationError(
                f"RandomHorizontalFlip: expected p as a probability from 0 to 1, received {self.p}"
            )
        object.__setattr__(self, "p", value)

    def __call__(self, image: Array, generator: np.random.Generator) -> Array:
        """Return the image, mirrored or not, shape (c, h, w)."""
        _image_shape(image, "RandomHorizontalFlip")
        return image[:, :, ::-1].copy() if generator.random() < self.p else image.copy()


@dataclass(frozen=True)
class Normalize:
    """Shift and scale each channel: ``(image - mean) / std``.

    Parameters
    ----------
    mean, std : float or sequence of float
        One value for all channels, or one for each.

    Raises
    ------
    ConfigurationError
        If a value is not finite, a deviation is not above 0, or the lengths differ.
    """

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def __post_init__(self) -> None:
        mean, std = _numbers(self.mean, "Normalize: mean"), _numbers(self.std, "Normalize: std")
        if min(std) <= 0:
            raise ConfigurationError(f"Normalize: expected std above 0, received {self.std}")
        if len({len(mean), len(std)} - {1}) > 1:
            raise ConfigurationError(
                f"Normalize: expected as many means as deviations, received {len(mean)} and "
                f"{len(std)}"
            )
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)

    def __call__(self, image: Array, generator: np.random.Generator) -> Array:
        """Return the normalised image, shape (c, h, w), in the image's dtype.

        Raises
        ------
        DtypeError
            If the image holds integers.
        ShapeError
            If it has another number of channels.
        """
        channels = _image_shape(image, "Normalize")[0]
        if image.dtype.kind != "f":
            raise DtypeError(
                f"Normalize: expected a float image, received {image.dtype}; use "
                "image.astype('float32') / 255"
            )
        mean, std = np.array(self.mean, image.dtype), np.array(self.std, image.dtype)
        given = max(mean.size, std.size)
        if given not in (1, channels):
            raise ShapeError(
                f"Normalize: {given} means or deviations for an image of {channels} channels; "
                f"give one value or {channels}"
            )
        result: Array = (image - mean[:, None, None]) / std[:, None, None]
        return result


REGISTRY: dict[str, type[Any]] = {
    transform.__name__: transform for transform in (RandomCrop, RandomHorizontalFlip, Normalize)
}
"""The transforms that a run file can name."""


def to_config(transform: Callable[..., Any]) -> dict[str, Any]:
    """Return a transform as JSON-able values.

    Parameters
    ----------
    transform : callable
        One of this module, or a function of the user's, of which only the name is kept.

    Returns
    -------
    dict
        ``name`` and, for transforms of this module, their settings.
    """
    if type(transform) not in REGISTRY.values():
        kind = transform if hasattr(transform, "__qualname__") else type(transform)
        return {"name": f"{kind.__module__}.{kind.__qualname__}"}
    values = {
        field.name: getattr(transform, field.name)
        for field in dataclasses.fields(transform)  # type: ignore[arg-type]
    }
    lists = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    return {"name": type(transform).__name__, **lists}


def from_config(config: dict[str, Any]) -> Callable[[Array, np.random.Generator], Array]:
    """Build the transform that `to_config` described.

    Parameters
    ----------
    config : dict

    Returns
    -------
    callable

    Raises
    ------
    UnknownName
        If it is not one of this module.
    ConfigurationError
        If its settings do not fit.
    """
    settings = dict(config)
    name = settings.pop("name", None)
    if name not in REGISTRY:
        raise UnknownName("transform", name, REGISTRY)
    try:
        built: Callable[[Array, np.random.Generator], Array] = REGISTRY[name](**settings)
    except TypeError as error:
        raise ConfigurationError(f"{name}: the settings {settings} do not fit ({error})") from error
    return built


def _image_shape(image: Array, name: str) -> tuple[int, int, int]:
    if image.ndim != 3:
        raise ShapeError(f"{name}: expected an image (c, h, w), received shape {image.shape}")
    channels, height, width = image.shape
    return channels, height, width


def _overlap(start: int, length: int, size: int) -> tuple[int, int]:
    """Return first and end index, both in 0..size, of what a window shares with an axis."""
    return min(max(start, 0), size), min(max(start + length, 0), size)


def _pair(value: Any, name: str, lowest: int) -> tuple[int, int]:
    """Return one number or two as two, each at least `lowest`."""
    entries = value if isinstance(value, (tuple, list)) else (value, value)
    try:
        numbers = tuple(operator.index(entry) for entry in entries)
    except TypeError:
        numbers = ()
    if len(numbers) != 2 or min(numbers) < lowest:
        raise ConfigurationError(
            f"{name}: expected a whole number from {lowest} on, or a pair of them, received "
            f"{value!r}"
        )
    return numbers[0], numbers[1]


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigurationError(f"{name}: expected a finite number, received {value!r}")
    return number


def _numbers(value: Any, name: str) -> tuple[float, ...]:
    entries = value if isinstance(value, (tuple, list, np.ndarray)) else (value,)
    if not len(entries):
        raise ConfigurationError(f"{name}: expected at least one number, received {value!r}")
    return tuple(_number(entry, name) for entry in entries)
