"""Scheduler: steps, epochs, control from other threads, events, early stopping, evaluation."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler
from engine.data import DataLoader, Dataset
from engine.errors import ConfigurationError, DataError, EngineError, StateError
from engine.events import (
    EpochFinished,
    EvaluationProgress,
    Event,
    FitFinished,
    FitStarted,
    Paused,
    Resumed,
    StepFinished,
)
from engine.layers import BatchNorm2d, Conv2d, Dense, Flatten, ReLU
from engine.losses import CrossEntropyLoss, MSELoss
from engine.optimizers import SGD
from engine.regularizers import L1, L2
from engine.scheduler import EarlyStopping
from engine.schedules import Schedule, StepDecay
from tests import reference as ref
from tests.building import bits_of, weights_of
from tests.debug.runs import tiny_data, tiny_loader, tiny_scheduler
from tests.tolerances import TRACE, assert_close


def recorded(scheduler: Scheduler) -> list[Event]:
    events: list[Event] = []
    scheduler.listen(events.append)
    return events


# ------------------------------------------------------------------------------------ repeatable


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    runs = []
    for seed in (0, 0, 1):
        scheduler = tiny_scheduler(seed=seed)
        scheduler.fit(tiny_loader(), epochs=2)
        runs.append((bits_of(scheduler.model), scheduler.history.loss.tobytes()))
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]


def test_fit_is_step_over_the_batches_of_the_loader() -> None:
    fitted, stepped, loader = tiny_scheduler(), tiny_scheduler(), tiny_loader()
    history = fitted.fit(loader, epochs=2)
    losses = [
        stepped.step(*loader.batch(epoch, number)) for epoch in range(2) for number in range(3)
    ]
    np.testing.assert_array_equal(history.loss, losses)
    assert bits_of(fitted.model) == bits_of(stepped.model)


@pytest.mark.parametrize("parts", [(6,), (1, 5), (3, 3), (2, 2, 2), (5, 1)])
def test_steps_go_on_where_the_last_ones_ended(parts: tuple[int, ...]) -> None:
    whole, pieces = tiny_scheduler(), tiny_scheduler()
    whole.fit(tiny_loader(), epochs=2)
    for steps in parts:
        pieces.fit(tiny_loader(), steps=steps)
    assert bits_of(whole.model) == bits_of(pieces.model)
    for series in ("loss", "epoch_loss", "accuracy"):
        one, other = getattr(whole.history, series), getattr(pieces.history, series)
        np.testing.assert_array_equal(one, other, err_msg=series)
    assert (pieces.epoch, pieces.batch, pieces.global_step) == (2, 0, 6)


def test_epochs_finish_a_half_done_one_first() -> None:
    scheduler = tiny_scheduler()
    scheduler.fit(tiny_loader(), steps=2)
    assert (scheduler.epoch, scheduler.batch) == (0, 2)
    scheduler.fit(tiny_loader(), epochs=1)
    assert (scheduler.epoch, scheduler.batch, scheduler.global_step) == (1, 0, 3)
    scheduler.fit(tiny_loader(), epochs=0)
    assert scheduler.global_step == 3


def test_the_loss_goes_down() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 4)).astype(np.float32)
    model = Model([Dense(4, 8), ReLU(), Dense(8, 2)], input_shape=(4,), device="cpu")
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(learning_rate=0.1, momentum=0.9))
    data = Dataset(x, (x[:, 0] * x[:, 1] > 0).astype(np.int64))
    history = scheduler.fit(DataLoader(data, batch_size=16), epochs=60)
    assert history.epoch_loss[-1] < 0.3 * history.epoch_loss[0]
    assert scheduler.evaluate(data).accuracy == 1.0


# ---------------------------------------------------------------------------------- regularisers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_penalties_are_in_the_loss_and_in_the_gradient_of_their_layer_only(dtype: str) -> None:
    layers = [
        Dense(5, 4, regularizer=L2(0.05), name="a"),
        Dense(4, 3, regularizer=L1(0.02), name="b"),
        Dense(3, 2, name="c"),
    ]
    model = Model(layers, input_shape=(5,), seed=1, device="cpu", dtype=dtype)
    scheduler = Scheduler(model, MSELoss(), SGD(learning_rate=0.1))
    w, optimiser = weights_of(model), ref.SGDReference()
    rng = np.random.default_rng(0)
    for _ in range(5):
        x, t = rng.standard_normal((6, 5)).astype(dtype), rng.standard_normal((6, 2)).astype(dtype)
        h1 = ref.dense(x, w["a.weight"], w["a.bias"])
        h2 = ref.dense(h1, w["b.weight"], w["b.bias"])
        out = ref.dense(h2, w["c.weight"], w["c.bias"])
        penalty = 0.05 * np.sum(w["a.weight"] ** 2) + 0.02 * np.sum(np.abs(w["b.weight"]))
        loss = scheduler.step(x, t)
        assert_close(np.asarray(loss, dtype), float(ref.mse(out, t)) + penalty, TRACE)
        g, gw, gb = ref.dense_backward(h2, w["c.weight"], ref.mse_backward(out, t))
        gradients = {"c.weight": gw, "c.bias": gb}
        g, gw, gb = ref.dense_backward(h1, w["b.weight"], g)
        gradients |= {"b.weight": gw + 0.02 * np.sign(w["b.weight"]), "b.bias": gb}
        _, gw, gb = ref.dense_backward(x, w["a.weight"], g)
        gradients |= {"a.weight": gw + 2 * 0.05 * w["a.weight"], "a.bias": gb}
        optimiser.step(w, gradients, 0.1)
    for name, value in weights_of(model).items():
        assert_close(value.astype(dtype), w[name], TRACE, name)


# ------------------------------------------------------------------------------------- evaluation


def test_evaluate_is_loss_and_accuracy_over_the_whole_set() -> None:
    rng = np.random.default_rng(0)
    data = Dataset(rng.standard_normal((600, 4)), rng.integers(0, 3, 600))
    model = Model([Dense(4, 3)], input_shape=(4,), device="cpu", dtype="float64")
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(learning_rate=0.1))
    before = bits_of(model)
    result = scheduler.evaluate(data)
    scores = model(data.x)
    assert result.loss == pytest.approx(float(ref.cross_entropy(scores, data.y)), rel=1e-12)
    assert result.accuracy == np.mean(scores.argmax(axis=1) == data.y)
    assert bits_of(model) == before
    assert scheduler.global_step == 0


@pytest.mark.parametrize("count", [3, 256, 300])
def test_evaluate_with_class_weights_and_ignored_labels_is_one_mean(count: int) -> None:
    """However many pieces the set goes through in, the divisor is the weight of all labels."""
    rng = np.random.default_rng(1)
    data = Dataset(rng.standard_normal((count, 4)), np.sort(rng.integers(0, 4, count)))
    weight = [1.0, 5.0, 0.5, 2.0]
    loss = CrossEntropyLoss(weight=weight, ignore_index=0)
    model = Model([Dense(4, 4)], input_shape=(4,), device="cpu", dtype="float64")
    result = Scheduler(model, loss, SGD()).evaluate(data)
    settings = ref.CrossEntropy(np.array(weight), 0)
    expected = float(ref.cross_entropy(model(data.x), data.y, settings))
    assert result.loss == pytest.approx(expected, rel=1e-12)


def test_evaluate_of_numbers_has_no_accuracy() -> None:
    model = Model([Dense(4, 2)], input_shape=(4,), device="cpu")
    scheduler = Scheduler(model, MSELoss(), SGD())
    x, y = np.ones((5, 4), np.float32), np.ones((5, 2), np.float32)
    result = scheduler.evaluate(Dataset(x, y))
    assert result.accuracy is None
    assert result.loss == pytest.approx(float(ref.mse(model(x), y)), rel=1e-5)


def test_predict_is_the_model_at_inference() -> None:
    scheduler = tiny_scheduler()
    x = tiny_data().x
    np.testing.assert_array_equal(scheduler.predict(x), scheduler.model(x))
    np.testing.assert_array_equal(scheduler.predict(x), scheduler.predict(x))


# ---------------------------------------------------------------------------------------- events


def test_events_tell_the_run_in_order() -> None:
    scheduler = tiny_scheduler(
        optimizer=SGD(learning_rate=StepDecay(0.1, every=4, factor=0.5), momentum=0.9)
    )
    events = recorded(scheduler)
    history = scheduler.fit(tiny_loader(), epochs=2, validation=tiny_data(7, seed=3))
    assert isinstance(events[0], FitStarted)
    assert (events[0].steps, events[0].epochs) == (6, 2)
    assert events[-1] == FitFinished(step=6, reason="finished")
    steps = [e for e in events if isinstance(e, StepFinished)]
    assert [(e.step, e.epoch, e.batch) for e in steps] == [(i, i // 3, i % 3) for i in range(6)]
    assert [e.samples for e in steps] == [4, 4, 2] * 2
    assert [e.learning_rate for e in steps] == [0.1] * 4 + [0.05] * 2
    np.testing.assert_array_equal([e.loss for e in steps], history.loss)
    assert all(e.correct is not None and 0 <= e.correct <= e.samples for e in steps)
    epochs = [e for e in events if isinstance(e, EpochFinished)]
    assert [e.epoch for e in epochs] == [0, 1]
    assert [e.validation_loss for e in epochs] == history.validation_loss.tolist()
    assert [e.accuracy for e in epochs] == history.accuracy.tolist()
    assert any(isinstance(e, EvaluationProgress) for e in events)


def test_without_a_validation_set_accuracy_is_that_of_training() -> None:
    scheduler = tiny_scheduler()
    events = recorded(scheduler)
    history = scheduler.fit(tiny_loader(), epochs=2)
    steps = [e for e in events if isinstance(e, StepFinished)]
    for epoch in range(2):
        own = [e for e in steps if e.epoch == epoch]
        right = sum(e.correct or 0 for e in own)
        assert history.accuracy[epoch] == right / sum(e.samples for e in own)
    assert len(history.accuracy) == 2
    assert len(history.validation_loss) == 0


def test_unsubscribing_ends_the_events() -> None:
    scheduler = tiny_scheduler()
    events: list[Event] = []
    forget = scheduler.listen(events.append)
    scheduler.fit(tiny_loader(), steps=1)
    count = len(events)
    forget()
    forget()
    scheduler.fit(tiny_loader(), steps=1)
    assert len(events) == count


@pytest.mark.parametrize("step", [0, 1, 2, 5])
def test_an_exception_in_a_listener_reaches_the_caller_and_the_run_can_go_on(step: int) -> None:
    """Also after the last batch of an epoch, and after the last of all."""
    scheduler, twin = tiny_scheduler(), tiny_scheduler()

    def fail(event: Event) -> None:
        if isinstance(event, StepFinished) and event.step == step:
            raise RuntimeError("a listener of mine")

    forget = scheduler.listen(fail)
    with pytest.raises(RuntimeError, match="a listener of mine"):
        scheduler.fit(tiny_loader(), epochs=2)
    forget()
    while scheduler.epoch < 2:
        scheduler.fit(tiny_loader(), epochs=2 - scheduler.epoch)
    twin.fit(tiny_loader(), epochs=2)
    assert bits_of(scheduler.model) == bits_of(twin.model)
    assert scheduler.history == twin.history


# ------------------------------------------------------------------------------- other threads


def start(scheduler: Scheduler, **options: Any) -> threading.Thread:
    thread = threading.Thread(target=lambda: scheduler.fit(tiny_loader(), **options), daemon=True)
    thread.start()
    return thread


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.002)


def test_pause_and_resume_from_another_thread() -> None:
    scheduler, twin = tiny_scheduler(), tiny_scheduler()
    events = recorded(scheduler)
    total = 400
    # Pause at a known step, from within the run: the thread that resumes is another one.
    scheduler.listen(
        lambda e: scheduler.pause() if isinstance(e, StepFinished) and e.step == 9 else None
    )
    thread = start(scheduler, steps=total)
    wait_for(lambda: any(isinstance(e, Paused) for e in events))
    assert scheduler.paused
    here = scheduler.global_step
    time.sleep(0.05)
    assert scheduler.global_step == here == 10
    assert Paused(10) in events
    scheduler.resume()
    thread.join(60)
    assert not thread.is_alive()
    assert Resumed(10) in events
    twin.fit(tiny_loader(), steps=total)
    assert bits_of(scheduler.model) == bits_of(twin.model), "pausing changes nothing"


@pytest.mark.parametrize("paused", [False, True])
def test_stop_from_another_thread(paused: bool) -> None:
    scheduler = tiny_scheduler()
    events = recorded(scheduler)
    if paused:
        scheduler.pause()
    thread = start(scheduler, epochs=10**6)
    wait_for(lambda: scheduler.paused if paused else scheduler.global_step > 5)
    if paused:
        wait_for(lambda: any(isinstance(e, Paused) for e in events))
    scheduler.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert events[-1] == FitFinished(scheduler.global_step, "stopped")
    twin = tiny_scheduler()
    twin.fit(tiny_loader(), steps=scheduler.global_step)
    assert bits_of(scheduler.model) == bits_of(twin.model)
    # A stop belongs to the run it stopped.
    scheduler.fit(tiny_loader(), steps=2)
    assert events[-1].reason == "finished"  # type: ignore[attr-defined]


def test_two_fits_at_once_are_refused() -> None:
    scheduler = tiny_scheduler()
    thread = start(scheduler, epochs=10**6)
    wait_for(lambda: scheduler.global_step > 0)
    try:
        with pytest.raises(StateError):
            scheduler.fit(tiny_loader(), steps=1)
    finally:
        scheduler.stop()
        thread.join(20)


def test_two_schedulers_in_two_threads_do_not_disturb_each_other() -> None:
    schedulers = [tiny_scheduler(seed=seed) for seed in (0, 1)]
    threads = [start(s, steps=150) for s in schedulers]
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for seed, scheduler in enumerate(schedulers):
        twin = tiny_scheduler(seed=seed)
        twin.fit(tiny_loader(), steps=150)
        assert bits_of(scheduler.model) == bits_of(twin.model)


# -------------------------------------------------------------------------------- early stopping


def test_early_stopping_ends_and_puts_back_the_best_epoch() -> None:
    """Labels of the validation set that are turned round get worse as training gets better."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    model = Model([Dense(4, 2, name="fc")], input_shape=(4,), device="cpu")
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(learning_rate=0.5))
    snapshots: list[dict[str, bytes]] = []
    scheduler.listen(
        lambda e: snapshots.append(bits_of(model)) if isinstance(e, EpochFinished) else None
    )
    events = recorded(scheduler)
    history = scheduler.fit(
        DataLoader(Dataset(x, y), batch_size=8),
        epochs=50,
        validation=Dataset(x, 1 - y),
        early_stopping=EarlyStopping(patience=3),
    )
    best = int(np.argmin(history.validation_loss))
    assert len(history.validation_loss) == best + 1 + 3
    assert events[-1].reason == "early_stopping"  # type: ignore[attr-defined]
    assert bits_of(model) == snapshots[best]


def test_early_stopping_lets_a_run_that_gets_better_finish() -> None:
    scheduler = tiny_scheduler()
    events = recorded(scheduler)
    scheduler.fit(
        tiny_loader(),
        epochs=3,
        validation=tiny_data(6),
        early_stopping=EarlyStopping(patience=50),
    )
    assert events[-1].reason == "finished"  # type: ignore[attr-defined]
    assert scheduler.epoch == 3


# ---------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"epochs": -1}, ConfigurationError),
        ({"epochs": 1.5}, ConfigurationError),
        ({"steps": -3}, ConfigurationError),
        ({"epochs": 1, "steps": 1}, ConfigurationError),
        ({"early_stopping": EarlyStopping()}, ConfigurationError),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, Any], error: type[EngineError]) -> None:
    scheduler = tiny_scheduler()
    with pytest.raises(error):
        scheduler.fit(tiny_loader(), **options)
    assert scheduler.global_step == 0


def test_a_loss_per_sample_cannot_be_trained() -> None:
    scheduler = tiny_scheduler(loss=CrossEntropyLoss(reduction="none"))
    with pytest.raises(ConfigurationError, match="reduction"):
        scheduler.fit(tiny_loader(), steps=1)


def test_nan_in_the_targets_is_refused_by_fit() -> None:
    y = np.zeros((6, 2), np.float32)
    y[4, 1] = np.nan
    model = Model(
        [Conv2d(1, 1, 3), ReLU(), Flatten(), Dense(16, 2)], input_shape=(1, 6, 6), device="cpu"
    )
    scheduler = Scheduler(model, MSELoss(), SGD())
    with pytest.raises(DataError, match=r"nan.*sample 4.*\(1,\)"):
        scheduler.fit(DataLoader(Dataset(tiny_data(6).x, y), batch_size=3), epochs=1)


def test_a_class_in_place_of_an_object_is_named() -> None:
    model = tiny_scheduler().model
    with pytest.raises(ConfigurationError, match=r"CrossEntropyLoss\(\)"):
        Scheduler(model, CrossEntropyLoss, SGD())  # type: ignore[arg-type, unused-ignore]


def test_labels_out_of_range_are_found_before_the_first_step() -> None:
    labels = np.zeros(40, np.int64)
    labels[33] = 12
    data = Dataset(np.zeros((40, 1, 2, 2), np.float32), labels)
    model = Model([Flatten(), Dense(4, 10)], input_shape=(1, 2, 2), device="cpu")
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD())
    with pytest.raises(DataError, match=r"labels 0 to 9 .* received 12 at sample 33"):
        scheduler.fit(DataLoader(data, batch_size=8))
    assert scheduler.global_step == 0


def test_batches_of_one_value_per_channel_are_refused_before_the_first_step():
    model = Model(
        [Conv2d(1, 2, 4), BatchNorm2d(2, name="bn"), Flatten(), Dense(2, 2)],
        input_shape=(1, 4, 4),
        device="cpu",
    )
    run = Scheduler(model, CrossEntropyLoss(), SGD(0.1))
    data = Dataset(np.zeros((65, 1, 4, 4), np.float32), np.zeros(65, np.int64))
    with pytest.raises(DataError, match="drop_last=True") as caught:
        run.fit(DataLoader(data, batch_size=64))
    assert "bn" in str(caught.value)
    with pytest.raises(DataError, match="at least 2 samples"):
        run.step(data.x[:1], data.y[:1])
    assert run.global_step == 0
    run.fit(DataLoader(data, batch_size=64, drop_last=True))
    run.step(data.x[:2], data.y[:2])


def test_a_schedule_of_ones_own_that_gives_no_rate_is_named():
    class Falling(Schedule):
        def __call__(self, step: int) -> float:
            return 0.1 - step

    run = tiny_scheduler()
    run.optimizer = SGD(Falling())
    with pytest.raises(ConfigurationError, match="learning_rate of step 1"):
        run.fit(tiny_loader(), steps=3)
