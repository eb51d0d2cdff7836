"""Where runs stop in the window: what is said, what is shown, and what goes back."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtTest import QTest

from engine import load, save
from engine.debug.wording import batch_words
from gui.app import Application, Options
from gui.worker.debuggee import EPOCHS
from tests.gui.test_walk_step import ALT, CONTROL, F5, F10, F11, lenet, now, press, run_to
from tests.gui.walking import current, look

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    path = tmp_path_factory.mktemp("stops") / "lenet.safetensors"
    save(lenet(), path)
    return path


@pytest.fixture
def opened(qapp, healthy, tmp_path):
    applications = []

    def start(program="training", change=None, **options):
        path = healthy
        if change is not None:
            path = tmp_path / "changed.safetensors"
            scheduler = load(healthy)
            change(scheduler)
            save(scheduler, path)
        settings = {"size": (1600, 1000), "theme": "dark", "layout": "Debug", "private": True}
        app = Application(Options(run=str(path), **{**settings, **options}), offscreen=True)
        applications.append(app)
        app.start()
        assert app.settle(100)
        app.worker.submit("set_program", program)
        now(app)
        return app

    yield start
    for app in applications:
        problems = [item.text for item in app.window.notifications.items if item.level == "error"]
        app.close()
        assert problems == []


def message(app):
    label = app.window.panels.window.message
    return label.text() if label.isVisible() else ""


# --- resume -------------------------------------------------------------------------------------


def test_resume_without_breakpoints_runs_one_batch_and_says_so(opened):
    app = opened()
    for _ in range(3):
        press(app, F10)
    began = now(app).cursor.position
    for batch in (1, 2):
        cursor = press(app, F5).cursor
        assert (cursor.epoch, cursor.batch, cursor.phase) == (0, batch, "load")
        assert message(app).startswith(f"Epoch 0 · batch {batch - 1} is done, its loss is ")
        assert "No breakpoint is set" in message(app)
    losses = app.worker._bench._desk.scheduler.history.steps
    assert f"its loss is {losses[-1]:.4g}." in message(app)
    assert press(app, F10, ALT).cursor.batch == 1
    assert message(app) == "Back where the last command began: epoch 0 · batch 1 · load · input."
    assert press(app, F10, ALT).cursor.position == began
    assert press(app, F10, ALT).cursor.layer == "pool1"
    assert message(app) == ""


def test_an_epoch_has_no_dead_end(opened):
    app = opened()
    batches = app.worker._bench._desk.debuggee.batches
    app.worker._bench._desk.scheduler.optimizer.learning_rate = 0.0
    before = now(app).cursor.position
    app.worker.submit("add_breakpoint", 1, "conv1", None, "loss > 1e9", 1)
    snapshot = press(app, F5)
    assert (snapshot.cursor.epoch, snapshot.cursor.batch) == (1, 0)
    assert snapshot.reason == "step"
    text = message(app)
    assert text.startswith("Epoch 0 is over, its last loss is ")
    assert f"no breakpoint was hit in {batches} batches" in text
    assert "F5 goes on with epoch 1; Alt+F10 goes back to where it began." in text
    assert press(app, F10).cursor.layer == "conv1"
    press(app, F10, ALT)
    assert press(app, F10, ALT).cursor.position == before
    assert message(app).startswith("Back where the last command began: epoch 0 · batch 0")
    assert EPOCHS > 1000


def test_the_end_of_a_forward_pass_says_what_keys_do(opened):
    app = opened("forward")
    began = now(app).cursor.position
    assert press(app, F5).cursor.finished
    assert message(app).startswith("The pass is over: no breakpoint is set. Shift+F5 starts it")
    press(app, F10)
    assert message(app) == "The pass is over: Alt+F10 goes one step back, Shift+F5 starts it again."
    assert press(app, F10, ALT).cursor.position == began
    press(app, F5)
    assert press(app, F5, SHIFT).cursor.position == began


def test_a_plain_breakpoint_stops_before_its_operation(opened):
    app = opened()
    app.worker.submit("add_breakpoint", 1, "conv2", "backward", None, 1)
    cursor = press(app, F5).cursor
    assert (cursor.layer, cursor.phase, cursor.level) == ("conv2", "backward", "operation")
    assert "before conv2 backward" in message(app)
    assert "forward" not in message(app)
    press(app, F10)
    assert message(app) == ""


def test_a_condition_stops_at_the_operation_that_met_it_and_goes_on_from_there(opened):
    app = opened()
    app.worker.submit("add_breakpoint", 1, "conv2", "forward", "conv2.output.max() > 0", 1)
    began = now(app).cursor.position
    for batch in (0, 1):
        snapshot = press(app, F5)
        assert (snapshot.cursor.layer, snapshot.cursor.batch) == ("conv2", batch)
        assert snapshot.layer == "conv2"
        assert "holds after conv2 forward" in message(app)
    press(app, F10, ALT)
    assert press(app, F10, ALT).cursor.position == began


# --- numbers that are none ----------------------------------------------------------------------


def poison(tensor, index):
    """Return a change of a run: one number becomes NaN."""

    def change(scheduler):
        parameter = scheduler.model.parameters[tensor]
        values = parameter.value.copy()
        values[index] = np.nan
        parameter.value = values

    return change


def test_next_nan_stands_on_the_bad_element_and_its_term(opened):
    app = opened("forward", poison("conv2.weight", (9, 3, 2, 4)))
    began = now(app).cursor.position
    snapshot = press(app, F11, CONTROL)
    cursor = snapshot.cursor
    assert (cursor.layer, cursor.index, cursor.level) == ("conv2", (0, 9, 0, 0), "term")
    assert (snapshot.layer, snapshot.index) == ("conv2", (0, 9, 0, 0))
    content = app.window.panels.window.view.content()
    assert content.title == "conv2[9, 0, 0]"
    assert content.operand_labels[1](cursor.term) == "[9, 3, 2, 4]"
    assert np.isnan(content.contributions[cursor.term])
    assert np.isfinite(content.contributions[: cursor.term]).all()
    # The sentence, in three places that cannot be overlooked: above the picture, first in the
    # explanation, at the breakpoints.
    for text in (message(app), app.window.panels.explanation.view.toPlainText()):
        assert text.startswith("conv2 forward: ")
        assert "conv2.output[0, 9, 0, 0]" in text
        assert "conv2.weight[9, 3, 2, 4]" in text
    words = app.window.panels.explanation.view.toPlainText()
    assert f"is number {cursor.term}: " in words
    assert "because conv2.weight[9, 3, 2, 4] is so" in words
    assert f"Next step: term {cursor.term} of 150" in words
    # The whole result is to be seen, and the weight that spoilt it.
    view = app.window.panels.map.view
    assert np.isnan(view._map).all()
    assert view._revealed is None
    assert view._cursor == (0, 0)
    assert app.window.panels.kernels.view._sheet.cursor_cell == (9, 3, 2, 4)
    assert app.window.panels.kernels.view._sheet.selected == (9, 3)
    assert app.window.status.place.text() == "conv2.output[9,0,0] = NaN"
    bars = app.window.panels.prediction.view
    assert bars.best() == -1
    assert bars.facts() == "The output is not a number: there is no class."
    # The next one is in the next operation; one step back each.
    assert press(app, F11, CONTROL).cursor.layer == "relu2"
    assert now(app).cursor.index == (0, 9, 0, 0)
    assert press(app, F10, ALT).cursor.layer == "conv2"
    assert press(app, F10, ALT).cursor.position == began


def test_a_bad_number_in_every_phase_of_a_training_step(opened):
    app = opened("training", poison("dense2.bias", (7,)))
    seen = []
    for _ in range(40):
        snapshot = press(app, F11, CONTROL)
        cursor = snapshot.cursor
        if cursor.batch:
            break
        seen.append((cursor.phase, cursor.layer, cursor.tensor))
        assert snapshot.layer == cursor.layer
        assert snapshot.index == cursor.index
        maps = app.window.panels.mosaic.view._maps
        assert np.isnan(maps[snapshot.maps.layout.place(snapshot.index)])
        assert message(app).startswith(f"{cursor.layer} {cursor.phase}: ")
    assert seen[0] == ("forward", "dense2", "output")
    assert ("loss", "loss", "output") in seen
    assert ("backward", "loss", "input.gradient") in seen
    assert ("update", "conv1", "weight") in seen or ("update", "dense2", "weight") in seen


def test_a_bad_pixel_is_found_where_it_is_loaded(opened):
    app = opened("forward")
    picture = np.zeros((1, 28, 28), np.float32)
    picture[0, 3, 5] = np.inf
    app.worker.submit("show_picture", picture, "drawn", "drawn")
    app.worker.submit("restart")
    press(app, F10, ALT)
    snapshot = press(app, F11, CONTROL)
    assert (snapshot.cursor.layer, snapshot.cursor.phase) == ("input", "load")
    assert (snapshot.layer, snapshot.index) == ("input", (0, 0, 3, 5))
    assert "input[0, 0, 3, 5]" in message(app)
    assert press(app, F11, CONTROL).cursor.layer == "conv1"


def test_next_nan_without_any_stays(opened):
    app = opened("forward")
    began = now(app).cursor.position
    assert press(app, F11, CONTROL).cursor.position == began
    assert message(app).startswith("No NaN and no Inf up to the end of the pass")


# --- one wording --------------------------------------------------------------------------------


def test_stack_timeline_picture_and_words_count_alike(opened):
    app = opened(layout="Train")
    app.worker.submit("train", 3, 0)
    curves = app.controller.desk.curves
    assert app.wait_until(lambda: len(curves.losses) == 3, 60)
    app.wait_until(lambda: app.controller.desk.session.state == "paused", 20)
    app.wait_until(lambda: False, 0.5)
    assert app.window.panels.curves.head.detail().startswith("after epoch 0 · batch 2 · loss")
    app.controller.appearance.choose_layout("Debug")
    now(app)
    words = batch_words(0, 3)
    assert words in current(look(app))
    assert now(app).picture.title.startswith(f"{words} · sample 0")
    run_to(app, "conv2", "forward")
    for _ in range(3):
        press(app, F11)
    text = app.window.panels.explanation.view.toPlainText()
    assert "Next step: term 0 of 150" in text
    stack = [(row.title, row.detail) for row in app.window.panels.stack.view._rows]
    assert ("term 0", "of 150") in stack
    assert "next term 0 of 150" in app.window.panels.window.view.facts()
    run_to(app, "dense2", "forward")
    press(app, F11)
    assert current(look(app))[-1] == "unit 0"


# --- the pointer --------------------------------------------------------------------------------


def test_a_resting_pointer_reads_what_has_come_under_it(opened):
    app = opened("forward")
    view, status = app.window.panels.map.view, app.window.status
    now(app)
    place = QPoint(60, 60)
    QTest.mouseMove(view, place)
    app.wait_until(lambda: False, 0.05)
    for _ in range(9):
        snapshot = now(app)
        row, column = view.cell_at(view._pointer)
        channel = snapshot.maps.layout.place(snapshot.index)[0]
        index = snapshot.maps.layout.index(channel, row, column)[1:]
        name = f"{snapshot.layer}.output[{','.join(map(str, index))}] = "
        assert status.place.text().startswith(name), snapshot.layer
        press(app, F10)


def test_a_pointer_beside_the_new_map_leaves_nothing_behind(opened):
    app = opened("forward")
    view, status = app.window.panels.mosaic.view, app.window.status
    now(app)
    tile = view._tile(5).center().toPoint()
    QTest.mouseMove(view, tile)
    app.wait_until(lambda: False, 0.05)
    assert status.place.text().startswith("conv1.output[5,")
    run_to(app, "logits", "forward")  # a single row of ten: nothing is down there
    assert view.channel_at(view._pointer) is None
    assert status.place.text().startswith("logits.output[")


def test_a_pause_shows_no_speed_and_a_training_shows_samples(opened):
    app = opened("forward", layout="Train")
    status, session = app.window.status, app.controller.desk.session
    assert status.rate.text() == ""
    app.worker.submit("train", 0, 0)
    assert app.wait_until(lambda: "samples/s" in status.rate.text(), 60)
    assert "fps" not in status.rate.text()
    app.window.entries["train.pause"].trigger()
    assert app.wait_until(lambda: session.state == "paused", 20)
    now(app)
    assert status.rate.text() == ""


def test_the_timeline_follows_batches_that_the_debugger_finishes(opened):
    app = opened()
    curves, head = app.controller.desk.curves, app.window.panels.curves.head
    app.window.panels.curves.build()
    for batch in range(3):
        press(app, F5)
        assert app.wait_until(lambda n=batch: len(curves.losses) == n + 1, 10)
    losses = list(app.worker._bench._desk.scheduler.history.steps)
    assert curves.losses == losses
    assert curves.steps == [0, 1, 2]
    app.wait_until(lambda: "batch 2" in head.detail(), 5)
    assert head.detail().startswith("after epoch 0 · batch 2 · loss")
    for _ in range(2):
        press(app, F10, ALT)
    press(app, F5)
    steps = app.worker._bench._desk.scheduler.history.steps
    assert len(steps) == 2
    assert curves.losses == losses  # what is recorded after the cursor stays
    app.worker.submit("train", 1, 0)
    assert app.wait_until(lambda: curves.revision == 1, 20)
    now(app)
    assert curves.steps == [0, 1, 2]
    assert curves.losses == losses  # made anew, it has the same bits
    series = app.window.panels.curves.loss._series["loss"]
    assert app.wait_until(lambda: series.count == 3, 10)


# --- to a picked element ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "tensor", "index", "arrives"),
    [
        ("conv2", "output", (0, 5, 7, 4), ("forward", "conv2", "output")),
        ("conv2", "grad_output", (0, 5, 7, 4), ("backward", "relu2", "input.gradient")),
        ("conv2", "input.gradient", (0, 5, 10, 8), ("backward", "conv2", "input.gradient")),
        ("conv2", "weight.gradient", (9, 3, 2, 4), ("backward", "conv2", "weight.gradient")),
        ("conv2", "weight", (9, 3, 2, 4), ("update", "conv2", "weight")),
        ("logits", "grad_output", (0, 3), ("backward", "loss", "input.gradient")),
        ("loss", "output", (0,), ("loss", "loss", "output")),
        ("loss", "items", (5,), ("loss", "loss", "output")),
        ("loss", "target", (0, 3), ("load", "input", "output")),
        ("input", "output", (0, 0, 3, 5), ("load", "input", "output")),
    ],
)
def test_any_shown_element_can_be_run_to(opened, layer, tensor, index, arrives):
    app = opened()
    app.controller.desk.selection.select(layer, tensor, index)
    shown = now(app)
    assert (shown.layer, shown.tensor, shown.index) == (layer, tensor, index)
    snapshot = press(app, Qt.Key.Key_Return, CONTROL)
    cursor = snapshot.cursor
    assert (cursor.phase, cursor.layer, cursor.tensor) == arrives
    if cursor.level != "operation":
        assert cursor.index == index


def test_what_a_forward_pass_does_not_compute_is_refused_in_one_sentence(opened):
    app = opened("forward")
    app.worker.submit("run_to", "conv2", "weight", (0, 0, 0, 0), 0)
    now(app)
    texts = [item.text for item in app.window.notifications.items]
    assert texts[-1] == ("conv2: this pass has no update phase of it; choose the training program")
