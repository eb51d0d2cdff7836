"""A data set checks what it is given, and keeps it as it is."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data import Dataset
from engine.errors import ConfigurationError, DataError, DtypeError, EngineError, ShapeError


def images(count: int = 5, dtype: str = "float32") -> np.ndarray:
    return np.arange(count * 12, dtype=dtype).reshape(count, 1, 3, 4)


def test_fields_and_indexing():
    data = Dataset(images(), [3, 1, 4, 1, 5], name="few")
    assert len(data) == 5
    assert data.sample_shape == (1, 3, 4)
    assert (data.x.dtype, data.y.dtype) == (np.float32, np.int64)
    x, y = data[2]
    assert x.shape == (1, 3, 4)
    assert y == 4
    x, y = data[1:3]
    assert np.array_equal(x, images()[1:3])
    assert y.tolist() == [1, 4]
    x, y = data[[4, 0]]
    assert np.array_equal(x, images()[[4, 0]])
    assert y.tolist() == [5, 3]
    assert [int(y) for _, y in data] == [3, 1, 4, 1, 5]
    assert repr(data) == "Dataset('few', x float32 (5, 1, 3, 4), y int64 (5,))"


def test_nan_and_infinity_are_accepted():
    x = images()
    x[3, 0, 1, 1] = np.nan
    x[4, 0, 0, 0] = -np.inf
    assert np.isnan(Dataset(x, np.zeros(5, int)).x[3, 0, 1, 1])


@pytest.mark.parametrize(
    ("given", "stored"),
    [("float16", "float32"), ("float64", "float64"), (">f4", "float32"), ("int32", "int64")],
)
def test_exact_conversions_of_samples(given: str, stored: str):
    data = Dataset(images(dtype=given), np.zeros(5, np.uint8))
    assert data.x.dtype == np.dtype(stored)
    assert np.array_equal(data.x, images())
    assert data.y.dtype == np.int64


def test_targets_may_be_values_of_any_shape():
    assert Dataset(images(), np.zeros((5, 2), np.float32)).y.dtype == np.float32
    assert Dataset(images(), np.zeros((5, 2))).y.dtype == np.float64
    assert Dataset(images(), np.zeros((5, 3, 4), np.int16)).y.dtype == np.int64


def test_what_fits_is_not_copied_and_cannot_be_changed():
    x = images()
    data = Dataset(x, np.zeros(5, np.int64))
    assert np.shares_memory(data.x, x)
    with pytest.raises(ValueError, match="read-only"):
        data.x[0] = 1
    x[0] = 1  # the caller's own array stays writable


def test_non_contiguous_arrays():
    x = images(10)[::2].transpose(0, 1, 3, 2)
    data = Dataset(x, np.arange(10)[::2])
    assert data.x.flags.c_contiguous
    assert np.array_equal(data.x, x)


def test_subset():
    data = Dataset(images(), [0, 1, 2, 0, 1], ["a", "b", "c"], name="few")
    assert data.subset(2).y.tolist() == [0, 1]
    assert data.subset(np.int64(2)).y.tolist() == [0, 1]
    chosen = data.subset([4, 2])
    assert chosen.y.tolist() == [1, 2]
    assert np.array_equal(chosen.x, images()[[4, 2]])
    assert (chosen.classes, chosen.name) == (("a", "b", "c"), "few")


@pytest.mark.parametrize(
    "which", [0, -1, 6, [], [5], [-1], [[0, 1]], [0.5], "ab", np.array([True])]
)
def test_subset_refuses(which):
    with pytest.raises(DataError, match=r"^subset: "):
        Dataset(images(), np.zeros(5, int)).subset(which)


def test_labels_are_numbered_by_other_names():
    data = Dataset(images(), [0, 1, 2, 0, -1 + 1], ["b", "a", "unused"], name="few", notes=["n"])
    with pytest.raises(DataError, match="expected classes among a, b, received unused"):
        data.with_classes(["a", "b"])
    chosen = data.subset([0, 1, 3])
    numbered = chosen.with_classes(["a", "b", "c"])
    assert numbered.y.tolist() == [1, 0, 1]
    assert (numbered.classes, numbered.name, numbered.notes) == (("a", "b", "c"), "few", ("n",))
    assert np.array_equal(numbered.x, chosen.x)
    by_name = Dataset(images(2), {"kind": [0, 1]}, ["b", "a"]).with_classes(["a", "b"])
    assert by_name.y["kind"].tolist() == [1, 0]
    with pytest.raises(ConfigurationError, match="has no names of classes"):
        Dataset(images(), [0] * 5).with_classes(["a"])


def test_fingerprint_follows_the_content():
    base = Dataset(images(), np.zeros(5, int)).fingerprint()
    assert base == Dataset(images().copy(), np.zeros(5, np.int8), name="other").fingerprint()
    changed = images()
    changed[4, 0, 2, 3] = np.nextafter(changed[4, 0, 2, 3], 0)
    others = [
        Dataset(changed, np.zeros(5, int)),
        Dataset(images(), [0, 0, 0, 0, 1]),
        Dataset(images().reshape(5, 1, 4, 3), np.zeros(5, int)),
        Dataset(images(dtype="float64"), np.zeros(5, int)),
        Dataset(images(), np.zeros(5)),
    ]
    assert len({base, *(data.fingerprint() for data in others)}) == 6


@pytest.mark.parametrize(
    ("x", "y", "error", "text"),
    [
        (images(), [1, 2], ShapeError, "one target for each of the 5 samples"),
        (images(0), [], DataError, "x is empty"),
        (images(), [], DataError, "y is empty"),
        (np.zeros((5, 0, 3)), np.zeros(5, int), ShapeError, "at least one element"),
        (np.float32(3), [1], ShapeError, "first axis of samples"),
        (images(), 3, ShapeError, "first axis of samples"),
        ([[1.0], [1.0, 2.0]], [0, 1], ShapeError, "no array of one shape"),
        (images().astype(np.uint8), np.zeros(5, int), DtypeError, r"astype\('float32'\) / 255"),
        (images() > 3, np.zeros(5, int), DtypeError, "received bool"),
        (images().astype(complex), np.zeros(5, int), DtypeError, "received complex128"),
        (images().astype(object), np.zeros(5, int), DtypeError, "received object"),
        (images().astype(np.longdouble), np.zeros(5, int), DtypeError, "expected x as float32"),
        (images(), ["a"] * 5, DtypeError, "class numbers"),
        (images(), [True] * 5, DtypeError, "received bool"),
        (images(), [None] * 5, DtypeError, "received object"),
        (images(), np.zeros(5, np.uint64), DtypeError, "received uint64"),
    ],
)
def test_unusable_arrays(x, y, error: type[EngineError], text: str):
    with pytest.raises(error, match=text) as caught:
        Dataset(x, y)
    assert "\n" not in str(caught.value)


def test_labels_without_a_class():
    with pytest.raises(DataError, match="sample 1 has label 2, but there are 2 classes"):
        Dataset(images(), [0, 2, 0, -1, 0], ["a", "b"])
    # An area that is to be ignored is marked with a label of its own, pixel by pixel.
    Dataset(images(), np.full((5, 3, 4), -100), ["a", "b"])


@pytest.mark.parametrize("classes", [[], ["a", "b", "a"]])
def test_class_names_must_differ(classes):
    with pytest.raises(ConfigurationError, match="one distinct name for each class"):
        Dataset(images(), np.zeros(5, int), classes)


@pytest.mark.parametrize("key", [5, -6, [0, 9], "x"])
def test_samples_that_do_not_exist(key):
    with pytest.raises(DataError, match="numbers run from 0 to 4"):
        Dataset(images(), np.zeros(5, int))[key]


@pytest.mark.parametrize(
    "key", [None, True, ..., (0, 1), (), "x", 1.0, [True, 2], [[0, 1]], [True], slice("a", None)]
)
def test_a_key_selects_whole_samples_or_nothing(key):
    """To NumPy None and True make an axis, and a tuple reaches into the samples."""
    with pytest.raises(DataError, match=r"^dataset: the key .* is no sample, slice or list"):
        Dataset(images(), np.zeros((5, 2), int))[key]


def test_keys_of_every_kind():
    data = Dataset(images(), np.arange(5))
    assert data[np.int8(-1)][1] == 4
    for key, expected in (
        ([3, 1], [3, 1]),
        (range(1, 5, 2), [1, 3]),
        (np.array([0, 0], np.uint8), [0, 0]),
        (data.y > 2, [3, 4]),
        ((data.y > 2).tolist(), [3, 4]),
        (slice(None, None, -2), [4, 2, 0]),
        ([], []),
        (np.flatnonzero(data.y > 9), []),
    ):
        x, y = data[key]
        assert y.tolist() == expected
        assert np.array_equal(x, data.x[expected])


def test_class_names_have_an_order():
    for classes in ({"a", "b"}, {"a": 0, "b": 1}, [None, "b"], [True, False], ["a", 1.5]):
        with pytest.raises(ConfigurationError, match=r"^dataset.* expected .*name"):
            Dataset(images(), [0] * 5, classes)
    assert Dataset(images(), [0] * 5, range(2)).classes == ("0", "1")
    assert Dataset(images(), [0] * 5, np.array(["a", "b"])).classes == ("a", "b")
    with pytest.raises(ConfigurationError, match=r"received .* 'a' more than once"):
        Dataset(images(), [0] * 5, ["a", "a"])
    with pytest.raises(ConfigurationError, match="dataset notes: expected a list of sentences"):
        Dataset(images(), [0] * 5, notes="one sentence is no list of letters")
