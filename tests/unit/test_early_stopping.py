"""Early stopping: where a run ends, where it goes back to, and that patience outlives a file."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from engine import Model, Scheduler, load, save
from engine.data import DataLoader, Dataset
from engine.errors import ConfigurationError, FormatError, StateError
from engine.events import EpochFinished, FitFinished
from engine.io.watching import watch_from_data
from engine.layers import BatchNorm2d, Conv2d, Dense, Dropout, Flatten, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD, Adam
from engine.scheduler import EarlyStopping
from engine.schedules import StepDecay
from tests.building import bits_of


def data(count: int = 40, seed: int = 0, turned: float = 0.0) -> Dataset:
    """Return pictures with a simple rule; a share of the labels is turned round."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 1, 4, 4)).astype(np.float32)
    y = (x[:, 0, 0, 0] > 0).astype(np.int64)
    return Dataset(x, np.where(rng.random(count) < turned, 1 - y, y))


def loader() -> DataLoader:
    return DataLoader(data(), batch_size=8, shuffle=True, seed=3)


VALIDATION = data(30, seed=1, turned=0.5)
"""Half of its labels are wrong, so its loss gets worse as training gets better."""


def run(rate: Any = None) -> Scheduler:
    """Return a run in which everything counts: statistics, dropout, moments, rates that fall."""
    model = Model(
        [
            Conv2d(1, 4, 3, name="conv"),
            BatchNorm2d(4, name="bn"),
            ReLU(),
            Dropout(0.2),
            Flatten(),
            Dense(16, 2, name="fc"),
        ],
        input_shape=(1, 4, 4),
        seed=0,
        device="cpu",
    )
    schedule = StepDecay(0.02, every=7, factor=0.9) if rate is None else rate
    return Scheduler(model, CrossEntropyLoss(), Adam(schedule))


def fit(scheduler: Scheduler, epochs: int, patience: int = 3, **options: Any) -> Any:
    """Fit with early stopping; return the history and the event that ended it."""
    events: list[Any] = []
    end = scheduler.listen(events.append)
    settings = EarlyStopping(patience, **options)
    history = scheduler.fit(loader(), epochs=epochs, validation=VALIDATION, early_stopping=settings)
    end()
    assert isinstance(events[-1], FitFinished)
    return history, events[-1]


def everything(scheduler: Scheduler) -> dict[str, Any]:
    """Return all that a run consists of."""
    moments = {n: [m.read().tobytes() for m in ms] for n, ms in scheduler.moments.items()}
    return {
        "model": bits_of(scheduler.model),
        "moments": moments,
        "history": repr(scheduler.history),
        "position": (scheduler.epoch, scheduler.batch, scheduler.global_step),
    }


def stopped_at(epochs: int) -> Scheduler:
    """Return a run that was ended by hand after so many epochs."""
    twin = run()
    twin.fit(loader(), epochs=epochs, validation=VALIDATION)
    return twin


def test_the_run_goes_back_to_the_best_epoch_in_every_respect() -> None:
    scheduler = run()
    history, end = fit(scheduler, 40)
    best = int(np.argmin(history.validation_loss))
    assert end.reason == "early_stopping"
    assert end.best_epoch == best > 0
    assert len(history.validation_loss) == best + 1 + 3
    assert (scheduler.epoch, scheduler.batch) == (best + 1, 0)
    assert scheduler.global_step == len(scheduler.history.loss) == 5 * (best + 1) == end.step
    assert end.note == (
        "stopped early: no better validation loss for 3 epochs; the run is back at the end of "
        f"epoch {best} of {best + 4}, the best"
    )
    assert everything(scheduler) == everything(stopped_at(best + 1))


def test_after_going_back_a_file_holds_that_epoch_and_goes_on_from_it(tmp_path: Path) -> None:
    scheduler = run()
    history, _ = fit(scheduler, 40)
    best = int(np.argmin(history.validation_loss))
    save(scheduler, tmp_path / "run.safetensors")
    back, twin = load(tmp_path / "run.safetensors"), stopped_at(best + 1)
    assert everything(back) == everything(scheduler) == everything(twin)
    for one in (scheduler, back, twin):
        one.fit(loader(), epochs=2, validation=VALIDATION)
    assert everything(back) == everything(scheduler) == everything(twin)


def test_a_run_that_was_stopped_early_has_patience_anew() -> None:
    """What it does then is the same again, as everything in it is the same again."""
    scheduler = run()
    first, end = fit(scheduler, 40)
    before = everything(scheduler)
    second, again = fit(scheduler, 40)
    assert second.validation_loss.tolist() == first.validation_loss.tolist()
    assert again == end
    assert everything(scheduler) == before


@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize("first", [1, 5, 10, 11, 12])
def test_patience_outlives_several_fits_and_a_file(
    first: int, patience: int, tmp_path: Path
) -> None:
    """Also where the best epoch was before the file, so that its weights come from there."""
    whole, pieces = run(), run()
    _, expected = fit(whole, 40, patience)
    _, end = fit(pieces, first, patience)
    if end.reason != "early_stopping":
        before = everything(pieces)
        save(pieces, tmp_path / "run.safetensors")
        pieces = load(tmp_path / "run.safetensors")
        assert everything(pieces) == before
        _, end = fit(pieces, 40, patience)
    assert (end.reason, end.best_epoch, end.step) == (
        "early_stopping",
        expected.best_epoch,
        expected.step,
    )
    assert everything(pieces) == everything(whole)


def test_patience_goes_on_from_epoch_to_epoch_in_fits_of_one() -> None:
    whole, pieces, made = run(), run(), 0
    history, expected = fit(whole, 40)
    while True:
        made += 1
        _, end = fit(pieces, 1)
        if end.reason == "early_stopping":
            break
        assert end.reason == "finished"
        assert pieces.epoch == made
    assert made == len(history.validation_loss)
    assert everything(pieces) == everything(whole)
    assert end.best_epoch == expected.best_epoch


def test_a_run_that_makes_all_its_epochs_stays_there_and_says_which_was_the_best() -> None:
    whole = run()
    history, _ = fit(whole, 40)
    best = int(np.argmin(history.validation_loss))
    scheduler = run()
    _, end = fit(scheduler, best + 3, patience=50)
    assert (end.reason, scheduler.epoch, end.best_epoch) == ("finished", best + 3, best)
    loss = f"{history.validation_loss[best]:.4g}"
    assert end.note == (
        f"epoch {best} of {best + 3} had the lowest validation loss, {loss}; "
        "restore_best() goes back to it"
    )
    assert everything(scheduler) == everything(stopped_at(best + 3))
    scheduler.restore_best()
    assert everything(scheduler) == everything(stopped_at(best + 1))


def test_restoring_needs_an_epoch_that_is_kept() -> None:
    with pytest.raises(StateError, match="early_stopping=EarlyStopping"):
        run().restore_best()
    scheduler = run()
    history, end = fit(scheduler, 40, restore_best=False)
    assert end.reason == "early_stopping"
    assert scheduler.epoch == len(history.validation_loss)
    assert history is scheduler.history
    assert "nothing was restored" in end.note
    with pytest.raises(StateError, match="no epoch is kept"):
        scheduler.restore_best()


# ------------------------------------------------------------------------------------ NaN


def test_validation_of_nan_from_the_first_epoch_is_told_and_nothing_is_restored() -> None:
    scheduler = run(rate=1e37)
    history, end = fit(scheduler, 10)
    assert end.reason == "validation_nan"
    assert end.best_epoch is None
    assert end.diverged
    assert "the validation loss is nan; no epoch had a finite one" in end.note
    assert "the training ends in nan" in end.note
    assert len(history.validation_loss) == 1  # weights of NaN stay so: waiting is of no use
    assert np.isnan(history.validation_loss).all()
    assert history is scheduler.history
    assert (scheduler.epoch, scheduler.watch) == (1, None)


def test_validation_of_nan_after_good_epochs_goes_back_to_the_best() -> None:
    scheduler = run()

    def spoil(event: Any) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 2:
            scheduler.optimizer.learning_rate = 1e37

    scheduler.listen(spoil)
    history, end = fit(scheduler, 40, patience=30)
    best = int(np.nanargmin(history.validation_loss))
    assert (end.reason, end.best_epoch, end.diverged) == ("validation_nan", best, False)
    assert len(history.validation_loss) == 4
    assert end.note == (
        "stopped early: the validation loss is nan; the run is back at the end of "
        f"epoch {best} of 4, the best"
    )
    assert everything(scheduler) == everything(stopped_at(best + 1))


def test_a_nan_of_validation_alone_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are in order, so the next epoch may be, too."""
    scheduler, evaluate = run(), Scheduler._evaluate
    calls: list[float] = []

    def sometimes(self: Scheduler, source: Any) -> Any:
        result = evaluate(self, source)
        calls.append(result.loss)
        return dataclasses.replace(result, loss=np.nan) if len(calls) == 2 else result

    monkeypatch.setattr(Scheduler, "_evaluate", sometimes)
    history, end = fit(scheduler, 4, patience=2)
    assert np.isnan(history.validation_loss[1])
    assert len(history.validation_loss) >= 3
    assert end.reason in ("finished", "early_stopping")


@pytest.mark.parametrize("early", [False, True])
def test_a_training_that_ends_in_nan_says_so(early: bool) -> None:
    scheduler, events = run(rate=1e37), list[Any]()
    scheduler.listen(events.append)
    if early:
        _, end = fit(scheduler, 3)
    else:
        scheduler.fit(loader(), epochs=3)
        end = events[-1]
        assert end.reason == "finished"
    first = int(np.flatnonzero(~np.isfinite(scheduler.history.loss))[0])
    assert end.diverged
    assert f"the training ends in nan: so is the loss since step {first}; " in end.note
    assert "learning rate" in end.note
    assert "any_nonfinite" in end.note


def test_weights_that_the_last_step_made_infinite_are_found_though_its_loss_is_finite() -> None:
    model = Model([Flatten(), Dense(16, 2, name="fc")], input_shape=(1, 4, 4), seed=0)
    weight = np.array(model["fc"].weight.value)
    weight[0, 3] = 3e38
    model["fc"].weight.value = weight
    x = np.zeros((8, 1, 4, 4), np.float32)  # black: the loss does not see the weight
    x[:, 0, 0, 0] = 1
    decay = SGD(10.0, weight_decay=1.0)  # 3e38 − 10 × 3e38
    scheduler, events = Scheduler(model, CrossEntropyLoss(), decay), list[Any]()
    scheduler.listen(events.append)
    scheduler.fit(DataLoader(Dataset(x, np.zeros(8, np.int64)), batch_size=8), steps=1)
    assert np.isfinite(scheduler.history.loss).all()
    assert events[-1].diverged
    assert "the training ends in NaN or infinity: so is fc.weight in part" in events[-1].note


def test_a_healthy_training_has_nothing_to_note() -> None:
    scheduler, events = run(), list[Any]()
    scheduler.listen(events.append)
    scheduler.fit(loader(), epochs=1, validation=VALIDATION)
    assert events[-1] == FitFinished(5, "finished")


# ------------------------------------------------------------------ when patience begins anew


def watched() -> Scheduler:
    """Return a run one epoch after its best."""
    scheduler = run()
    fit(scheduler, 11, patience=50)
    assert scheduler.watch is not None
    assert (scheduler.watch.best_epoch, scheduler.watch.waited) == (9, 1)
    return scheduler


def test_another_validation_set_begins_anew() -> None:
    scheduler = watched()
    scheduler.fit(
        loader(), epochs=1, validation=data(20, turned=1.0), early_stopping=EarlyStopping(50)
    )
    assert (scheduler.watch.best_epoch, scheduler.watch.waited) == (11, 0)


def test_an_equal_validation_set_goes_on() -> None:
    scheduler, same = watched(), data(30, seed=1, turned=0.5)
    scheduler.fit(loader(), epochs=1, validation=same, early_stopping=EarlyStopping(50))
    assert (scheduler.watch.best_epoch, scheduler.watch.waited) == (9, 2)


def test_another_optimiser_begins_anew() -> None:
    scheduler = watched()
    scheduler.optimizer = SGD(0.01)
    fit(scheduler, 1, patience=50)
    assert (scheduler.watch.best_epoch, scheduler.watch.waited) == (11, 0)


def test_an_optimiser_replaced_in_between_leaves_nothing_to_go_back_to() -> None:
    scheduler = run()

    def replace(event: Any) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 9:
            scheduler.optimizer = SGD(0.5)

    scheduler.listen(replace)
    history, end = fit(scheduler, 40, patience=2)
    assert (end.reason, end.best_epoch) == ("early_stopping", 9)
    assert "whose optimizer was another one; nothing was restored" in end.note
    assert scheduler.epoch == len(history.validation_loss) == 12


def test_going_back_by_hand_to_before_the_best_epoch_begins_anew() -> None:
    scheduler = run()
    start = scheduler.capture()
    fit(scheduler, 11, patience=50)
    scheduler.restore(start)
    _, end = fit(scheduler, 40)
    twin = run()
    _, expected = fit(twin, 40)
    assert end == expected
    assert everything(scheduler) == everything(twin)


def test_a_listener_that_raises_leaves_patience_as_it_is() -> None:
    scheduler, twin = run(), run()

    def fail(event: Any) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 1:
            raise RuntimeError("a listener of mine")

    forget = scheduler.listen(fail)
    with pytest.raises(RuntimeError, match="a listener of mine"):
        fit(scheduler, 40)
    forget()
    _, end = fit(scheduler, 40)
    _, expected = fit(twin, 40)
    assert (end.reason, end.best_epoch) == (expected.reason, expected.best_epoch)
    assert everything(scheduler) == everything(twin)


def test_a_copy_of_a_run_has_its_patience() -> None:
    scheduler = watched()
    twin = copy.deepcopy(scheduler)
    results = [fit(one, 40)[1] for one in (scheduler, twin)]
    assert results[0] == results[1]
    assert results[0].best_epoch == 9
    assert everything(scheduler) == everything(twin)


# ------------------------------------------------------------------------------------ files


def names_in(path: Path) -> list[str]:
    return [n for n in safetensors.numpy.load_file(path) if n.startswith("best.")]


def test_a_file_holds_the_best_epoch_only_where_it_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    save(stopped_at(2), path)
    assert not names_in(path)
    scheduler = run()
    history, _ = fit(scheduler, 40)
    save(scheduler, path)
    assert not names_in(path), "the run is back at its best epoch"
    later = run()
    fit(later, int(np.argmin(history.validation_loss)) + 2, patience=50)
    save(later, path)
    tensors = len(later.model.parameters) * 3 + len(later.model.state)
    assert len(names_in(path)) == tensors
    assert everything(load(path)) == everything(later)


def test_damaged_figures_are_an_error_of_the_file() -> None:
    scheduler = watched()
    captured = scheduler.capture()
    good = {
        "validation": "",
        "best_loss": 1.0,
        "best_epoch": 1,
        "waited": 2,
        "best": {"epoch": 2, "batch": 0, "step": 10, "history": list(captured.history)},
    }
    assert watch_from_data(json.loads(json.dumps(good)), captured).waited == 2
    for bad in (
        None,
        [],
        {**good, "best_loss": "x"},
        {**good, "waited": None},
        {**good, "best": {"epoch": 2}},
        {**good, "best": {**good["best"], "history": [1]}},
        {name: value for name, value in good.items() if name != "best"},
    ):
        with pytest.raises(FormatError, match="early stopping"):
            watch_from_data(bad, captured)


def test_patience_is_at_least_one() -> None:
    with pytest.raises(ConfigurationError, match="patience"):
        EarlyStopping(0)
