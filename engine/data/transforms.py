"""Changes of one image, drawn from a generator that belongs to the sample, so replayable.

A transform is a small immutable object, called as ``transform(image, generator)`` with an image
(c, h, w); it returns a new image and leaves the given one alone. Those whose `draws` is False take
nothing from the generator: they are preprocessing, which belongs to every later picture too, while
the others vary what is trained on and have no place in a test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from PIL import Image

from engine import arguments
from engine.data import fitting
from engine.errors import ConfigurationError, ShapeError, UnknownName, shown
from engine.typing import Array

MAX_PIXELS = 89_478_485
"""The most that an image is resized to, as in the readers of pictures."""


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

    draws: ClassVar[bool] = True

    size: int | tuple[int, int]
    padding: int | tuple[int, int] = 0
    fill: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", fitting.pair(self.size, "RandomCrop: size", lowest=1))
        object.__setattr__(
            self, "padding", fitting.pair(self.padding, "RandomCrop: padding", lowest=0)
        )
        object.__setattr__(self, "fill", arguments.number("RandomCrop: fill", self.fill))

    def __call__(self, image: Array, generator: np.random.Generator) -> Array:
        """Return the window, shape (c, *size).

        Raises
        ------
        ShapeError
            If the padded image is smaller than the window.
        ConfigurationError
            If the image's dtype cannot hold `fill`.
        """
        channels, height, width = fitting.image_shape(image, "RandomCrop")
        fitting.check_generator(generator, "RandomCrop")
        fill = fitting.in_dtype((self.fill,), image, "RandomCrop fill")
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
        result = np.full((channels, rows, columns), fill, image.dtype)
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

    draws: ClassVar[bool] = True

    p: float = 0.5

    def __post_init__(self) -> None:
        value = arguments.number("RandomHorizontalFlip: p", self.p)
        if not 0 <= value <= 1:
            expected = "p as a probability from 0 to 1"
            raise arguments.refusal("RandomHorizontalFlip", expected, self.p)
        object.__setattr__(self, "p", value)

    def __call__(self, image: Array, generator: np.random.Generator) -> Array:
        """Return the image, mirrored or not, shape (c, h, w)."""
        fitting.image_shape(image, "RandomHorizontalFlip")
        fitting.check_generator(generator, "RandomHorizontalFlip")
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

    draws: ClassVar[bool] = False

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def __post_init__(self) -> None:
        mean, std = (
            fitting.numbers(self.mean, "Normalize: mean"),
            fitting.numbers(self.std, "Normalize: std"),
        )
        if min(std) <= 0:
            raise arguments.refusal("Normalize", "std above 0", self.std)
        if len({len(mean), len(std)} - {1}) > 1:
            raise ConfigurationError(
                f"Normalize: expected as many means as deviations, received mean of {len(mean)} "
                f"and std of {len(std)}"
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
        ConfigurationError
            If its dtype cannot hold a mean or deviation.
        """
        channels = fitting.image_shape(image, "Normalize")[0]
        fitting.check_float(image, "Normalize")
        mean = fitting.in_dtype(cast("tuple[float, ...]", self.mean), image, "Normalize mean")
        std = fitting.in_dtype(
            cast("tuple[float, ...]", self.std), image, "Normalize std", above_zero=True
        )
        given = max(mean.size, std.size)
        if given not in (1, channels):
            raise ShapeError(
                f"Normalize: {given} means or deviations for an image of {channels} channels; "
                f"give one value or {channels}"
            )
        result: Array = (image - mean[:, None, None]) / std[:, None, None]
        return result


@dataclass(frozen=True)
class Resize:
    """Resample to a fixed size, bilinearly, each pixel the mean of what it covers.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result in pixels.

    Raises
    ------
    ConfigurationError
        If a size is below 1, or it is that of a picture too large for the readers.
    """

    draws: ClassVar[bool] = False

    size: int | tuple[int, int]

    def __post_init__(self) -> None:
        rows, columns = fitting.pair(self.size, "Resize: size", lowest=1)
        if rows * columns > MAX_PIXELS:
            expected = f"at most {MAX_PIXELS:,} pixels"
            raise arguments.refusal("Resize: size", expected, self.size)
        object.__setattr__(self, "size", (rows, columns))

    def __call__(self, image: Array, generator: np.random.Generator) -> Array:
        """Return the resampled image, shape (c, *size), in the image's dtype.

        It is calculated in float32; an image of that size is only copied.

        Raises
        ------
        DtypeError
            If the image holds integers.
        """
        channels, *given = fitting.image_shape(image, "Resize")
        fitting.check_float(image, "Resize")
        rows, columns = cast("tuple[int, int]", self.size)
        if [rows, columns] == given:
            return image.copy()
        result = np.empty((channels, rows, columns), image.dtype)
        for channel, plane in enumerate(image):
            picture = Image.fromarray(np.ascontiguousarray(plane, np.float32))
            result[channel] = picture.resize((columns, rows), Image.Resampling.BILINEAR)
        return result


GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""How bright red, green and blue look (ITU-R BT.601), as in the readers of pictures."""


@dataclass(frozen=True)
class Grey:
    """Turn colours into one channel of brightness; grey images stay as they are."""

    draws: ClassVar[bool] = False

    def __call__(self, image: Array, generator: np.random.Generator) -> Array:
        """Return the grey image, shape (1, h, w), in the image's dtype.

        Raises
        ------
        DtypeError
            If the image holds integers.
        ShapeError
            If it has neither one nor three channels.
        """
        channels = fitting.image_shape(image, "Grey")[0]
        fitting.check_float(image, "Grey")
        if channels == 1:
            return image.copy()
        if channels != 3:
            raise ShapeError(f"Grey: expected 1 or 3 channels, received {channels} in the image")
        red, green, blue = (image.dtype.type(weight) for weight in GREY_WEIGHTS)
        result: Array = (red * image[0] + green * image[1] + blue * image[2])[np.newaxis]
        return result


REGISTRY: dict[str, type[Any]] = {
    transform.__name__: transform
    for transform in (RandomCrop, RandomHorizontalFlip, Normalize, Resize, Grey)
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
    fitting.check_transform("to_config transform: expected", transform)
    if not is_known(transform):
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
    expected = "a dict with the name of a transform and its settings"
    settings = dict(arguments.instance("from_config config", config, Mapping, expected))
    if "name" not in settings:
        raise arguments.refusal("from_config config", expected, config)
    name = settings.pop("name")
    if not isinstance(name, str) or name not in REGISTRY:
        raise UnknownName("transform", name, REGISTRY)
    try:
        built: Callable[[Array, np.random.Generator], Array] = REGISTRY[name](**settings)
    except TypeError as error:
        raise ConfigurationError(
            f"{name}: the settings {shown(settings)} do not fit ({error})"
        ) from error
    return built


def preprocessing(chain: Sequence[Callable[..., Any]]) -> tuple[Callable[..., Any], ...]:
    """Return what of a chain belongs to every picture that a trained model is given.

    Parameters
    ----------
    chain : sequence of callables
        As a `DataLoader` takes it.

    Returns
    -------
    tuple of callables
        Those that say ``draws = False``. A function of the user's says nothing, so it is none of
        them; `is_known` tells it apart.
    """
    entries = fitting.checked_chain("preprocessing chain", chain)
    return tuple(entry for entry in entries if getattr(entry, "draws", True) is False)


def is_known(transform: Callable[..., Any]) -> bool:
    """Return whether `from_config` can build this transform again."""
    return type(transform) in REGISTRY.values()


def applied(chain: Sequence[Callable[..., Any]], samples: Array) -> Array:
    """Return samples as a chain of transforms that draw nothing makes them.

    Parameters
    ----------
    chain : sequence of callables
        From `preprocessing`.
    samples : array, shape (n, c, h, w)

    Returns
    -------
    array, shape (n, ...)
        `samples` itself if the chain is empty.

    Raises
    ------
    ConfigurationError
        If one of them draws: what it gives differs from call to call.
    DtypeError, ShapeError
        If the samples are no array, or a transform gives what has no place in one.
    """
    chain = fitting.checked_chain("applied chain", chain)
    samples = arguments.array("applied samples", samples, "an array of samples")
    if not samples.ndim:
        raise ShapeError(f"applied samples: expected a first axis of samples, received {samples}")
    drawing = [entry for entry in chain if getattr(entry, "draws", True)]
    if drawing:
        raise ConfigurationError(
            f"applied chain: expected those that draw nothing, received {shown(drawing[0])}; it is "
            "for training alone"
        )
    if not chain or not len(samples):
        return samples
    unused = np.random.Generator(np.random.PCG64(0))
    results = []
    for sample in samples:
        for entry in chain:
            sample = entry(sample, unused)
        results.append(fitting.checked_result("applied", sample, samples.dtype))
        if results[-1].shape != results[0].shape:
            raise ShapeError(
                f"applied chain: expected samples of one shape, received {results[0].shape} and "
                f"{results[-1].shape}"
            )
    return np.stack(results).astype(samples.dtype, copy=False)


def _overlap(start: int, length: int, size: int) -> tuple[int, int]:
    """Return first and end index, both in 0..size, of what a window shares with an axis."""
    return min(max(start, 0), size), min(max(start + length, 0), size)
