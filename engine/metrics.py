"""How good predictions are. All take class scores (n, classes) and labels (n,).

Three kinds of samples cannot be counted like the others, and no function passes over them quietly:

- a label of `ignore_index` asks not to be judged: it is counted nowhere, `judge` tells how many;
- a row of scores with NaN has no largest score: it is never right and no class is predicted, so it
  counts as wrong, and `judge` tells how many there are and which is the first;
- any other label that is no class is an error that names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import arguments
from engine.errors import ConfigurationError, DataError, DtypeError, ShapeError
from engine.typing import Array

IGNORED = -100
"""The label that is not judged unless another is given; `CrossEntropyLoss` has the same."""


@dataclass(frozen=True)
class Tally:
    """What was counted of some predictions, and what could not be.

    Parameters
    ----------
    samples : int
    right : int
        Whose largest score is at the label.
    skipped : int
        Whose label is not to be judged.
    nan : int
        Whose scores hold NaN; those that are judged are wrong.
    first_nan : int or None
        The number of the first of them.
    classified : bool
        Whether the targets are classes at all; else nothing is right or skipped.
    """

    samples: int = 0
    right: int = 0
    skipped: int = 0
    nan: int = 0
    first_nan: int | None = None
    classified: bool = True

    @property
    def counted(self) -> int:
        """How many samples were judged."""
        return self.samples - self.skipped if self.classified else 0

    @property
    def accuracy(self) -> float | None:
        """The share of right ones among those that were judged; None if there are none."""
        return self.right / self.counted if self.counted else None

    @property
    def note(self) -> str:
        """What could not be counted like the rest, in one line; empty if all was in order."""
        parts = []
        if self.skipped:
            parts.append(f"{self.skipped:,} of {self.samples:,} labels are ignored, not judged")
        if self.nan:
            miss = ", which is never right" if self.classified else ""
            parts.append(
                f"the scores of sample {self.first_nan} are NaN{miss}"
                if self.nan == 1
                else f"the scores of {self.nan:,} samples are NaN{miss}; the first is sample "
                f"{self.first_nan}"
            )
        return "; ".join(parts)

    def __add__(self, later: Tally) -> Tally:
        """Join with the tally of samples that follow these."""
        first = self.first_nan
        if first is None and later.first_nan is not None:
            first = self.samples + later.first_nan
        return Tally(
            self.samples + later.samples,
            self.right + later.right,
            self.skipped + later.skipped,
            self.nan + later.nan,
            first,
            self.classified and later.classified,
        )


def _arrays(scores: Any, labels: Any) -> tuple[Array, Array]:
    """Return both as arrays of numbers."""
    return (
        arguments.array("scores", scores, "class scores, an array of numbers"),
        arguments.array("labels", labels, "class numbers, an array"),
    )


def _label(ignore_index: Any) -> int | None:
    """Return the label that is not judged, within the bounds that `CrossEntropyLoss` has."""
    if ignore_index is None:
        return None
    return arguments.whole("ignore_index", ignore_index, -arguments.LARGEST)


def _check(scores: Array, labels: Array, ignore_index: int | None) -> tuple[Array, Array, Array]:
    """Return scores, labels, and which of them are to be judged."""
    scores, labels = _arrays(scores, labels)
    ignore_index = _label(ignore_index)
    if scores.ndim != 2 or labels.ndim != 1 or len(scores) != len(labels):
        raise ShapeError(
            "expected scores (n, classes) and labels (n,), "
            f"received {scores.shape} and {labels.shape}"
        )
    if not len(labels):
        raise DataError("expected at least one prediction, received none")
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"expected labels that are class numbers (int64), received {labels.dtype}")
    classes = scores.shape[1]
    if not classes:
        raise ShapeError("expected scores of at least one class, received none")
    kept = np.ones(len(labels), np.bool_) if ignore_index is None else labels != ignore_index
    bad = kept & ((labels < 0) | (labels >= classes))
    if bad.any():
        sample = int(bad.argmax())
        raise DataError(
            f"expected labels 0 to {classes - 1} (there are {classes} scores a row)"
            + ("" if ignore_index is None else f" or {ignore_index} for one that is not judged")
            + f", received {int(labels[sample])} at sample {sample}"
        )
    return scores, labels, kept


def _judged(scores: Array, labels: Array, ignore_index: int | None) -> tuple[Array, Array]:
    """Return scores and labels of the samples to be judged, of which there is at least one."""
    scores, labels, kept = _check(scores, labels, ignore_index)
    if not kept.any():
        raise DataError(
            f"expected at least one label to judge, received {len(labels)} that are all "
            f"{ignore_index}, the one to ignore"
        )
    return scores[kept], labels[kept]


def predictions(scores: Array) -> Array:
    """Return the class with the largest score of each row, int64; -1 for a row with NaN.

    NumPy's argmax would call a row of NaN class 0 and make a broken net look right there.

    Raises
    ------
    DtypeError, ShapeError
        If the scores are no array (n, classes) of numbers.
    """
    scores = arguments.array("scores", scores, "class scores, an array of numbers")
    if scores.ndim != 2 or not scores.shape[1]:
        raise ShapeError(f"expected scores (n, classes), received shape {scores.shape}")
    return np.where(np.isnan(scores).any(1), -1, scores.argmax(1))


def judge(scores: Array, labels: Array, ignore_index: int | None = IGNORED) -> Tally:
    """Count right predictions, and what could not be counted.

    Parameters
    ----------
    scores : array, shape (n, ...)
    labels : array, shape (n, ...)
        Where scores are not (n, classes) and labels not (n,) whole numbers, no prediction is right
        or wrong, but samples with NaN are counted all the same.
    ignore_index : int or None
        The label that is not judged; None if every label is to be.

    Raises
    ------
    DataError
        If a label is neither a class nor the one to ignore.
    DtypeError, ShapeError
        If scores and labels are no arrays of numbers with one length.
    """
    scores, labels = _arrays(scores, labels)
    ignore_index = _label(ignore_index)
    if not scores.ndim or scores.shape[:1] != labels.shape[:1]:
        raise ShapeError(
            "expected scores and labels with one first axis of samples, received "
            f"{scores.shape} and {labels.shape}"
        )
    if not len(scores):
        return Tally()
    nan = np.isnan(scores).any(axis=tuple(range(1, scores.ndim)))
    counts = int(nan.sum()), int(nan.argmax()) if nan.any() else None
    if scores.ndim != 2 or labels.ndim != 1 or labels.dtype.kind not in "iu":
        return Tally(len(scores), 0, 0, *counts, classified=False)
    _, _, kept = _check(scores, labels, ignore_index)
    right = int((predictions(scores) == labels)[kept].sum())
    return Tally(len(scores), right, int((~kept).sum()), *counts)


def accuracy(scores: Array, labels: Array, ignore_index: int | None = IGNORED) -> float:
    """Return the share of judged rows whose largest score is at the label.

    Parameters
    ----------
    scores : array, shape (n, classes)
        A row with NaN is wrong, whatever its label.
    labels : int array, shape (n,)
    ignore_index : int or None
        The label that is not judged; None if every label is to be.

    Raises
    ------
    ShapeError, DataError
        If the arrays do not belong together, a label is no class, or none is to be judged.
    """
    scores, labels = _judged(scores, labels, ignore_index)
    return float(np.mean(predictions(scores) == labels))


def top_k_accuracy(
    scores: Array, labels: Array, k: int = 5, ignore_index: int | None = IGNORED
) -> float:
    """Return the share of judged rows whose label is among the k largest scores.

    Of equal scores the lower class comes first, as in `accuracy`, which is the case k = 1. A row
    with NaN is wrong.

    Raises
    ------
    ConfigurationError
        If k is not between 1 and the number of classes.
    """
    scores, labels = _judged(scores, labels, ignore_index)
    if not arguments.is_whole(k) or not 1 <= k <= scores.shape[1]:
        raise arguments.refusal("k", f"a whole number from 1 to {scores.shape[1]}, the classes", k)
    own = np.take_along_axis(scores, labels[:, None].astype(np.int64), 1)
    first = np.arange(scores.shape[1]) < labels[:, None]
    better = (scores > own) | ((scores == own) & first)
    hits = (better.sum(1) < k) & ~np.isnan(scores).any(1)
    return float(np.mean(hits))


def confusion_matrix(scores: Array, labels: Array, ignore_index: int | None = IGNORED) -> Array:
    """Return int64 counts, shape (classes, classes): row is the label, column the prediction.

    A row of scores with NaN predicts no class and so stands in no cell; nor do ignored labels.
    `judge` tells how many there are of both.

    Raises
    ------
    DataError
        If a label is no class.
    """
    scores, labels, kept = _check(scores, labels, ignore_index)
    classes, predicted = scores.shape[1], predictions(scores)
    kept &= predicted >= 0
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels[kept], predicted[kept]), 1)
    return matrix


@dataclass(frozen=True)
class ClassReport:
    """Precision, recall and F1 of every class.

    Parameters
    ----------
    names : tuple of str
    support, predicted, right : int64 arrays, shape (classes,)
        How often a class is the label, the prediction, and both.
    precision, recall, f1 : float64 arrays, shape (classes,)
        right / predicted, right / support, and 2 right / (predicted + support).
    tally : Tally
        What was counted in all.
    """

    names: tuple[str, ...]
    support: Array
    predicted: Array
    right: Array
    precision: Array
    recall: Array
    f1: Array
    tally: Tally

    @property
    def accuracy(self) -> float:
        """The share of right ones among all that were judged."""
        return float(self.right.sum() / self.support.sum())

    def macro(self) -> tuple[float, float, float]:
        """Return the mean precision, recall and F1 of the classes that occur at all.

        Classes that are neither label nor prediction say nothing and are left out.
        """
        occurs = (self.support > 0) | (self.predicted > 0)
        columns = (self.precision, self.recall, self.f1)
        means = [float(column[occurs].mean()) for column in columns]
        return means[0], means[1], means[2]

    def to_data(self) -> list[dict[str, Any]]:
        """Return a dict for each class, for JSON; a figure of nothing (0 / 0) is None."""
        figures = ("precision", "recall", "f1")
        return [
            {
                "class": name,
                **{
                    figure: float(getattr(self, figure)[k]) if divisor[k] else None
                    for figure, divisor in zip(figures, self._divisors(), strict=True)
                },
                "support": int(self.support[k]),
                "predicted": int(self.predicted[k]),
                "right": int(self.right[k]),
            }
            for k, name in enumerate(self.names)
        ]

    def _divisors(self) -> tuple[Array, Array, Array]:
        """Return what precision, recall and F1 divide by."""
        return self.predicted, self.support, self.predicted + self.support

    def rows(self) -> list[tuple[str, ...]]:
        """Return the lines of a table as texts: class, precision, recall, F1, support.

        A figure of nothing (0 / 0) is a dash.
        """
        lines, figures = [], (self.precision, self.recall, self.f1)
        for k, name in enumerate(self.names):
            shown = [
                f"{figure[k]:.4f}" if divisor[k] else "–"
                for figure, divisor in zip(figures, self._divisors(), strict=True)
            ]
            lines.append((name, *shown, str(int(self.support[k]))))
        means = [f"{mean:.4f}" for mean in self.macro()]
        lines.append(("mean of classes", *means, str(int(self.support.sum()))))
        return lines

    def __str__(self) -> str:
        """Return the table as plain text."""
        rows = [COLUMNS, *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        more = [self.tally.note] if self.tally.note else []
        return "\n".join([*lines, *more])


COLUMNS = ("class", "precision", "recall", "F1", "support")
"""Headings of `ClassReport.rows`."""


def per_class(
    scores: Array,
    labels: Array,
    ignore_index: int | None = IGNORED,
    names: Sequence[str] | None = None,
    zero_division: float = 0.0,
) -> ClassReport:
    """Return precision, recall, F1 and support of every class.

    A row of scores with NaN is a miss of its label and a prediction of no class.

    Parameters
    ----------
    scores : array, shape (n, classes)
    labels : int array, shape (n,)
    ignore_index : int or None
    names : sequence of str, optional
        One for each class; their numbers by default.
    zero_division : float
        What a figure of nothing is, from 0 to 1 or NaN: the precision of a class that was never
        predicted, the recall of one that is no label, the F1 of one that is neither. NaN tells
        them from a true 0.

    Raises
    ------
    ConfigurationError
        If there are not as many names as classes, or `zero_division` is no such share.
    DataError
        If a label is no class, or none is to be judged.
    """
    tally = judge(scores, labels, ignore_index)
    scores, labels = _judged(scores, labels, ignore_index)
    classes, predicted = scores.shape[1], predictions(scores)
    called = tuple(map(str, range(classes))) if names is None else _names(names, classes)
    nothing = _share_of_nothing(zero_division)

    def count(which: Array) -> Array:
        return np.bincount(which.astype(np.int64), minlength=classes)

    def share(part: Array, whole: Array) -> Array:
        out = np.full(classes, nothing, np.float64)
        return np.divide(part, whole, out=out, where=whole > 0)

    support, guessed = count(labels), count(predicted[predicted >= 0])
    right = count(labels[predicted == labels])
    return ClassReport(
        names=called,
        support=support,
        predicted=guessed,
        right=right,
        precision=share(right, guessed),
        recall=share(right, support),
        f1=share(2 * right, guessed + support),
        tally=tally,
    )


def _names(names: Any, classes: int) -> tuple[str, ...]:
    """Return one name a class; whole numbers are names too."""
    given = arguments.ordered("names", names, "a sequence of names")
    if len(given) != classes:
        raise ConfigurationError(f"names: expected {classes}, one a class, received {len(given)}")
    for place, name in enumerate(given):
        if not isinstance(name, str):
            arguments.whole(f"names[{place}]", name)
    return tuple(map(str, given))


def _share_of_nothing(value: Any) -> float:
    if arguments.is_number(value) and value != value:
        return float("nan")
    return arguments.number("zero_division", value, least=0, most=1)
