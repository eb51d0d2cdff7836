"""Which samples go into which part of a set that is split."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine import arguments
from engine.data.parts import listed
from engine.errors import ConfigurationError, DataError, shown
from engine.random import generator
from engine.typing import Array

NO_NOTES: tuple[str, ...] = ()


def sizes(shares: Sequence[Any], count: int) -> list[int]:
    """Return how many samples each part has; what the shares leave over is a part of its own.

    Parameters
    ----------
    shares : sequence of float or int
        Between 0 and 1, or whole numbers of samples.
    count : int
        Samples in all.

    Raises
    ------
    ConfigurationError, DataError
        As `Dataset.split`.
    """
    if not shares:
        raise ConfigurationError("split: expected a share such as 0.9 or a number of samples")
    ends, total = [0], 0.0
    for share in shares:
        total += _samples(share, count)
        # Rounding where a part ends, not how long it is, loses no sample to 0.7 + 0.2 + 0.1.
        ends.append(math.floor(total + 0.5))
    if ends[-1] > count:
        raise DataError(
            f"split: the shares {listed([shown(share) for share in shares])} ask for "
            f"{ends[-1]:,} of {count:,} samples; shares may add up to 1"
        )
    result = [end - start for start, end in itertools.pairwise(ends)]
    if ends[-1] < count:
        result.append(count - ends[-1])
    if len(result) < 2:
        raise DataError(
            f"split: {shown(shares[0])} of {count:,} samples leaves none for a second set; give a "
            "smaller share"
        )
    if 0 in result:
        place = result.index(0)
        raise DataError(
            f"split: set {place + 1} would be empty ({shown(shares[place])} of {count:,} samples); "
            "give a larger share"
        )
    return result


def _samples(share: Any, count: int) -> float:
    """Return how many samples a share is, not rounded."""
    if arguments.is_whole(share):
        if 1 <= share <= arguments.LARGEST:
            return int(share)
    elif arguments.is_number(share) and 0 < share <= 1:
        return float(share) * count
    advice = "give several shares one by one, split(0.8, 0.2)"
    raise arguments.refusal(
        "split",
        "each share between 0 and 1, or a whole number of samples",
        share,
        advice if arguments.is_sequence(share) else "",
    )


def at_random(lengths: Sequence[int], seed: int) -> list[Array]:
    """Return the sample numbers of each part, in order."""
    order = generator(seed, "split").permutation(sum(lengths))
    return [np.sort(part) for part in np.split(order, np.cumsum(lengths)[:-1])]


def by_class(
    labels: Array, lengths: Sequence[int], seed: int, names: Sequence[str] | None = None
) -> tuple[list[Array], tuple[str, ...]]:
    """Return the sample numbers of each part, and what is to be said about them.

    Parameters
    ----------
    labels : int64 array, shape (n,)
    lengths : sequence of int
        Samples in each part.
    seed : int
    names : sequence of str, optional
        Of the classes.

    Returns
    -------
    parts : list of int64 array
        Each in order. A class's share of a part is at most one sample off, or two where that
        brings the class into a part that would lack it.
    notes : tuple of str
        Which classes have too few samples to be everywhere.
    """
    random = generator(seed, "split", "stratified")
    known, number = np.unique(labels, return_inverse=True)
    # Each class is spread evenly over a line, from a start of its own; parts are pieces of it.
    order = random.permutation(len(labels))
    place = np.empty(len(labels))
    members = []
    for c, start in enumerate(random.random(len(known))):
        members.append(order[number[order] == c])
        place[members[-1]] = (np.arange(len(members[-1])) + start) / len(members[-1])
    part = np.empty(len(labels), np.int64)
    part[np.argsort(place, kind="stable")] = np.repeat(np.arange(len(lengths)), lengths)
    counts = np.zeros((len(known), len(lengths)), np.int64)
    np.add.at(counts, (number, part), 1)
    _complete(counts, lengths)
    chosen: list[list[Array]] = [[] for _ in lengths]
    for own, row in zip(members, counts, strict=True):
        for taken, piece in zip(chosen, np.split(own, np.cumsum(row)[:-1]), strict=True):
            taken.append(piece)
    return [np.sort(np.concatenate(pieces)) for pieces in chosen], _notes(known, counts, names)


def _complete(counts: Array, lengths: Sequence[int]) -> None:
    """Bring classes into parts that lack them, by exchanging single samples between parts.

    Every part keeps its length, and no class leaves a part, except that one with fewer samples
    than there are parts moves to the largest ones.
    """
    by_size = sorted(range(len(lengths)), key=lambda p: (-lengths[p], p))
    for c in np.argsort(counts.sum(axis=1), kind="stable"):
        wanted = by_size[: int(counts[c].sum())]
        for p in wanted:
            if counts[c, p]:
                continue
            spare = [q for q in range(len(lengths)) if counts[c, q] > (q in wanted)]
            others = np.where(np.arange(len(counts)) == c, 0, counts[:, p])
            if not spare or others.max() < 2:
                continue
            giving, given = max(spare, key=lambda q: counts[c, q]), int(others.argmax())
            counts[c, giving] -= 1
            counts[c, p] += 1
            counts[given, p] -= 1
            counts[given, giving] += 1


def _notes(known: Array, counts: Array, names: Sequence[str] | None) -> tuple[str, ...]:
    missing = np.flatnonzero((counts == 0).any(axis=1))
    if not missing.size:
        return ()
    texts = [
        f"{repr(names[known[c]]) if names is not None else known[c]} ({counts[c].sum()})"
        for c in missing
    ]
    return (
        f"split: too few samples to be in all {counts.shape[1]} sets have the classes "
        f"{listed(texts)}",
    )
