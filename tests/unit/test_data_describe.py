"""What a set says of itself: facts that are exact, and warnings for what is likely a mistake."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import pytest

from engine.data import Dataset, describing, load_mnist_split
from engine.data.describing import Description

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.random((40, 1, 6, 6), np.float32)
LABELS = np.arange(40) % 4
TABLE = RANDOM.normal(size=(40, 3)).astype(np.float32)


def test_facts_of_ordinary_pictures():
    x = RANDOM.normal(size=(50, 3, 4, 5)).astype(np.float32)
    found = Dataset(x, np.arange(50) % 2, ["cat", "dog"], name="few").describe()
    assert (found.samples, found.shape, found.dtype, found.name) == (
        50,
        (3, 4, 5),
        "float32",
        "few",
    )
    assert (found.minimum, found.maximum) == (x.min(), x.max())
    exact = x.astype(np.float64)
    assert np.allclose(found.inputs[0].mean, exact.mean(axis=(0, 2, 3)))
    assert np.allclose(found.inputs[0].deviation, exact.std(axis=(0, 2, 3)))
    assert found.classes == {"cat": 25, "dog": 25}
    assert (found.nan, found.infinite, found.warnings, found.notes) == (0, 0, (), ())
    assert str(found).splitlines()[0] == "few: 50 samples"
    assert "2 classes (cat: 25, dog: 25)" in str(found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("chunk", [7, 100, 10**6])
def test_facts_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch, dtype, chunk: int):
    monkeypatch.setattr(describing, "CHUNK", chunk)
    x = RANDOM.normal(size=(31, 2, 3)).astype(dtype)
    x[4] = 0.5
    x[:, 1, 2] = 0.25
    x[4, 1, 2] = 0.25
    x[9, 0, 1] = np.nan
    x[12, 1, 0], x[12, 1, 1] = np.inf, -np.inf
    (facts,) = Dataset(x, np.zeros(31)).describe().inputs
    good = np.isfinite(x)
    assert (facts.nan, facts.infinite, facts.first_bad) == (1, 2, (9, 0, 1))
    assert (facts.minimum, facts.maximum) == (x[good].min(), x[good].max())
    assert np.allclose(facts.mean, x[good].mean(dtype=np.float64))
    assert np.allclose(facts.deviation, x[good].std(dtype=np.float64))
    assert facts.constant_samples == 0
    assert facts.constant_features == 1
    assert facts.looked_at == 31


def test_constant_samples_are_counted():
    x = PICTURES.copy()
    x[3], x[7] = 0, 1
    found = Dataset(x, LABELS).describe()
    assert found.inputs[0].constant_samples == 2
    assert "2 of 40 pictures of x are one single value throughout" in found.warnings[0]


def test_huge_values_do_not_overflow():
    x = np.full((3, 2), 1e30, np.float32)
    x[0] = -1e30
    (facts,) = Dataset(x, np.zeros(3)).describe().inputs
    assert np.allclose(facts.mean, x.astype(np.float64).mean())
    assert np.allclose(facts.deviation, x.astype(np.float64).std())


def test_nothing_but_nan():
    found = Dataset(np.full((3, 2), np.nan), np.full(3, np.inf)).describe()
    assert np.isnan(found.minimum)
    assert (found.nan, found.infinite) == (6, 3)
    assert "6 NaN, the first in sample 0 at (0,)" in found.warnings[1]
    assert "y holds 3 infinite values" in found.warnings[0]
    json.dumps(found.config())


def test_a_very_large_set_is_sampled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(describing, "LOOKED_AT", 400)
    x = RANDOM.random((1000, 4), np.float32)
    x[500, 2] = np.nan
    (facts,) = Dataset(x, np.zeros(1000)).describe().inputs
    assert facts.looked_at == 100
    assert facts.first_bad == (500, 2)


def test_mnist_is_quick_and_right():
    data = load_mnist_split("test")
    start = time.perf_counter()
    found = data.describe()
    assert time.perf_counter() - start < 2.0  # 0.02 s on an idle machine
    assert found.classes is not None
    assert found.classes["1"] == 1135
    assert found.inputs[0].mean == pytest.approx((0.1325,), abs=1e-4)
    assert found.warnings == ()


UNUSUAL: dict[str, tuple[np.ndarray, np.ndarray, str]] = {
    "one class": (PICTURES, np.zeros(40, int), "all 40 samples are of one class, 0, so there is"),
    "uneven": (PICTURES, np.repeat([0, 1], [38, 2]), "0 has 38 samples, 1 2; judge by each class"),
    "all labels differ": (PICTURES, np.arange(40), "40 different labels among 40 samples"),
    "from 1": (PICTURES, LABELS + 1, "labels run from 1 to 4, .* 5 outputs for them, 4 for y - 1"),
    "gaps": (PICTURES, LABELS * 5, "labels run up to 15 but only 4 of those 16 classes"),
    "a gap": (PICTURES, LABELS + (LABELS > 1), "no sample of 1 of 5 classes: 2"),
    "below 0": (PICTURES, np.where(LABELS, LABELS - 1, -100), r"labels below 0 \(-100\)"),
    "NaN": (np.where(PICTURES > 0.99, np.nan, PICTURES), LABELS, "NaN, the first in sample"),
    "infinite": (np.where(PICTURES > 0.99, np.inf, PICTURES), LABELS, "infinite values, the first"),
    "NaN target": (PICTURES, np.where(LABELS, 0.5, np.nan), "y holds 10 NaN"),
    "bytes as floats": (PICTURES * 255, LABELS, r"x runs from .* use x / 255 or transforms.Norm"),
    "large": (TABLE * 1000, LABELS, r"x runs from -.* use \(x - mean\) / deviation"),
    "channels last": (PICTURES.transpose(0, 2, 3, 1), LABELS, r"like \(h, w, channels\), .*transp"),
    "four channels last": (
        RANDOM.random((40, 6, 6, 4), np.float32), LABELS, r"transpose\(0, 3, 1, 2\)",
    ),
    "four channels": (
        RANDOM.random((40, 4, 6, 6), np.float32), LABELS, r"x has 4 channels; .* x\[:, :3\]",
    ),
    "all equal": (np.repeat(PICTURES[:1], 40, axis=0), LABELS, "all 40 samples of x are equal"),
    "all empty": (PICTURES * 0 + LABELS[:, None, None, None], LABELS, "all 40 pictures of x"),
    "a column that is constant": (TABLE * [1, 0, 1], LABELS, "1 of 3 columns of x never change"),
    "an index": (
        np.column_stack([np.arange(40) + 1, TABLE]), LABELS, "column 0 of x counts the samples",
    ),
    "the label among the features": (
        np.column_stack([TABLE, LABELS]), LABELS, "column 3 of x is the label itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSUAL)
def test_what_is_unusual_is_said(case: str):
    x, y, text = UNUSUAL[case]
    found = Dataset(x, y).describe()
    matching = [warning for warning in found.warnings if re.search(text, warning)]
    assert len(matching) == 1, found.warnings
    assert "\n" not in matching[0]
    assert f"warning: {matching[0]}" in str(found)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (PICTURES, LABELS),
        (TABLE, LABELS),
        (PICTURES, RANDOM.random(40)),
        (RANDOM.random((40, 3, 6, 6)), LABELS),
        (RANDOM.integers(0, 5000, (40, 12)), LABELS),  # tokens have no range to be hinted at
        (np.arange(40)[:, None] * np.ones((1, 3), int), LABELS),
        (RANDOM.random((40, 3, 4, 4)), LABELS),
        (PICTURES[:1], LABELS[:1]),
        (PICTURES, RANDOM.integers(0, 4, (40, 6, 6))),
    ],
)
def test_what_is_usual_is_not_said(x: np.ndarray, y: np.ndarray):
    assert Dataset(x, y).describe().warnings == ()


def test_classes_without_samples_are_named():
    found = Dataset(PICTURES, LABELS, list("abcdef")).describe()
    assert found.classes == {"a": 10, "b": 10, "c": 10, "d": 10, "e": 0, "f": 0}
    assert found.warnings == ("no sample of 2 of 6 classes: e, f",)


def test_several_parts_are_named():
    found = Dataset({"p": PICTURES * 255, "t": TABLE}, {"k": LABELS, "v": TABLE}).describe()
    assert [part.name for part in (*found.inputs, *found.targets)] == [
        "x['p']", "x['t']", "y['k']", "y['v']",
    ]  # fmt: skip
    assert "x['p'] / 255" in found.warnings[0]
    assert found.classes == {0: 10, 1: 10, 2: 10, 3: 10}


def test_notes_are_kept_and_shown():
    data = Dataset(PICTURES, LABELS, notes=["read as grey"]).with_notes("and so on")
    for one in (data, data.subset(3), *data.split(0.5)):
        assert one.notes == ("read as grey", "and so on")
    found = data.describe()
    assert isinstance(found, Description)
    assert found.notes == data.notes
    assert "  note: read as grey\n  note: and so on" in str(found)
    assert json.loads(json.dumps(found.config()))["notes"] == list(data.notes)
    assert data.fingerprint() == Dataset(PICTURES, LABELS).fingerprint()
