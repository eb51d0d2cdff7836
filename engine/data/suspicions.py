"""What in a data set is likely a mistake, and what would mend it: one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.parts import listed
from engine.typing import Array

if TYPE_CHECKING:
    from engine.data.describing import InputFacts, TargetFacts

LARGE = 10.0
"""Inputs beyond this make the first steps of training huge; normalised data rarely reach 5."""
UNEVEN = 10
"""A class with so many times fewer samples than another is hardly learnt."""
MANY_LABELS = 20
"""Fewer different labels than this are never taken for numbers of rows."""
PROBE = 64
"""Samples that rule out most columns before all samples are compared."""


def of_target(facts: TargetFacts, samples: int) -> Iterator[str]:
    """Yield what is unusual about one target."""
    if facts.nan or facts.infinite:
        yield (
            f"{facts.name} holds {_bad(facts)}, which no loss can work with; remove those samples"
        )
    counts = facts.classes
    if counts is None:
        return
    used = {name: count for name, count in counts.items() if count}
    if len(used) == 1 and samples > 1:
        yield (
            f"all {samples:,} samples are of one class, {next(iter(used))}, so there is nothing to "
            "tell apart; is the label another column (label=), is a folder missing?"
        )
        return
    if len(used) > max(MANY_LABELS, samples // 2):
        yield (
            f"{len(used):,} different labels among {samples:,} samples: are they numbers of rows "
            "(label= names another column) or values to predict (make them floats)?"
        )
        return
    yield from _numbering(facts.name, counts)
    few, many = min(used.values()), max(used.values())
    if many >= UNEVEN * few:
        rarest, commonest = (
            next(name for name, count in used.items() if count == wanted) for wanted in (few, many)
        )
        yield (
            f"classes are uneven: {commonest} has {many:,} samples, {rarest} {few:,}; judge by "
            "each class, or weigh them in the loss (weight=)"
        )


def _numbering(name: str, counts: dict[Any, int]) -> Iterator[str]:
    """Yield what is wrong with how classes are numbered."""
    missing = [key for key, count in counts.items() if not count]
    if missing:
        yield f"no sample of {len(missing)} of {len(counts)} classes: {listed(missing)}"
    numbers = sorted(key for key in counts if isinstance(key, int))
    if not numbers:
        return
    negative = [key for key in numbers if key < 0]
    if negative:
        yield (
            f"{name} has labels below 0 ({listed(negative)}); classes are numbered from 0, only "
            "a loss's ignore_index may stand there"
        )
    if len(negative) == len(numbers):
        return
    first, last = next(key for key in numbers if key >= 0), numbers[-1]
    positive = len(numbers) - len(negative)
    if first == 1 and last == positive:
        yield (
            f"labels run from 1 to {last}, and classes are numbered from 0: a model needs "
            f"{last + 1} outputs for them, {last} for {name} - 1"
        )
        return
    gaps = last + 1 - positive
    if 0 < gaps <= positive:
        present = set(numbers)
        absent = [number for number in range(last + 1) if number not in present]
        yield f"no sample of {gaps} of {last + 1} classes: {listed(absent)}"
    elif gaps:
        yield (
            f"labels run up to {last} but only {positive} of those {last + 1} classes have "
            "samples; np.unique(labels, return_inverse=True) numbers them without gaps"
        )


def of_input(facts: InputFacts, array: Array, targets: Sequence[Array]) -> Iterator[str]:
    """Yield what is unusual about one input."""
    name = facts.name
    if facts.nan or facts.infinite:
        place = facts.first_bad or ()
        yield (
            f"{name} holds {_bad(facts)}, the first in sample {place[0]} at {place[1:]}; training "
            "refuses them"
        )
    if array.dtype.kind != "f":
        return
    yield from _constants(facts)
    yield from _layout(facts)
    reach = max(abs(facts.minimum), abs(facts.maximum))
    if reach > LARGE:
        is_byte = len(facts.shape) == 3 and facts.minimum >= 0 and facts.maximum <= 255
        advice = f"{name} / 255" if is_byte else "(x - mean) / deviation"
        yield (
            f"{name} runs from {facts.minimum:.6g} to {facts.maximum:.6g}: nets learn from numbers "
            f"around 1, and such inputs often end in NaN; use {advice} or transforms.Normalize"
        )
    if len(facts.shape) == 1:
        yield from _columns(name, array, targets)


def _constants(facts: InputFacts) -> Iterator[str]:
    features = int(np.prod(facts.shape)) if facts.shape else 1
    if facts.looked_at > 1 and facts.constant_features == features:
        yield f"all {facts.looked_at:,} samples of {facts.name} are equal"
    elif features > 1 and facts.constant_samples:
        what = "pictures" if len(facts.shape) == 3 else "samples"
        of_all = "all" if facts.constant_samples == facts.looked_at else ""
        yield (
            f"{of_all or f'{facts.constant_samples:,} of'} {facts.looked_at:,} {what} of "
            f"{facts.name} are one single value throughout, as an empty picture is"
        )
    if len(facts.shape) == 1 and 0 < facts.constant_features < features:
        yield f"{facts.constant_features:,} of {features:,} columns of {facts.name} never change"


def _layout(facts: InputFacts) -> Iterator[str]:
    """Yield what is wrong with the order of the axes of pictures."""
    if len(facts.shape) != 3:
        return
    first, middle, last = facts.shape
    if last <= 4 < first and middle > 4:
        yield (
            f"{facts.name} of shape {facts.shape} looks like (h, w, channels), nets take "
            f"(channels, h, w): {facts.name}.transpose(0, 3, 1, 2)"
        )
    elif first == 4:
        yield (
            f"{facts.name} has 4 channels; if the fourth is transparency it says nothing: "
            f"{facts.name}[:, :3]"
        )


def _columns(name: str, array: Array, targets: Sequence[Array]) -> Iterator[str]:
    """Yield which columns of a table are none to learn from."""
    probe = array[:PROBE].astype(np.float64)
    if len(array) > 2:
        counting = [
            column
            for column in np.flatnonzero((np.diff(probe, axis=0) == 1).all(axis=0))
            if (np.diff(array[:, column].astype(np.float64)) == 1).all()
        ]
        if counting:
            yield (
                f"column {listed(counting)} of {name} counts the samples: an index, which says "
                "nothing about a new sample; leave it out"
            )
    for labels in targets:
        if labels.ndim != 1 or len(np.unique(labels[:PROBE])) < 2:
            continue
        same = [
            column
            for column in np.flatnonzero((probe == labels[:PROBE, None]).all(axis=0))
            if np.array_equal(array[:, column], labels)
        ]
        if same:
            yield (
                f"column {listed(same)} of {name} is the label itself, so the answer is among the "
                "features; leave it out"
            )


def _bad(facts: InputFacts | TargetFacts) -> str:
    texts = [f"{facts.nan:,} NaN"] * bool(facts.nan)
    return " and ".join(texts + [f"{facts.infinite:,} infinite values"] * bool(facts.infinite))
