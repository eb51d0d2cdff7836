"""Training in the window: what it says of itself is true, and it stops where a number goes bad."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest

from engine import Scheduler, load, save
from engine.data import Dataset
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.schedules import ConstantRate, CosineDecay, ExponentialDecay, StepDecay, WarmUp
from engine.zoo import build
from gui.models.state import CurvesModel
from gui.views.dialogs import RateDialog, RateWish
from gui.worker import runs
from gui.worker.mailbox import EpochScalar
from gui.worker.pictures import Library
from tests.gui.driving import (
    Answers,
    desk,
    messages,
    now,
    small_net,
    small_run,
    start,
    train,
    worker_desk,
)

COMMAND = [sys.executable, "-c", "from engine.cli import main; main()"]


@pytest.fixture
def window(qapp):
    """Open runs in windows that are closed after the test."""
    opened = []

    def make(path, **options):
        opened.append(start(path, **options))
        return opened[-1]

    yield make
    for app in opened:
        app.close()


@pytest.fixture
def small_sets(monkeypatch):
    """Let the window train and test on a few hundred of the bundled pictures."""
    get = Library.get

    def few(self, name):
        return get(self, name).subset(range(640 if name == "train" else 300))

    monkeypatch.setattr(Library, "get", few)
    monkeypatch.setattr(
        Library,
        "sizes",
        lambda self, scheduler: (
            {"test": 300, "train": 640} if scheduler.model.input_shape == (1, 28, 28) else {}
        ),
    )


# --- accuracy -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_shown_accuracy_is_that_of_the_saved_file_and_of_the_command_line(window, tmp_path):
    """One epoch in the window, one from the command line: one file, and one figure everywhere."""
    net = build("lenet5", input_shape=(1, 28, 28), classes=10, seed=0)
    first, ours, theirs = (tmp_path / f"{name}.safetensors" for name in ("first", "ours", "theirs"))
    rate = CosineDecay(0.05, 938)
    save(Scheduler(net, CrossEntropyLoss(), SGD(learning_rate=rate, momentum=0.9)), first)
    app = window(first)
    app.worker.submit("train", 0, 1)
    assert app.wait_until(lambda: desk(app).curves.validation_accuracies, 100)
    now(app)
    app.worker.submit("save_run", str(ours))
    now(app)
    shown = desk(app).curves.validation_accuracies[-1]
    app.window.panels.curves.build()
    app.window.panels.curves.show_curves(desk(app).curves)
    assert f"test accuracy {100 * shown:.2f} % of 10,000" in app.window.panels.curves.head.detail()

    def run(*words):
        done = subprocess.run(
            [*COMMAND, *map(str, words), "--json"], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout.strip().splitlines()[-1])

    trained = run("train", "--epochs", 1, "--seed", 0, "--output", theirs)
    assert trained["accuracy"] == shown
    for path in (ours, theirs):
        assert run("evaluate", path)["accuracy"] == shown
        assert load(path).history.accuracies == [shown]
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_pause_within_the_evaluation_is_quick_and_the_evaluation_comes_after_it(
    window, tmp_path, small_sets, monkeypatch
):
    path = tmp_path / "run.safetensors"
    save(small_run(), path)
    app = window(path)
    train(app, 9)  # of 10 batches
    scheduler, slow = worker_desk(app).scheduler, [True]
    calls, predict = [], scheduler.loss

    class Slow(type(predict)):
        """A loss whose evaluation takes a while, as that of a large test set does."""

        def __call__(self, *arguments):
            calls.append(time.monotonic())
            if slow[0]:
                time.sleep(0.05)
            return super().__call__(*arguments)

    slow_loss = Slow()
    monkeypatch.setattr("engine.scheduler.PREDICT_BATCH", 10)
    monkeypatch.setattr(scheduler, "loss", slow_loss)
    app.worker.submit("train", 0, 1)
    assert app.wait_until(lambda: calls, 20)
    begun = time.monotonic()
    app.window.entries["train.pause"].trigger()
    assert app.wait_until(lambda: desk(app).session.state == "paused", 5)
    assert time.monotonic() - begun < 0.5
    assert scheduler.batch == 10
    assert scheduler.history.accuracies == []  # nothing is claimed that was not measured
    slow[0] = False
    app.worker.submit("save_run", str(tmp_path / "saved.safetensors"))
    now(app)
    saved = load(tmp_path / "saved.safetensors")
    assert (saved.epoch, saved.batch, len(saved.history.accuracies)) == (1, 0, 1)
    right = saved.evaluate(Library(lambda task: None).get("test")).accuracy
    assert saved.history.accuracies == [right]


@pytest.mark.parametrize("validated", [True, False])
def test_only_a_validation_accuracy_is_called_the_test_sets(validated):
    scheduler = small_run()
    random = np.random.default_rng(0)
    data = Dataset(random.random((20, 1, 28, 28), np.float32), np.arange(20) % 10)
    from engine.data import DataLoader

    loader = DataLoader(data, batch_size=4, seed=0)
    scheduler.fit(loader, epochs=2, validation=data if validated else None)
    scheduler.fit(loader, steps=3)
    epochs = [record for record in runs.history(scheduler) if isinstance(record, EpochScalar)]
    assert [(record.step, record.epoch, record.tested) for record in epochs] == [
        (5, 0, validated),
        (10, 1, validated),
    ]
    steps = [record for record in runs.history(scheduler) if not isinstance(record, EpochScalar)]
    assert [(record.epoch, record.batch) for record in steps[8:]] == [
        (1, 3), (1, 4), (2, 0), (2, 1), (2, 2),
    ]  # fmt: skip


def test_steps_that_are_made_again_replace_the_old_ones():
    curves = CurvesModel()
    curves.add_losses([0, 1, 2, 3], [9.0, 8.0, 7.0, 6.0])
    curves.add_accuracy(3, 0.5)
    curves.add_validation(2, 0.4)
    before = curves.revision
    curves.add_losses([2, 3], [1.0, math.nan])
    assert curves.steps == [0, 1, 2, 3]
    assert curves.losses[:3] == [9.0, 8.0, 1.0]
    assert (curves.accuracy_steps, curves.validation_steps) == ([], [2])
    assert curves.revision == before + 1


# --- the learning rate --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "step", "now", "ended"),
    [
        (0.05, 7, 0.05, False),
        (0.0, 7, 0.0, False),
        (ConstantRate(0.1), 7, 0.1, False),
        (CosineDecay(0.05, 100), 50, 0.025, False),
        (CosineDecay(0.05, 100), 100, 0.0, True),
        (CosineDecay(0.05, 100, end=0.001), 400, 0.001, True),
        (WarmUp(10, CosineDecay(0.05, 100)), 5, 0.03, False),
        (WarmUp(10, CosineDecay(0.05, 100)), 110, 0.0, True),
        (StepDecay(0.1, 1000), 10, 0.1, False),
        (ExponentialDecay(0.1, 0.5, 1000), 1000, 0.05, False),
    ],
)
def test_the_facts_of_every_schedule(rate, step, now, ended):
    scheduler = small_run(rate)
    scheduler.global_step = step
    facts = runs.facts(scheduler, 938, 0)
    assert facts.rate == pytest.approx(now)
    assert (facts.ended, facts.idle) == (ended, now == 0)
    assert facts.schedule


def test_a_schedule_that_has_ended_is_said_before_and_a_rate_can_be_set(window):
    app = window("")  # the bundled net: its cosine is at 0
    head = app.window.panels.curves.rate
    assert head.text() == "rate 0: schedule ended, nothing is learnt"
    scheduler = worker_desk(app).scheduler
    weights = {name: p.value.copy() for name, p in scheduler.model.parameters.items()}
    dialogs = []

    def refuse(dialog):
        dialogs.append(dialog)
        dialog.reject()

    answers = Answers(refuse)
    app.window.entries["train.batch"].trigger()
    assert answers.done()
    assert isinstance(dialogs[0], RateDialog)
    now(app)
    assert scheduler.global_step == 4690  # nothing was trained: the person thought better of it

    def wrong_then_right(dialog):
        dialog.rate.setText("fast")
        dialog.accept()
        assert dialog.isVisible()
        assert "fast" in dialog.error.text()
        assert dialog.rate.text() == "fast"
        dialog.rate.setText("0.005")
        dialog.accept()

    answers = Answers(wrong_then_right)
    app.window.entries["train.batch"].trigger()
    assert answers.done()
    assert app.wait_until(lambda: scheduler.global_step == 4691, 60)
    now(app)
    assert scheduler.optimizer.learning_rate == 0.005
    assert head.text() == "rate 0.005"
    assert any(
        not np.array_equal(p.value, weights[name]) for name, p in scheduler.model.parameters.items()
    )
    app.window.entries["train.batch"].trigger()  # no question any more
    assert app.wait_until(lambda: scheduler.global_step == 4692, 60)
    assert desk(app).curves.rate == 0.005


def test_training_at_rate_0_is_possible_if_that_is_wanted(window):
    app = window("")
    scheduler = worker_desk(app).scheduler
    weights = {name: p.value.copy() for name, p in scheduler.model.parameters.items()}

    def all_the_same(dialog):
        next(b for b in dialog._buttons.buttons() if b.text() == "Train at rate 0").click()

    answers = Answers(all_the_same)
    app.window.entries["train.batch"].trigger()
    assert answers.done()
    assert app.wait_until(lambda: scheduler.global_step == 4691, 60)
    now(app)
    for name, p in scheduler.model.parameters.items():
        np.testing.assert_array_equal(p.value, weights[name])


def test_a_cosine_can_be_stretched_as_the_command_line_does(window):
    app = window("")
    app.controller.training.set_rate(RateWish(None, 5))
    now(app)
    rate = worker_desk(app).scheduler.optimizer.learning_rate
    assert rate == CosineDecay(0.05, 10 * 938, 0.0)
    assert app.window.panels.curves.rate.text() == "rate 0.025"


def test_a_schedule_that_runs_out_while_training_is_said(window, tmp_path):
    path = tmp_path / "run.safetensors"
    save(small_run(CosineDecay(0.05, 40)), path)
    app = window(path)
    app.window.entries["train.start"].trigger()
    assert app.wait_until(lambda: messages(app, "stop"), 60)
    assert "changes no weight" in messages(app, "stop")[0]
    app.window.entries["train.pause"].trigger()
    now(app)
    assert "nothing is learnt" in app.window.panels.curves.rate.text()


# --- numbers that are not finite ----------------------------------------------------------------


def exploding(tmp_path):
    """A run whose decay makes every weight nine times as large at each step, till it overflows."""
    path = tmp_path / "exploding.safetensors"
    save(small_run(10.0, weight_decay=1.0), path)
    return path


def first_bad_step(path):
    """Return the number of the first step whose loss or whose update is not finite."""
    from engine.data import load_mnist_split

    scheduler = load(path)
    loader = runs.training_loader(scheduler, load_mnist_split("train"))
    for step in range(500):
        scheduler.fit(loader, steps=1)
        arrays = [p.value for p in scheduler.model.parameters.values()]
        if not (math.isfinite(scheduler.history.steps[-1]) and all(map(all_finite, arrays))):
            return step
    raise AssertionError("this run never explodes")


def all_finite(array):
    return bool(np.isfinite(array).all())


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_training_stops_before_the_step_that_goes_bad_with_the_debugger_there(window, tmp_path):
    path = exploding(tmp_path)
    bad = first_bad_step(path)
    app = window(path)
    app.window.entries["train.start"].trigger()
    assert app.wait_until(lambda: messages(app, "stop"), 60)
    snapshot = now(app)
    scheduler = worker_desk(app).scheduler
    assert (scheduler.global_step, len(scheduler.history.steps)) == (bad, bad)
    assert f"before step {bad + 1:,} counts" in messages(app, "stop")[0]
    settled = scheduler.settled()
    assert all(map(all_finite, settled.parameters.values()))
    assert (snapshot.state, snapshot.program, snapshot.reason) == (
        "paused", "training", "breakpoint",
    )  # fmt: skip
    assert snapshot.message in messages(app, "stop")[0]
    assert snapshot.cursor.batch == bad
    # Once more: the same step, again before it counts.
    app.window.entries["train.start"].trigger()
    assert app.wait_until(lambda: desk(app).session.state == "training", 20)
    assert app.wait_until(lambda: desk(app).session.state == "paused", 60)
    assert (scheduler.global_step, len(scheduler.history.steps)) == (bad, bad)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_the_stop_can_be_switched_off(window, tmp_path):
    path = exploding(tmp_path)
    bad = first_bad_step(path)
    app = window(path)
    app.worker.submit("stop_at_bad", False)
    app.worker.submit("train", bad + 20, 0)
    scheduler = worker_desk(app).scheduler
    assert app.wait_until(lambda: scheduler.global_step == bad + 20, 60)
    now(app)
    assert messages(app, "stop") == []
    assert not all(map(math.isfinite, desk(app).curves.losses))


def test_a_run_with_a_bad_weight_does_not_train_one_step(window, tmp_path):
    model = small_net()
    weight = model["conv1"].weight.value.copy()
    weight[3, 0, 2, 4] = np.nan
    model["conv1"].weight.value = weight
    path = tmp_path / "nan.safetensors"
    save(Scheduler(model, CrossEntropyLoss(), SGD(0.05)), path)
    app = window(path)
    app.window.entries["train.start"].trigger()
    assert app.wait_until(lambda: messages(app, "stop"), 60)
    snapshot = now(app)
    assert worker_desk(app).scheduler.global_step == 0
    assert "conv1.weight[3, 0, 2, 4]" in snapshot.message
    assert "conv1.weight[3, 0, 2, 4]" in messages(app, "stop")[0]


def test_breakpoints_that_do_not_act_in_a_training_are_not_pretended_to(window, tmp_path):
    path = tmp_path / "run.safetensors"
    save(small_run(), path)
    app = window(path)
    app.controller.breakpoints.toggle("conv1")
    now(app)
    app.window.entries["train.start"].trigger()
    assert app.wait_until(lambda: len(desk(app).curves.losses) > 5, 60)
    assert any("while stepping only" in text for text in messages(app, "warning"))
    head = app.window.panels.breakpoints.head
    assert app.wait_until(lambda: "act while stepping only" in head.detail(), 10)
    app.window.entries["train.pause"].trigger()
    now(app)
    assert app.window.panels.breakpoints.head.detail() == "1 on"
