"""What `fit` and `evaluate` take their samples from: loaders, data sets, or plain arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.data.dataset import Dataset
from engine.errors import ConfigurationError, DataError, ShapeError, shown


def is_loader(data: Any) -> bool:
    """Return whether something gives batches by itself, as a `DataLoader` does."""
    return all(hasattr(data, name) for name in ("batch", "dataset", "__len__"))


def is_dataset(data: Any) -> bool:
    """Return whether something holds samples and targets, as a `Dataset` does."""
    return all(hasattr(data, name) for name in ("x", "y", "__len__"))


def length(samples: Any, what: str = "batch") -> int:
    """Return the number of samples of an array, or of a tuple or dict of arrays.

    Raises
    ------
    ShapeError
        If it has no axis of samples.
    """
    first = samples
    if isinstance(samples, dict):
        first = next(iter(samples.values()), None)
    elif isinstance(samples, tuple):
        first = samples[0] if samples else None
    try:
        return len(first)
    except TypeError:
        raise ShapeError(
            f"{what}: expected an array with a first axis of samples, received {shown(first)}"
        ) from None


def part(samples: Any, start: int, stop: int) -> Any:
    """Return samples ``start..stop`` of an array, or of every array of a tuple or dict."""
    if isinstance(samples, tuple):
        return tuple(part(one, start, stop) for one in samples)
    if isinstance(samples, dict):
        return {name: part(one, start, stop) for name, one in samples.items()}
    return samples[start:stop]


def as_dataset(data: Any, targets: Any, who: str) -> Any:
    """Return a data set: `data` if it is one, else one made of ``(x, y)`` or x and `targets`.

    Raises
    ------
    DataError, ShapeError, DtypeError
        If `data` is nothing that has samples and targets; the text begins with `who`.
    """
    if targets is not None and (is_dataset(data) or is_loader(data)):
        raise ConfigurationError(
            f"{who} targets: expected none, since {type(data).__name__} has its own, "
            f"received {shown(targets)}"
        )
    if targets is not None:
        return Dataset(data, targets)
    if is_dataset(data):
        return data
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return Dataset(*data)
    raise DataError(
        f"{who} data: expected a DataLoader, a Dataset or a pair (x, y), received {shown(data)}"
    )


class InOrder:
    """The batches of a data set in its own order.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
    """

    def __init__(self, dataset: Any, batch_size: int) -> None:
        self.dataset, self.batch_size = dataset, batch_size

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def batch(self, epoch: int, number: int) -> tuple[Any, Any]:
        """Return batch `number`; every epoch has the same ones."""
        start = number * self.batch_size
        stop = min(start + self.batch_size, len(self.dataset))
        return part(self.dataset.x, start, stop), part(self.dataset.y, start, stop)


def as_batches(data: Any, targets: Any, who: str, batch_size: int) -> Any:
    """Return what gives the batches of an evaluation.

    A loader gives those of its first epoch, transforms included; anything else is taken in order.

    Raises
    ------
    DataError, ShapeError, DtypeError
        If `data` is nothing that has samples and targets.
    """
    if targets is None and is_loader(data):
        return data
    return InOrder(as_dataset(data, targets, who), batch_size)


def batches_of(source: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all batches of the first epoch."""
    for number in range(len(source)):
        yield source.batch(0, number)


__all__ = ["InOrder", "as_batches", "as_dataset", "batches_of", "is_loader", "length", "part"]
