"""Metrics on cases small enough to count by hand, and against scikit-learn's definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.errors import ConfigurationError, DataError, EngineError, ShapeError
from engine.events import EpochFinished, StepFinished
from engine.layers import Dense
from engine.losses import CrossEntropyLoss, MSELoss
from engine.metrics import (
    Tally,
    accuracy,
    confusion_matrix,
    judge,
    per_class,
    predictions,
    top_k_accuracy,
)
from engine.optimizers import SGD

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.6, 0.1, 0.3]], np.float32)
LABELS = np.array([1, 1, 2, 2])
NAN = np.nan

METRICS: dict[str, Any] = {
    "accuracy": accuracy,
    "top_k_accuracy": lambda s, t, **o: top_k_accuracy(s, t, 1, **o),
    "confusion_matrix": confusion_matrix,
    "per_class": per_class,
    "judge": judge,
}
"""All that look at scores and labels; a new one belongs here."""


def share_right(name: str, result: Any) -> float:
    """Return the share of right predictions that a metric's result speaks of."""
    if name == "confusion_matrix":
        return float(np.trace(result) / max(result.sum(), 1))
    return result.accuracy if name in ("per_class", "judge") else result


def test_accuracy() -> None:
    assert accuracy(SCORES, LABELS) == 0.5
    assert accuracy(SCORES, SCORES.argmax(axis=1)) == 1.0


@pytest.mark.parametrize(("k", "expected"), [(1, 0.5), (2, 1.0), (3, 1.0)])
def test_top_k_accuracy(k: int, expected: float) -> None:
    assert top_k_accuracy(SCORES, LABELS, k) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_of_equal_scores_the_lower_class_comes_first_in_every_metric(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (500, 4)).astype(dtype)
    labels = rng.integers(0, 4, 500)
    expected = np.mean(scores.argmax(1) == labels)
    for name, metric in METRICS.items():
        assert share_right(name, metric(scores, labels)) == expected, name
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")
    for k in range(1, 5):
        hits = (order[:, :k] == labels[:, None]).any(1)
        assert top_k_accuracy(scores, labels, k) == hits.mean()


def test_confusion_matrix_has_labels_down_and_predictions_across() -> None:
    matrix = confusion_matrix(SCORES, LABELS)
    np.testing.assert_array_equal(matrix, [[0, 0, 0], [1, 1, 0], [1, 0, 1]])
    assert matrix.dtype == np.int64
    assert np.trace(matrix) / matrix.sum() == accuracy(SCORES, LABELS)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: accuracy(SCORES, LABELS[:3]), ShapeError),
        (lambda: accuracy(SCORES[0], LABELS), ShapeError),
        (lambda: accuracy(SCORES[:0], LABELS[:0]), DataError),
        (lambda: top_k_accuracy(SCORES, LABELS, 0), ConfigurationError),
        (lambda: top_k_accuracy(SCORES, LABELS, 4), ConfigurationError),
        (lambda: confusion_matrix(SCORES, LABELS + 1), DataError),
        (lambda: confusion_matrix(SCORES, LABELS - 2), DataError),
        (lambda: confusion_matrix(SCORES, LABELS + 0.5), EngineError),
        (lambda: per_class(SCORES, LABELS, names=("a", "b")), ConfigurationError),
    ],
)
def test_unusable_arguments_are_refused(call: Any, error: type[EngineError]) -> None:
    with pytest.raises(error):
        call()


# ------------------------------------------------------------------ what cannot be counted


@pytest.mark.parametrize("name", METRICS)
def test_a_row_of_nan_is_never_right(name: str) -> None:
    """argmax of NaN is 0; a broken network must not look right on class 0."""
    for k in range(3):
        scores = np.full((3, 3), NAN, np.float32)
        assert share_right(name, METRICS[name](scores, np.full(3, k))) == 0.0
        scores = np.eye(3)
        scores[k, (k + 1) % 3] = NAN
        result = METRICS[name](scores, np.arange(3))
        expected = 1.0 if name == "confusion_matrix" else 2 / 3
        assert share_right(name, result) == pytest.approx(expected)


def test_a_row_of_nan_is_booked_nowhere_in_the_matrix() -> None:
    assert confusion_matrix(np.array([[NAN, 0, 1]]), np.array([0])).sum() == 0
    report = per_class(np.array([[NAN, 0, 1], [1, 0, 0]]), np.array([0, 0]))
    np.testing.assert_array_equal(report.support, [2, 0, 0])
    np.testing.assert_array_equal(report.predicted, [1, 0, 0])
    np.testing.assert_array_equal(report.recall, [0.5, 0, 0])
    assert report.accuracy == 0.5


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("label", [-1, 3, -101, 2**40])
def test_a_label_that_is_no_class_is_an_error_that_names_it(name: str, label: int) -> None:
    with pytest.raises(DataError, match=rf"labels 0 to 2.*received {label} at sample 2"):
        METRICS[name](SCORES, np.array([1, -100, label, 7]))
    with pytest.raises(DataError, match="received -1 at sample 0"):
        METRICS[name](np.array([[NAN, NAN], [0, 1]]), np.array([-1, 1]))
    with pytest.raises(DataError, match="received -100 at sample 1"):
        METRICS[name](SCORES, np.array([1, -100, 1, 1]), ignore_index=None)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("ignored", [-100, -1, 0, 255])
def test_ignored_labels_count_nowhere(name: str, ignored: int) -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.random((200, 3)), rng.integers(0, 3, 200)
    labels[rng.random(200) < 0.4] = ignored
    kept = labels != ignored
    whole = METRICS[name](scores, labels, ignore_index=ignored)
    part = METRICS[name](scores[kept], labels[kept], ignore_index=None)
    assert share_right(name, whole) == share_right(name, part)
    if name == "judge":
        assert (whole.counted, whole.skipped) == (kept.sum(), 200 - kept.sum())
    elif name != "confusion_matrix":
        with pytest.raises(DataError, match="at least one label to judge"):
            METRICS[name](scores, np.full(200, ignored), ignore_index=ignored)


def test_labels_of_any_integer_type() -> None:
    for dtype in ("uint8", "int8", "uint64", "int64"):
        assert accuracy(SCORES, LABELS.astype(dtype)) == 0.5
        assert per_class(SCORES, LABELS.astype(dtype)).accuracy == 0.5


def test_judge_counts_and_says_what_it_could_not_count() -> None:
    scores = np.array([[1, 0], [NAN, 1], [0, 1], [0, NAN], [1, 0]])
    tally = judge(scores, np.array([0, 0, 1, -100, 1]))
    assert tally == Tally(samples=5, right=2, skipped=1, nan=2, first_nan=1)
    assert (tally.counted, tally.accuracy) == (4, 0.5)
    assert tally.note == (
        "1 of 5 labels are ignored, not judged; the scores of 2 samples are NaN, which is never "
        "right; the first is sample 1"
    )
    assert judge(SCORES, LABELS).note == ""
    assert judge(SCORES, np.full(4, -100)).accuracy is None


def test_tallies_of_parts_add_up_to_that_of_the_whole() -> None:
    rng = np.random.default_rng(2)
    scores, labels = rng.random((90, 4)), rng.integers(-1, 4, 90)
    scores[[37, 38, 80], 1] = NAN
    parts = [judge(scores[i : i + 30], labels[i : i + 30], -1) for i in (0, 30, 60)]
    assert sum(parts, Tally()) == judge(scores, labels, -1)
    assert sum(parts, Tally()).first_nan == 37


# ---------------------------------------------------------------------------- per class


def test_precision_recall_and_f1_by_hand() -> None:
    report = per_class(SCORES, LABELS, names=("cat", "dog", "owl"))
    np.testing.assert_array_equal(report.support, [0, 2, 2])
    np.testing.assert_array_equal(report.predicted, [2, 1, 1])
    np.testing.assert_array_equal(report.right, [0, 1, 1])
    np.testing.assert_array_equal(report.precision, [0, 1, 1])
    np.testing.assert_array_equal(report.recall, [0, 0.5, 0.5])
    np.testing.assert_allclose(report.f1, [0, 2 / 3, 2 / 3])
    assert report.macro() == pytest.approx((2 / 3, 1 / 3, 4 / 9))
    assert report.to_data()[0] == {
        "class": "cat",
        "precision": 0.0,
        "recall": None,
        "f1": 0.0,
        "support": 0,
        "predicted": 2,
        "right": 0,
    }


@pytest.mark.parametrize("zero", [0.0, 1.0, NAN])
def test_a_figure_of_nothing_is_what_zero_division_says_and_a_dash_in_the_table(
    zero: float,
) -> None:
    """Class 2 is a label that is never predicted, class 3 neither."""
    scores = np.eye(4)[[0, 1, 1]]
    report = per_class(scores, np.array([0, 1, 2]), zero_division=zero)
    np.testing.assert_array_equal(report.precision, [1, 0.5, zero, zero])
    np.testing.assert_array_equal(report.recall, [1, 1, 0, zero])
    np.testing.assert_array_equal(report.f1, [1, 2 / 3, 0, zero])
    table = str(report).splitlines()
    assert table[0].split() == ["class", "precision", "recall", "F1", "support"]
    assert table[3].split() == ["2", "–", "0.0000", "0.0000", "1"]
    assert table[4].split() == ["3", "–", "–", "–", "0"]
    assert [line.rsplit(" ", 1)[-1] for line in table[1:]] == ["1", "1", "1", "0", "3"]
    assert len({len(line) for line in table}) == 1


def test_the_report_agrees_with_the_confusion_matrix() -> None:
    rng = np.random.default_rng(3)
    scores, labels = rng.random((400, 6)), rng.integers(0, 6, 400)
    matrix, report = confusion_matrix(scores, labels), per_class(scores, labels)
    np.testing.assert_allclose(report.precision, np.diag(matrix) / matrix.sum(0))
    np.testing.assert_allclose(report.recall, np.diag(matrix) / matrix.sum(1))
    both = 2 * report.precision * report.recall / (report.precision + report.recall)
    np.testing.assert_allclose(report.f1, both)
    assert report.accuracy == accuracy(scores, labels)


def test_a_report_says_what_it_could_not_count() -> None:
    scores = SCORES.copy()
    scores[2, 0] = NAN
    assert "sample 2" in str(per_class(scores, LABELS)).splitlines()[-1]


# ------------------------------------------------------------------------ in the scheduler


def linear(classes: int = 2, **options: Any) -> Scheduler:
    """Return a run of a net that passes its input on as scores."""
    model = Model([Dense(classes, classes, bias=False, name="fc")], input_shape=(classes,), seed=0)
    model["fc"].weight.value = np.eye(classes)
    return Scheduler(model, options.pop("loss", CrossEntropyLoss()), SGD(learning_rate=0.0))


def test_evaluate_does_not_judge_ignored_labels() -> None:
    x = np.array([[5, 0], [5, 0]], np.float32)
    result = linear().evaluate(Dataset(x, np.array([0, -100])))
    assert (result.accuracy, result.counted, result.skipped, result.samples) == (1.0, 1, 1, 2)
    assert result.loss == pytest.approx(np.log1p(np.exp(-5)), rel=1e-5)
    assert result.note == "1 of 2 labels are ignored, not judged"


def test_evaluate_takes_the_index_that_the_loss_ignores() -> None:
    x = np.array([[5, 0], [5, 0], [0, 5]], np.float32)
    run = linear(loss=CrossEntropyLoss(ignore_index=1))
    result = run.evaluate(Dataset(x, np.array([0, 1, 1])))
    assert (result.accuracy, result.counted, result.skipped) == (1.0, 1, 2)


def test_evaluate_of_nothing_but_ignored_labels_has_no_loss_and_no_accuracy() -> None:
    x = np.array([[5, 0], [5, 0]], np.float32)
    result = linear().evaluate(Dataset(x, np.array([-100, -100])))
    assert np.isnan(result.loss)
    assert (result.accuracy, result.counted, result.skipped) == (None, 0, 2)


def test_evaluate_says_which_sample_has_scores_of_nan() -> None:
    """Across the pieces in which a set is evaluated."""
    x = np.tile(np.array([[5, 0]], np.float32), (700, 1))
    x[[611, 650], 1] = np.nan
    result = linear().evaluate(Dataset(x, np.zeros(700, np.int64)))
    assert np.isnan(result.loss)
    assert result.accuracy == 698 / 700
    assert (result.nan, result.first_nan, result.counted) == (2, 611, 700)
    assert "the first is sample 611" in result.note
    numbers = linear(loss=MSELoss()).evaluate(Dataset(x, np.zeros((700, 2), np.float32)))
    assert (numbers.accuracy, numbers.nan, numbers.first_nan) == (None, 2, 611)


def test_evaluate_names_a_label_out_of_range_by_its_place_in_the_set() -> None:
    x = np.zeros((700, 2), np.float32)
    y = np.zeros(700, np.int64)
    y[611] = 2
    with pytest.raises(DataError, match="received 2 at sample 611"):
        linear().evaluate(Dataset(x, y))


def test_evaluate_needs_one_loss() -> None:
    run = linear(loss=CrossEntropyLoss(reduction="none"))
    with pytest.raises(ConfigurationError, match="reduced by"):
        run.evaluate(Dataset(np.zeros((2, 2), np.float32), np.array([0, 1])))


@pytest.mark.parametrize("stepped", [False, True])
def test_training_does_not_see_ignored_labels(stepped: bool) -> None:
    x = np.array([[5, 0], [5, 0], [0, 5], [5, 0], [5, 0]], np.float32)
    run = linear()
    loader = DataLoader(Dataset(x, np.array([0, -100, -100, 1, -100])), batch_size=2)
    events: list[Any] = []
    run.listen(events.append)
    if stepped:
        Session(run, loader=loader).resume()
    else:
        run.fit(loader, epochs=1)
        steps = [e for e in events if isinstance(e, StepFinished)]
        assert [(e.correct, e.counted, e.samples) for e in steps] == [
            (1, 1, 2),
            (0, 1, 2),
            (0, 0, 1),
        ]
        assert [e.accuracy for e in events if isinstance(e, EpochFinished)] == [0.5]
    assert run.history.accuracy.tolist() == [0.5]


def test_an_epoch_tells_what_its_validation_could_not_count() -> None:
    x = np.array([[5, 0], [5, 0]], np.float32)
    run, events = linear(), list[Any]()
    run.listen(events.append)
    train = DataLoader(Dataset(x, np.array([0, 0])), batch_size=2)
    run.fit(train, epochs=1, validation=Dataset(x, np.array([0, -100])))
    (epoch,) = (e for e in events if isinstance(e, EpochFinished))
    assert epoch.accuracy == 1.0
    assert epoch.note == "1 of 2 labels are ignored, not judged"


def test_predictions_of_nan() -> None:
    np.testing.assert_array_equal(predictions(np.array([[NAN, 1], [1, 0]])), [-1, 0])
