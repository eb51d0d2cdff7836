"""A walk through a whole training step in the real window, forwards and back, by real keys.

At every stop all panels must speak of the same operation and hold its numbers, bit for bit; going
back must show what going forward has shown.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest

from engine import Input, Model, Scheduler, load, save
from engine.data import load_mnist
from engine.debug import Session
from engine.layers import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Flatten,
    MaxPool2d,
    ReLU,
)
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD, Adam
from gui.app import Application, Options
from gui.views.explanation_panel import ExplanationPanel
from gui.views.maps_panel import MapPanel, MosaicPanel
from gui.views.stack_panel import StackPanel
from gui.views.status_line import StatusLine
from gui.views.window_panel import WindowPanel
from gui.worker.debuggee import Debuggee
from gui.worker.runs import training_loader
from tests.gui.walking import check_operation, current, look

NONE, CONTROL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
SHIFT, ALT = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier
F5, F10, F11 = Qt.Key.Key_F5, Qt.Key.Key_F10, Qt.Key.Key_F11


def lenet() -> Scheduler:
    model = Model(
        [
            Conv2d(1, 6, kernel_size=5, padding=2, name="conv1"),
            ReLU(name="relu1"),
            MaxPool2d(2, name="pool1"),
            Conv2d(6, 16, kernel_size=5, name="conv2"),
            ReLU(name="relu2"),
            MaxPool2d(2, name="pool2"),
            Flatten(name="flatten1"),
            Dense(400, 120, name="dense1"),
            ReLU(name="relu3"),
            Dense(120, 84, name="dense2"),
            ReLU(name="relu4"),
            Dense(84, 10, name="logits"),
        ],
        input_shape=(1, 28, 28),
        seed=0,
    )
    return Scheduler(model, CrossEntropyLoss(), SGD(learning_rate=0.05, momentum=0.9))


def residual() -> Scheduler:
    """A block with batch norm and a sum, whose input two layers read."""
    x = Input((1, 28, 28))
    stem = Conv2d(1, 4, 3, stride=2, padding=1, name="stem")(x)
    act = ReLU(name="act")(BatchNorm2d(4, name="norm")(stem))
    side = BatchNorm2d(4, name="norm2")(Conv2d(4, 4, 3, padding=1, name="side")(act))
    total = ReLU(name="after")(Add(name="sum")(act, side))
    flat = Flatten(name="flat")(AvgPool2d(2, name="pool")(total))
    model = Model(inputs=x, outputs=Dense(196, 10, name="head")(flat), seed=0)
    return Scheduler(model, CrossEntropyLoss(), Adam(0.01))


NETS = {"lenet": lenet, "residual": residual}


@pytest.fixture(scope="module")
def run_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walks")
    for name, make in NETS.items():
        save(make(), folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def opened(qapp, run_files):
    applications = []

    def start(name, program="training"):
        path = run_files / f"{name}.safetensors"
        options = Options(
            run=str(path), size=(1600, 1000), theme="dark", layout="Debug", private=True
        )
        app = Application(options, offscreen=True)
        applications.append(app)
        app.start()
        assert app.settle(100)
        app.worker.submit("set_program", program)
        now(app)
        return app

    yield start
    for app in applications:
        problems = [i.text for i in app.window.notifications.items if i.level != "info"]
        app.close()
        assert problems == []


@pytest.fixture
def reference(run_files):
    """Another session over the same run file and the same batches."""

    def make(name):
        scheduler = load(run_files / f"{name}.safetensors")
        session = Session(scheduler, loader=training_loader(scheduler, load_mnist()[0]), epochs=2)
        session.step_over()
        return session

    return make


def now(app):
    assert app.settle(60), [item.detail for item in app.window.notifications.items]
    return app.controller.desk.session.snapshot


def press(app, key, modifier=NONE):
    QTest.keyClick(app.window, key, modifier)
    return now(app)


def walk(app, session, stops=None):
    """Step over to the next batch's first layer and check every stop; return what was seen."""
    seen = []
    while stops is None or len(seen) < stops:
        cursor = now(app).cursor
        assert (cursor.batch, cursor.operation) == (
            session.position.batch,
            session.position.operation,
        )
        if cursor.batch == 1 and cursor.phase == "forward":
            break
        session.step_over()
        seen.append(check_operation(app, session))
        press(app, F10)
    return seen


# --- the walk -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_every_stop_of_a_training_step_forwards_and_back(opened, reference, name):
    app, session = opened(name), reference(name)
    forward = walk(app, session)
    rows = session.program.operations
    assert len(forward) == len(rows)  # from the first layer to the load of the next batch
    for number in range(len(forward) - 1, -1, -1):
        press(app, F10, ALT)
        again = look(app)
        assert again.arrays == forward[number].arrays, rows[(number + 1) % len(rows)]
        assert again.texts == forward[number].texts, rows[(number + 1) % len(rows)]
    for number in range(3):  # and forwards once more
        assert look(app) == forward[number]
        press(app, F10)


def test_the_end_of_a_forward_pass_shows_its_last_layer(opened):
    app = opened("lenet", "forward")
    for _ in range(12):
        press(app, F10)
    snapshot = now(app)
    assert snapshot.cursor.finished
    assert (snapshot.layer, snapshot.tensor) == ("logits", "output")
    seen = look(app)
    assert seen.texts["mosaic head"][0] == "logits · 1 map"
    assert "Alt+F10" in seen.texts["explanation"]
    steps = snapshot.steps
    for key in (F10, F5, F11):
        assert press(app, key).steps == steps
    told = [item.text for item in app.window.notifications.items]
    assert any("Alt+F10 goes one step back, Shift+F5 starts it again" in text for text in told)
    assert "Shift+F5" in look(app).texts["message"]
    assert press(app, F10, ALT).cursor.layer == "logits"


# --- inside -------------------------------------------------------------------------------------


def run_to(app, layer, phase):
    """Go to an operation as a double click on its frame of the stack does."""
    snapshot = now(app)
    frames = [f for f in snapshot.frames if f.position is not None and f.layer == layer]
    frame = next(f for f in frames if f.position.phase == phase and f.title in (layer, phase))
    app.window.panels.stack.frame_reached.emit(frame)
    assert now(app).cursor.layer == layer


@pytest.mark.parametrize(
    ("layer", "phase", "result", "titles"),
    [
        ("conv2", "backward", "weight.gradient", ["kernel (0, 0)", "weight (0, 0)", "term 0"]),
        ("conv1", "update", "weight", ["kernel (0, 0)", "weight (0, 0)", "stage 0"]),
        ("dense2", "backward", "weight.gradient", ["weight (0, 0)", "term 0"]),
        ("pool2", "backward", "input.gradient", ["channel 0", "pixel (0, 0)", "stage 0"]),
        ("loss", "loss", "output", ["value", "term 0"]),
        ("loss", "backward", "input.gradient", ["unit 0", "stage 0"]),
        ("logits", "forward", "output", ["unit 0", "term 0"]),
    ],
)
def test_into_every_level_of_an_operation(opened, reference, layer, phase, result, titles):
    app, session = opened("lenet"), reference("lenet")
    run_to(app, layer, phase)
    row = next(r for r in session.program.operations if (r.layer, r.phase) == (layer, phase))
    session.run_to(replace(session.position.at_operation(), phase=phase, operation=row.index))
    if len(row.results) > 1:
        snapshot = press(app, F11)
        session.step_into()
        assert snapshot.cursor.tensor == snapshot.tensor == result
        assert look(app).texts["map head"][1].startswith(result)
    for depth in range(len(titles)):
        snapshot = press(app, F11)
        session.step_into()
        seen = look(app)
        assert snapshot.cursor.position == session.position
        assert (snapshot.layer, snapshot.tensor) == (layer, result)
        frames = current(seen)
        assert frames[-(depth + 1) :] == titles[: depth + 1]
        assert snapshot.cursor.words.startswith(phase)
        assert layer in snapshot.cursor.words
        if depth + 1 >= len(titles) - 1:  # a whole element
            check_element(app, session, seen)
    for _ in range(3):
        snapshot = press(app, F10)
        session.step_over()
        assert snapshot.cursor.position == session.position
        check_element(app, session, look(app))
    forward = look(app)
    press(app, F10, ALT)
    press(app, F10)
    assert look(app) == forward


def check_element(app, session, seen):
    """Check that window, map and words speak of the element at the cursor, term by term."""
    why, at = session.explain_position(), session.position
    snapshot = now(app)
    assert snapshot.index == why.index
    assert seen.arrays["totals"] == np.asarray(why.terms.totals).tobytes()
    assert seen.arrays["result"] == np.float64(why.value).tobytes()
    assert seen.texts["stages"] == [(s.label, s.value, s.formula) for s in why.stages]
    assert why.sentence in seen.texts["explanation"]
    assert seen.texts["window"][0] == seen.texts["explanation head"][1]
    assert seen.texts["cursors"][1] == snapshot.maps.layout.place(why.index)[1:]
    assert f"{session.operation().layer}.{snapshot.tensor}[" in seen.texts["place"]
    count = len(why.terms)
    if at.term is not None and at.term < count:
        assert seen.texts["window"][2] == at.term
        assert f"Next step: term {at.term} of {count}" in seen.texts["explanation"]
        assert f"term {at.term}" in current(seen)


def test_the_loss_shows_all_its_terms(opened):
    app = opened("lenet")
    run_to(app, "loss", "loss")
    for _ in range(2):
        press(app, F11)
    content = app.window.panels.window.view.content()
    assert content.terms == 64
    assert content.title == "loss[0]"
    assert content.operand_labels[0](5) == "[5]"
    text = app.window.panels.explanation.view.toPlainText()
    assert text.startswith("The loss is")
    assert "logits" not in text
    for _ in range(64):
        press(app, F10)
    assert current(look(app))[-1] == "result"


# --- the check sees faults ----------------------------------------------------------------------


def stale(method):
    """Let a panel take what it is shown once, and then no more."""

    def show(self, *arguments, **options):
        if not getattr(self, "_planted", False):
            self._planted = True
            method(self, *arguments, **options)

    return show


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (ExplanationPanel, "show_words"),
        (WindowPanel, "show_content"),
        (MosaicPanel, "show_maps"),
        (MapPanel, "show_map"),
        (StackPanel, "show_frames"),
        (StatusLine, "show_place"),
    ],
)
def test_a_panel_that_stays_behind_is_found(opened, reference, monkeypatch, owner, name):
    app, session = opened("lenet"), reference("lenet")
    monkeypatch.setattr(owner, name, stale(getattr(owner, name)))
    with pytest.raises(AssertionError):
        walk(app, session, stops=4)


def test_blank_panels_after_the_forward_pass_are_found(opened, reference, monkeypatch):
    from contextlib import nullcontext

    app, session = opened("lenet"), reference("lenet")
    run_to(app, "logits", "backward")
    rows = session.program.operations
    row = next(r for r in rows if (r.layer, r.phase) == ("logits", "backward"))
    session.run_to(replace(session.position.at_operation(), phase="backward", operation=row.index))
    session.step_over()
    check_operation(app, session)
    monkeypatch.setattr(Debuggee, "looking", lambda _self: nullcontext())
    press(app, F10)
    session.step_over()
    with pytest.raises((AssertionError, KeyError)):
        check_operation(app, session)
