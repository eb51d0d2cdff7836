"""What is in a data set: counts, ranges, and what looks unusual before hours go into training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data import parts, suspicions
from engine.typing import Array, Index, Shape

if TYPE_CHECKING:
    from engine.data.dataset import Dataset

LOOKED_AT = 2**27
"""So many numbers of an array are looked at; of a larger one, samples spread evenly over it."""
CHUNK = 2**17
"""Numbers looked at at once: they stay in the processor's cache."""
LISTED = 12
"""So many classes are listed with their counts."""
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class InputFacts:
    """What is in one array of inputs.

    Parameters
    ----------
    name : str
        ``x``, or ``x[0]`` and ``x['tokens']`` where there are several.
    shape : tuple of int
        Of one sample.
    dtype : str
    minimum, maximum : float
        Of the finite values; NaN if there are none.
    mean, deviation : tuple of float
        Of the finite values of each channel for pictures of up to four channels, else of all.
    nan, infinite : int
        How many values are not finite.
    first_bad : tuple of int or None
        Where the first of those is: the sample, then the place within it.
    constant_samples : int
        Samples all of whose values are equal.
    constant_features : int
        Places of a sample that hold the same value in all of them.
    looked_at : int
        Samples that all this was found from.
    """

    name: str
    shape: Shape
    dtype: str
    minimum: float
    maximum: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    nan: int
    infinite: int
    first_bad: Index | None
    constant_samples: int
    constant_features: int
    looked_at: int

    def __str__(self) -> str:
        """Return all in one line."""
        shape = TIMES.join(map(str, self.shape)) or "single numbers"
        text = f"{self.name}: {self.dtype} {shape}, {self.minimum:.6g} to {self.maximum:.6g}"
        if self.dtype.startswith("float"):
            mean, spread = (
                " ".join(f"{value:.4g}" for value in values)
                for values in (self.mean, self.deviation)
            )
            text += f", mean {mean}, deviation {spread}"
        return text


@dataclass(frozen=True)
class TargetFacts:
    """What is in one array of targets.

    Parameters
    ----------
    name : str
        ``y``, or ``y[0]`` and ``y['kind']`` where there are several.
    shape : tuple of int
        Of the target of one sample; ``()`` for class numbers.
    dtype : str
    minimum, maximum : float
        Of the finite values.
    nan, infinite : int
    classes : dict or None
        For class numbers (n,): samples of each class, by its name if there are names, else by its
        number. Classes with a name and no sample are in it.
    """

    name: str
    shape: Shape
    dtype: str
    minimum: float
    maximum: float
    nan: int
    infinite: int
    classes: dict[Any, int] | None

    def __str__(self) -> str:
        """Return all in one line."""
        if self.classes is None:
            shape = TIMES.join(map(str, self.shape)) or "values"
            return f"{self.name}: {self.dtype} {shape}, {self.minimum:.6g} to {self.maximum:.6g}"
        counts = self.classes.values()
        if len(self.classes) <= LISTED:
            listed = ", ".join(f"{name}: {count:,}" for name, count in self.classes.items())
        elif min(counts) == max(counts):
            listed = f"{min(counts):,} samples each"
        else:
            listed = f"{min(counts):,} to {max(counts):,} samples each"
        plural = "es" if len(self.classes) != 1 else ""
        return f"{self.name}: {len(self.classes)} class{plural} ({listed})"


@dataclass(frozen=True)
class Description:
    """What `Dataset.describe` found; printed, it is a few lines.

    Parameters
    ----------
    name : str
        Of the set.
    samples : int
    inputs : tuple of InputFacts
    targets : tuple of TargetFacts
    notes : tuple of str
        What the reader of the files assumed.
    warnings : tuple of str
        What is unusual: likely mistakes, one sentence each.
    """

    name: str
    samples: int
    inputs: tuple[InputFacts, ...]
    targets: tuple[TargetFacts, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def shape(self) -> Shape:
        """Shape of one sample of the first input."""
        return self.inputs[0].shape

    @property
    def dtype(self) -> str:
        """Dtype of the first input."""
        return self.inputs[0].dtype

    @property
    def minimum(self) -> float:
        """Smallest finite value of the first input."""
        return self.inputs[0].minimum

    @property
    def maximum(self) -> float:
        """Largest finite value of the first input."""
        return self.inputs[0].maximum

    @property
    def nan(self) -> int:
        """NaN values in all inputs and targets."""
        return sum(one.nan for one in self.inputs) + sum(one.nan for one in self.targets)

    @property
    def infinite(self) -> int:
        """Infinite values in all inputs and targets."""
        return sum(one.infinite for one in self.inputs) + sum(one.infinite for one in self.targets)

    @property
    def classes(self) -> dict[Any, int] | None:
        """Samples of each class of the first target that has classes."""
        return next((one.classes for one in self.targets if one.classes is not None), None)

    def __str__(self) -> str:
        """Return the set's name and size, a line for each array, the notes and the warnings."""
        plural = "s" if self.samples != 1 else ""
        return "\n".join(
            [
                f"{self.name or 'data set'}: {self.samples:,} sample{plural}",
                *(f"  {part}" for part in (*self.inputs, *self.targets)),
                *(f"  note: {note}" for note in self.notes),
                *(f"  warning: {warning}" for warning in self.warnings),
            ]
        )

    def config(self) -> dict[str, Any]:
        """Return it as JSON-able values (NaN where there is no finite value)."""
        return {
            "name": self.name,
            "samples": self.samples,
            "inputs": [_plain(part) for part in self.inputs],
            "targets": [_plain(part) for part in self.targets],
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def describe(dataset: Dataset) -> Description:
    """Return what `Dataset.describe` does."""
    inputs = tuple(
        _input_facts(parts.called("x", key), array)
        for key, array in zip(parts.keys(dataset.x), dataset.inputs, strict=True)
    )
    targets = tuple(
        _target_facts(parts.called("y", key), array, dataset.classes)
        for key, array in zip(parts.keys(dataset.y), dataset.targets, strict=True)
    )
    warnings = [
        *(w for facts in targets for w in suspicions.of_target(facts, len(dataset))),
        *(
            w
            for facts, array in zip(inputs, dataset.inputs, strict=True)
            for w in suspicions.of_input(facts, array, dataset.targets)
        ),
    ]
    return Description(
        dataset.name, len(dataset), inputs, targets, dataset.notes, tuple(dict.fromkeys(warnings))
    )


class _Tally:
    """Collects what is known of an array, chunk by chunk.

    Parameters
    ----------
    channels : int
        How many means there are.
    features : int
        Numbers in a sample.
    """

    def __init__(self, channels: int, features: int) -> None:
        self.low, self.high = np.inf, -np.inf
        self.lowest = np.full(features, np.inf)
        self.highest = np.full(features, -np.inf)
        self.counts, self.sums, self.squares = (np.zeros(channels) for _ in range(3))
        self.nan = self.infinite = self.constant = 0
        self.first_bad: tuple[int, int] | None = None
        self.seen = 0

    def add(self, rows: Array) -> None:
        """Look at samples, shape (n, features)."""
        low, high = rows.min(axis=1), rows.max(axis=1)
        self.constant += int(np.count_nonzero(low == high))
        np.minimum(self.lowest, rows.min(axis=0), out=self.lowest)
        np.maximum(self.highest, rows.max(axis=0), out=self.highest)
        by_channel = rows.reshape(len(rows), len(self.sums), -1)
        # NaN spreads to the extremes of its row, so most chunks need no closer look.
        if np.isfinite(low.min()) and np.isfinite(high.max()):
            self.low, self.high = min(self.low, low.min()), max(self.high, high.max())
            self.counts += rows.size // len(self.sums)
            self.sums += by_channel.sum(axis=(0, 2), dtype=np.float64)
            values = by_channel.astype(np.float64) if rows.dtype.kind == "i" else by_channel
            self.squares += _squares(values)
        else:
            self._add_damaged(rows, by_channel)
        self.seen += len(rows)

    def _add_damaged(self, rows: Array, by_channel: Array) -> None:
        good = np.isfinite(rows)
        if self.first_bad is None:
            row, column = np.argwhere(~good)[0]
            self.first_bad = (self.seen + int(row), int(column))
        nan = int(np.count_nonzero(np.isnan(rows)))
        self.nan += nan
        self.infinite += rows.size - int(np.count_nonzero(good)) - nan
        if not good.any():
            return
        self.low = min(self.low, rows.min(where=good, initial=np.inf))
        self.high = max(self.high, rows.max(where=good, initial=-np.inf))
        kept = good.reshape(by_channel.shape)
        values = np.where(kept, by_channel, 0).astype(np.float64)
        self.counts += kept.sum(axis=(0, 2))
        self.sums += values.sum(axis=(0, 2))
        self.squares += (values**2).sum(axis=(0, 2))


def _squares(values: Array) -> Array:
    """Return the sum of squares of each channel of (n, channels, rest), float64."""
    # A float32 above 1e19 has no square in float32.
    with np.errstate(over="ignore"):
        sums = np.square(values).sum(axis=(0, 2), dtype=np.float64)
    if np.isfinite(sums).all():
        return np.asarray(sums)
    with np.errstate(over="ignore"):
        return np.asarray(np.square(values, dtype=np.float64).sum(axis=(0, 2)))


def _chunks(array: Array) -> Iterator[Array]:
    """Yield samples (n, features); evenly spread ones of a very large array."""
    step = max(-(-array.size // LOOKED_AT), 1)
    rows = array.reshape(len(array), -1)[::step]
    length = max(CHUNK // rows.shape[1], 1)
    for start in range(0, len(rows), length):
        yield rows[start : start + length]


def _tallied(array: Array, channels: int = 1) -> _Tally:
    tally = _Tally(channels, max(math.prod(array.shape[1:]), 1))
    for rows in _chunks(array):
        tally.add(rows)
    return tally


def _input_facts(name: str, array: Array) -> InputFacts:
    shape = array.shape[1:]
    tally = _tallied(array, shape[0] if len(shape) == 3 and shape[0] <= 4 else 1)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        mean = tally.sums / tally.counts
        deviation = np.sqrt(np.maximum(tally.squares / tally.counts - mean**2, 0))
    bad = None
    if tally.first_bad is not None:
        step = max(-(-array.size // LOOKED_AT), 1)
        place = np.unravel_index(tally.first_bad[1], shape) if shape else ()
        bad = (tally.first_bad[0] * step, *(int(i) for i in place))
    low, high = _extremes(tally)
    return InputFacts(
        name=name,
        shape=shape,
        dtype=str(array.dtype),
        minimum=low,
        maximum=high,
        mean=tuple(mean.tolist()),
        deviation=tuple(deviation.tolist()),
        nan=tally.nan,
        infinite=tally.infinite,
        first_bad=bad,
        constant_samples=tally.constant,
        constant_features=int(np.count_nonzero(tally.lowest == tally.highest)),
        looked_at=tally.seen,
    )


def _target_facts(name: str, array: Array, classes: Sequence[str] | None) -> TargetFacts:
    tally = _tallied(array)
    counts: dict[Any, int] | None = None
    if array.ndim == 1 and array.dtype.kind == "i":
        known, found = np.unique(array, return_counts=True)
        numbers = dict(zip(known.tolist(), found.tolist(), strict=True))
        counts = numbers if classes is None else _by_name(numbers, classes)
    low, high = _extremes(tally)
    return TargetFacts(
        name, array.shape[1:], str(array.dtype), low, high, tally.nan, tally.infinite, counts
    )


def _by_name(numbers: Mapping[int, int], classes: Sequence[str]) -> dict[Any, int]:
    return {name: numbers.get(number, 0) for number, name in enumerate(classes)}


def _extremes(tally: _Tally) -> tuple[float, float]:
    found = tally.low <= tally.high
    return (float(tally.low), float(tally.high)) if found else (math.nan, math.nan)


def _plain(facts: InputFacts | TargetFacts) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(facts).items()
    }
