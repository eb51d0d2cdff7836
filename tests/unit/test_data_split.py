"""Splitting a set: every sample once, shares as asked for, classes on every side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import Dataset, load_mnist_split
from engine.errors import ConfigurationError, DataError, EngineError


def numbered(labels: list[int] | np.ndarray, **settings) -> Dataset:
    """Sample i holds i."""
    return Dataset(
        np.arange(len(labels), dtype=np.float32)[:, None], np.asarray(labels), **settings
    )


def numbers(data: Dataset) -> list[int]:
    return data.x[:, 0].astype(int).tolist()


@given(
    labels=st.lists(st.integers(0, 4), min_size=12, max_size=120),
    shares=st.lists(st.sampled_from([0.1, 0.2, 0.3, 1, 3]), min_size=1, max_size=3),
    stratified=st.booleans(),
    seed=st.integers(0, 2**40),
)
def test_every_sample_is_in_one_set(labels, shares, stratified: bool, seed: int):
    data = numbered(labels)
    sets = data.split(*shares, stratified=stratified, seed=seed)
    assert sorted(n for one in sets for n in numbers(one)) == list(range(len(labels)))
    for one in sets:
        assert numbers(one) == sorted(numbers(one))
        assert np.array_equal(one.y, np.asarray(labels)[numbers(one)])
    for one, share in zip(sets, shares, strict=False):
        wanted = share if isinstance(share, int) else share * len(labels)
        assert abs(len(one) - wanted) <= 1
    again = data.split(*shares, stratified=stratified, seed=seed)
    assert [numbers(one) for one in again] == [numbers(one) for one in sets]


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**40),
)
def test_stratified_keeps_shares_and_every_class_on_both_sides(counts, share: float, seed: int):
    labels = np.repeat(np.arange(len(counts)) * 3, counts)
    try:
        first, second = numbered(labels).split(share, stratified=True, seed=seed)
    except DataError:
        assert round(share * len(labels)) in (0, len(labels))
        return
    assert abs(len(first) - share * len(labels)) <= 0.5 + 1e-6
    for label, count in enumerate(counts):
        in_first, in_second = (int((one.y == 3 * label).sum()) for one in (first, second))
        assert in_first + in_second == count
        assert abs(in_first - count * len(first) / len(labels)) < 2 + 1e-9
        room = min(len(first), len(second)) >= len(counts)
        if room and count >= 2:
            assert in_first
            assert in_second
        if room and count == 1:
            assert (in_first, in_second) == ((1, 0) if len(first) >= len(second) else (0, 1))
    is_complete = set(first.y.tolist()) == set(second.y.tolist())
    assert is_complete == (not first.notes)


def test_mnist_in_two():
    data = load_mnist_split("test")
    train, validation = data.split(0.9, stratified=True, seed=0)
    assert (len(train), len(validation)) == (9000, 1000)
    assert train.classes == validation.classes == data.classes
    shares = np.bincount(validation.y) / np.bincount(data.y)
    assert np.abs(shares - 0.1).max() < 0.002
    assert train.fingerprint() == data.split(0.9, stratified=True, seed=0)[0].fingerprint()
    assert train.fingerprint() != data.split(0.9, stratified=True, seed=1)[0].fingerprint()


@pytest.mark.parametrize(
    ("shares", "lengths"),
    [
        ((0.9,), (18, 2)),
        ((0.9, 0.1), (18, 2)),
        ((0.7, 0.2, 0.1), (14, 4, 2)),
        ((0.7, 0.2), (14, 4, 2)),
        ((5,), (5, 15)),
        ((5, 10), (5, 10, 5)),
        ((5, 15), (5, 15)),
        ((0.5, 3), (10, 3, 7)),
        ((np.float32(0.25), np.int64(2)), (5, 2, 13)),
    ],
)
def test_lengths(shares, lengths):
    data = numbered(np.arange(20) % 2)
    for stratified in (False, True):
        sets = data.split(*shares, stratified=stratified)
        assert tuple(len(one) for one in sets) == lengths


def test_classes_too_small_to_be_everywhere_are_named():
    data = numbered([0] * 10 + [1] * 9 + [2], classes=["cat", "dog", "emu"])
    sets = data.split(0.5, stratified=True)
    for one in sets:
        assert one.notes == (
            "split: too few samples to be in all 2 sets have the classes 'emu' (1)",
        )
    many = numbered(np.arange(40))
    (note,) = many.split(0.5, stratified=True)[1].notes
    assert note.endswith("0 (1), 1 (1), 2 (1), 3 (1), 4 (1) and 35 more")


@pytest.mark.parametrize(
    ("shares", "error", "text"),
    [
        ((), ConfigurationError, "expected a share such as 0.9"),
        ((0,), ConfigurationError, "each share between 0 and 1, .* received 0"),
        ((-0.1,), ConfigurationError, "received -0.1"),
        ((1.5,), ConfigurationError, "received 1.5"),
        ((True,), ConfigurationError, "received True"),
        (("0.5",), ConfigurationError, "received '0.5'"),
        ((float("nan"),), ConfigurationError, "received nan"),
        ((1.0,), DataError, "1.0 of 20 samples leaves none for a second set"),
        ((20,), DataError, "20 of 20 samples leaves none"),
        ((0.9, 0.2), DataError, "ask for 22 of 20 samples"),
        ((21,), DataError, "ask for 21 of 20 samples"),
        ((0.5, 0.01), DataError, r"set 2 would be empty \(0.01 of 20 samples\)"),
    ],
)
def test_shares_that_make_no_sense(shares, error: type[EngineError], text: str):
    with pytest.raises(error, match=f"^split: .*{text}|^split: {text}"):
        numbered(np.arange(20) % 2).split(*shares)


def test_stratified_needs_classes():
    values = Dataset(np.zeros((4, 2)), np.zeros(4))
    with pytest.raises(ConfigurationError, match=r"this set has none \(float64 \(4,\)\)"):
        values.split(0.5, stratified=True)
    labels = np.arange(4) % 2
    both = Dataset(np.zeros((4, 2)), {"a": labels, "b": labels})
    with pytest.raises(ConfigurationError, match="this set has 2"):
        both.split(0.5, stratified=True)
    one = Dataset(np.zeros((4, 2)), {"a": labels, "b": labels.astype(float)})
    assert [len(part) for part in one.split(0.5, stratified=True)] == [2, 2]


def test_a_split_is_pinned():
    """The same seed must give the same sets in every version, or a resumed run sees other data."""
    first, second = numbered(np.arange(12) % 3).split(0.75, stratified=True, seed=0)
    assert numbers(second) == [5, 9, 10]
    assert numbers(numbered(np.arange(12)).split(0.75, seed=0)[1]) == [1, 7, 10]
    assert set(first.y.tolist()) == {0, 1, 2}
