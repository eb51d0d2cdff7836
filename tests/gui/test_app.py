"""The app with the real engine, used as a person would: keys, mouse, files, training."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from PyQt6.QtCore import QPoint, Qt, QTimer
from PyQt6.QtGui import QImage
from PyQt6.QtTest import QTest

from engine import Input, Model, Scheduler, save
from engine.layers import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    ReLU,
    Softmax,
)
from engine.losses import CrossEntropyLoss, MSELoss
from engine.optimizers import SGD
from gui.app import Application, Options, UsageError, parse_place, parse_size, read_options

NONE, CONTROL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
SHIFT, ALT = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier
LEFT = Qt.MouseButton.LeftButton


def lenet(seed=0):
    return Model(
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
        seed=seed,
    )


def branching():
    x = Input((3, 8, 8))
    h = Conv2d(3, 4, 3, padding=1, dilation=1, name="stem")(x)
    a = ReLU(name="act")(BatchNorm2d(4, name="norm")(h))
    b = Conv2d(4, 4, 3, stride=1, padding=1, groups=2, name="side")(a)
    s = Add(name="sum")(a, b)
    p = AvgPool2d(2, name="pool")(s)
    f = Flatten(name="flat")(Dropout(0.5, name="drop")(p))
    return Model(inputs=x, outputs=Softmax(name="soft")(Dense(64, 5, name="head")(f)))


@pytest.fixture(scope="session")
def run_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "lenet.safetensors"
    save(Scheduler(lenet(), CrossEntropyLoss(), SGD(learning_rate=0.05, momentum=0.9)), path)
    return path


def start(path, **options):
    settings = {"size": (1280, 800), "theme": "dark", "layout": "Debug", "private": True}
    application = Application(Options(run=str(path), **{**settings, **options}), offscreen=True)
    application.start()
    assert application.settle(100)
    application.problems = lambda: [
        item.text for item in application.window.notifications.items if item.level != "info"
    ]
    return application


@pytest.fixture
def app(qapp, run_file):
    application = start(run_file)
    yield application
    assert application.problems() == []
    application.close()
    assert not application.worker.alive


def now(app):
    assert app.settle(60), [item.detail for item in app.window.notifications.items]
    return app.controller.desk.session.snapshot


def press(app, key, modifier=NONE):
    QTest.keyClick(app.window, key, modifier)


# --- opening ------------------------------------------------------------------------------------


def test_it_opens_paused_before_the_first_layer_with_every_panel_filled(app):
    snapshot = now(app)
    assert (snapshot.cursor.layer, snapshot.cursor.level) == ("conv1", "operation")
    assert [frame.layer for frame in snapshot.frames if frame.state == "current"][-1] == "conv1"
    assert len(snapshot.thumbnails) == 13
    assert snapshot.picture.label == 7
    assert snapshot.prediction.probabilities.sum() == pytest.approx(1)
    assert snapshot.window.exact
    assert snapshot.words.sentences
    assert app.controller.desk.session.state == "paused"
    assert "receptive field rows" in app.window.status.facts.text()
    assert "window 5×5" in app.window.status.facts.text()
    assert app.first_paint_s is not None
    assert app.first_paint_s < app.ready_s


def test_the_shown_numbers_are_the_models_own(app):
    snapshot = now(app)
    model = app.worker._bench._desk.scheduler.model
    expected = model.activations(snapshot.picture.image[None], ["conv1"])["conv1"]
    np.testing.assert_array_equal(snapshot.maps.maps, expected[0])
    np.testing.assert_array_equal(
        snapshot.kernels.kernels if snapshot.kernels else model["conv1"].weight.value,
        model["conv1"].weight.value,
    )


def test_a_bad_file_is_one_warning_and_the_old_run_stays(qapp, run_file, tmp_path):
    app = start(run_file)
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(run_file.read_bytes()[:-7])
    app.window.files_dropped.emit([str(bad)])
    assert now(app).cursor.layer == "conv1"
    assert len(app.problems()) == 1
    assert "bad.safetensors" in app.problems()[0]
    app.close()


def test_a_net_with_branches_and_other_inputs_steps_through_every_layer(qapp, tmp_path):
    path = tmp_path / "branches.safetensors"
    save(Scheduler(branching(), MSELoss(), SGD(learning_rate=0.1)), path)
    app = start(path, size=(1600, 1000))
    run = app.controller.desk.session.run
    assert not run.can_train
    seen = []
    while not now(app).cursor.finished:
        seen.append(now(app).cursor.layer)
        press(app, Qt.Key.Key_F10)
    assert seen == [node.name for node in run.nodes if node.inputs]
    for node in run.nodes:
        app.window.panels.network.view.selected.emit(node.name)
        snapshot = now(app)
        assert snapshot.layer == node.name
        assert snapshot.maps.layout.inner == node.shape
        assert not snapshot.maps.ahead
        if node.inputs:
            assert snapshot.window.exact
    app.window.entries["train.start"].trigger()
    app.worker.submit("train", 1, 0)
    now(app)
    assert "cannot be trained" in app.problems()[0]
    app.close()


# --- stepping -----------------------------------------------------------------------------------


def test_keys_step_over_layers_into_a_term_and_back(app):
    for _ in range(3):
        press(app, Qt.Key.Key_F10)
    assert now(app).cursor.layer == "conv2"
    levels = []
    for _ in range(3):
        press(app, Qt.Key.Key_F11)
        levels.append(now(app).cursor.level)
    assert levels == ["channel", "pixel", "term"]
    press(app, Qt.Key.Key_F10)
    snapshot = now(app)
    assert (snapshot.cursor.index, snapshot.cursor.term) == ((0, 0, 0, 0), 1)
    assert snapshot.window.cursor_term == 1
    assert snapshot.maps.revealed == 0
    press(app, Qt.Key.Key_F11, SHIFT)
    assert now(app).cursor.index == (0, 0, 0, 1)
    assert now(app).maps.revealed == 1
    for _ in range(5):
        press(app, Qt.Key.Key_F10, ALT)
    assert now(app).cursor == app.controller.desk.session.snapshot.cursor
    assert (now(app).cursor.layer, now(app).cursor.level) == ("conv2", "operation")


def test_go_to_an_element_and_debug_it_with_the_keyboard_alone(app):
    app.controller.stepping.go_to("conv2", "5, 7, 4")
    assert now(app).index == (0, 5, 7, 4)
    press(app, Qt.Key.Key_Return, CONTROL)
    snapshot = now(app)
    cursor = snapshot.cursor
    assert (cursor.layer, cursor.index, cursor.term) == ("conv2", (0, 5, 7, 4), 0)
    assert snapshot.box == (12, 6, 26, 20)
    assert "conv2.output[5,7,4]" in app.window.status.place.text()
    assert "receptive field rows 12–25, cols 6–19" in app.window.status.facts.text()
    press(app, Qt.Key.Key_F5, SHIFT)
    assert now(app).cursor.layer == "conv1"


def test_a_mouse_click_picks_a_pixel_and_into_goes_there(app):
    view = app.window.panels.map.view
    now(app)
    before = app.controller.desk.selection.index
    QTest.mouseClick(view, LEFT, NONE, QPoint(view.height() // 2, view.height() // 2))
    index = app.controller.desk.selection.index
    assert index is not None
    assert index != before
    snapshot = now(app)
    assert snapshot.index == index
    press(app, Qt.Key.Key_F11)
    cursor = now(app).cursor
    assert (cursor.layer, cursor.index) == ("conv1", index)


def test_play_runs_by_itself_and_space_stops(app):
    app.controller.desk.playback.set_speed(200)
    app.worker.submit("run_to", "conv1", None, (0, 0, 0, 0), 0)
    now(app)
    app.window.entries["debug.play"].trigger()
    session = app.controller.desk.session
    assert app.wait_until(lambda: session.snapshot.steps > 5 and session.state == "running", 10)
    view = app.window.panels.map.view
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Space)
    place = now(app).cursor.position
    app.wait_until(lambda: False, 0.1)
    assert now(app).cursor.position == place
    assert now(app).cursor.level == "term"


def test_breakpoints_stop_the_run(app):
    app.window.panels.network.view.selected.emit("conv2")
    now(app)
    press(app, Qt.Key.Key_F9)
    press(app, Qt.Key.Key_F5)
    snapshot = now(app)
    assert (snapshot.reason, snapshot.cursor.layer) == ("breakpoint", "conv2")
    assert snapshot.breakpoints[0].hits == 1
    assert "conv2" in app.window.panels.breakpoints.message.text()
    press(app, Qt.Key.Key_Z, CONTROL)
    press(app, Qt.Key.Key_F5)
    assert now(app).cursor.finished
    assert now(app).reason == "end"


def test_next_nan_finds_the_culprit(qapp, tmp_path):
    model = lenet()
    weight = model["conv2"].weight.value.copy()
    weight[3, 2, 1, 1] = np.nan
    model["conv2"].weight.value = weight
    path = tmp_path / "nan.safetensors"
    save(Scheduler(model, CrossEntropyLoss(), SGD(learning_rate=0.1)), path)
    app = start(path)
    press(app, Qt.Key.Key_F11, CONTROL)
    snapshot = now(app)
    assert snapshot.reason == "breakpoint"
    assert "conv2" in snapshot.message
    badges = {item.name: item.badge for item in snapshot.thumbnails}
    assert (badges["conv2"], badges["conv1"]) == ("N", "ok")
    app.close()


def test_a_training_step_shows_backward_and_update(app):
    app.worker.submit("set_program", "training")
    assert now(app).program == "training"
    phases = []
    while now(app).cursor.batch == 0:
        phases.append(now(app).cursor.phase)
        if now(app).cursor.phase == "update" and "update" not in phases[:-1]:
            app.window.panels.network.view.selected.emit("conv2")
            shown = now(app)
            assert shown.maps.gradient is not None
            facts = app.window.status.facts.text()
            assert "grad " in facts
            assert "grad —" not in facts
            rows = {row.name: row for row in shown.locals} if shown.locals else {}
            assert not rows or rows["weight.gradient"].low is not None
        press(app, Qt.Key.Key_F10)
    assert list(dict.fromkeys(phases)) == ["forward", "loss", "backward", "update", "load"] or (
        list(dict.fromkeys(phases)) == ["forward", "loss", "backward", "update"]
    )
    app.worker.submit("run_to", "conv1", "weight.gradient", (2, 0, 1, 3), 5)
    snapshot = now(app)
    assert snapshot.tensor == "weight.gradient"
    assert snapshot.window.exact
    assert snapshot.window.cursor_term == 5


def test_leaving_a_half_done_training_step_takes_it_back(app):
    model = app.worker._bench._desk.scheduler.model
    before = {name: p.value.copy() for name, p in model.parameters.items()}
    app.worker.submit("set_program", "training")
    app.worker.submit("run_to", "dense1", "weight", None)
    press(app, Qt.Key.Key_F10)
    assert now(app).cursor.phase == "update"
    app.worker.submit("set_program", "forward")
    assert now(app).program == "forward"
    for name, array in before.items():
        assert model.parameters[name].value.tobytes() == array.tobytes()


# --- pictures -----------------------------------------------------------------------------------


def test_drawing_with_the_mouse_changes_the_prediction_and_keeps_the_cursor(app):
    app.worker.submit("run_to", "conv2", None, (0, 5, 7, 4), 3)
    old = now(app)
    panel = app.window.panels.input
    panel.show_tab("Draw")
    app.wait_until(lambda: False, 0.05)
    canvas = panel.canvas.childAt(QPoint(panel.canvas.width() // 3, panel.canvas.height() // 3))
    middle = canvas.rect().center()
    QTest.mousePress(canvas, LEFT, NONE, middle - QPoint(0, 30))
    for step in range(-30, 31, 6):
        QTest.mouseMove(canvas, middle + QPoint(0, step))
    QTest.mouseRelease(canvas, LEFT, NONE, middle + QPoint(0, 30))
    snapshot = now(app)
    assert snapshot.picture.source == "drawn"
    assert snapshot.picture.image.shape == (1, 28, 28)
    assert snapshot.picture.image.max() > 0.5
    assert not np.array_equal(snapshot.prediction.probabilities, old.prediction.probabilities)
    assert snapshot.cursor.position == old.cursor.position
    assert snapshot.window.exact
    press(app, Qt.Key.Key_Z, CONTROL)
    assert now(app).picture.image.max() == 0


def test_browsing_the_set(app):
    panel = app.window.panels.input
    panel.dataset.number.setValue(3)
    assert now(app).picture.source == "test#3"
    press(app, Qt.Key.Key_Right, CONTROL)
    assert now(app).picture.source == "test#4"
    panel.dataset.label_filter.setCurrentIndex(8)  # class 7
    press(app, Qt.Key.Key_R, CONTROL)
    assert now(app).picture.label == 7
    press(app, Qt.Key.Key_M, CONTROL)
    snapshot = now(app)
    assert int(np.argmax(snapshot.prediction.probabilities)) != snapshot.picture.label
    assert panel.dataset.number.value() == int(snapshot.picture.source.partition("#")[2])


def test_a_picture_file_is_scaled_and_inverted_as_said(app, tmp_path):
    image = QImage(56, 56, QImage.Format.Format_RGB32)
    image.fill(0xFFFFFFFF)
    for row in range(20, 36):
        image.setPixel(28, row, 0xFF000000)
        image.setPixel(29, row, 0xFF000000)
    path = tmp_path / "stroke.png"
    image.save(str(path))
    app.window.files_dropped.emit([str(path)])
    picture = now(app).picture
    assert picture.title.startswith("stroke.png")
    assert picture.image[0, 14, 14] == pytest.approx(1, abs=0.02)
    assert picture.image[0, 0, 0] == pytest.approx(0, abs=0.02)
    assert "inverted" in app.window.panels.input.file.stages.text()


def test_synthetic_pictures(app):
    panel = app.window.panels.input
    panel.show_tab("Synthetic")
    panel.synthetic.kind.setCurrentText("impulse")
    panel.synthetic.amount.setValue(2)
    image = now(app).picture.image
    assert image.sum() == 1
    assert image[0, 14, 16] == 1


# --- training -----------------------------------------------------------------------------------


def test_training_in_the_window_moves_curve_kernels_and_maps(app):
    app.controller.appearance.choose_layout("Train")
    before = now(app)
    app.window.entries["train.start"].trigger()
    curves, session = app.controller.desk.curves, app.controller.desk.session
    assert app.wait_until(lambda: len(curves.losses) >= 40, 60)
    assert session.state == "training"
    during = session.snapshot
    assert not np.array_equal(during.kernels.kernels, before.kernels.kernels)
    assert not np.array_equal(during.maps.maps, before.maps.maps)
    start = time.monotonic()
    app.window.entries["train.pause"].trigger()
    assert app.wait_until(lambda: session.state == "paused", 10)
    assert time.monotonic() - start < 3
    assert curves.steps == list(range(len(curves.steps)))
    assert np.mean(curves.losses[-5:]) < np.mean(curves.losses[:5])
    after = now(app)
    count = len(curves.losses)
    press(app, Qt.Key.Key_B, CONTROL)
    assert app.wait_until(lambda: len(curves.losses) == count + 1, 20)
    app.wait_until(lambda: session.state == "paused", 10)
    assert len(curves.losses) == count + 1
    assert after.cursor.layer == "conv1"
    press(app, Qt.Key.Key_F10)
    assert now(app).cursor.layer == "relu1"


def test_the_window_stays_live_while_training(app):
    app.controller.appearance.choose_layout("Train")
    now(app)
    app.wait_until(lambda: not app.controller.desk.activity.running, 100)
    worst = []
    for _ in range(3):  # others on the machine only make it worse, so the best run counts
        bursts, last = [], [time.thread_time()]

        def beat(bursts=bursts, last=last):
            spent = time.thread_time()
            bursts.append(spent - last[0])
            last[0] = spent

        app.window.entries["train.start"].trigger()
        app.wait_until(lambda: app.controller.desk.session.state == "training", 20)
        timer = QTimer()
        timer.setInterval(10)
        timer.timeout.connect(beat)
        last[0] = time.thread_time()
        timer.start()
        QTimer.singleShot(2500, app.qt.exit)
        app.qt.exec()
        timer.stop()
        app.window.entries["train.pause"].trigger()
        app.wait_until(lambda: app.controller.desk.session.state == "paused", 20)
        assert len(bursts) > 20
        worst.append(max(bursts))
        if worst[-1] < 0.05:
            break
    assert min(worst) < 0.05, f"longest work between two beats: {worst} s"


def test_closing_while_training_is_quick(qapp, run_file):
    app = start(run_file)
    app.window.entries["train.start"].trigger()
    assert app.wait_until(lambda: len(app.controller.desk.curves.losses) > 2, 60)
    app.controller.settings.confirm_close = False
    start_s = time.monotonic()
    assert app.window.close()
    assert time.monotonic() - start_s < 2
    assert not app.worker.alive
    app.close()


def test_a_saved_run_opens_with_its_curve(app, tmp_path):
    app.worker.submit("train", 5, 0)
    assert app.wait_until(lambda: len(app.controller.desk.curves.losses) == 5, 60)
    app.wait_until(lambda: app.controller.desk.session.state == "paused", 10)
    losses = list(app.controller.desk.curves.losses)
    path = tmp_path / "after.safetensors"
    app.worker.submit("save_run", str(path))
    now(app)
    app.controller.files.open_run(str(path))
    now(app)
    assert app.controller.desk.session.run.title == "after"
    assert app.controller.desk.curves.losses == losses


def test_export_npy_writes_the_exact_tensor(app, tmp_path):
    path = tmp_path / "conv1.npy"
    app.worker.submit("export_npy", str(path), "conv1", "weight")
    now(app)
    model = app.worker._bench._desk.scheduler.model
    np.testing.assert_array_equal(np.load(path), model["conv1"].weight.value)


# --- command line -------------------------------------------------------------------------------


def test_places_and_sizes():
    place = parse_place("conv2:0,5,7,4@45")
    assert (place.layer, place.index, place.term) == ("conv2", (0, 5, 7, 4), 45)
    assert parse_place("conv2").index is None
    assert parse_size("1280x800") == (1280, 800)
    for bad in ("", ":1", "conv2:", "conv2:a", "conv2:1@", "conv2:1@x"):
        with pytest.raises(UsageError, match="--at"):
            parse_place(bad)
    for bad in ("", "1280", "1280x", "-5x800", "99x99", "1280x800x3"):
        with pytest.raises(UsageError, match="--size"):
            parse_size(bad)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"theme": "pink"}, "--theme"),
        ({"layout": "Mine"}, "--layout"),
        ({"size": "big"}, "--size"),
        ({"at": "conv2:"}, "--at"),
    ],
)
def test_bad_options(changes, text):
    values = {
        "run": None,
        "size": "",
        "at": "",
        "theme": "",
        "layout": "",
        "reset": False,
        "private": True,
    }
    with pytest.raises(UsageError, match=text):
        read_options(**{**values, **changes})


def command(*arguments):
    code = (
        "import sys, typer; from gui.app import command; app = typer.Typer(); "
        "app.command()(command); app()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_screenshot_of_a_place(run_file, tmp_path):
    path = tmp_path / "shot.png"
    done = command(
        run_file,
        "--screenshot",
        path,
        "--size",
        "1280x800",
        "--at",
        "conv2:0,5,7,4",
        "--theme",
        "light",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    picture = QImage(str(path))
    assert (picture.width(), picture.height()) == (1280, 800)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert 0 < told["first_paint_s"] < told["ready_s"]


@pytest.mark.parametrize("place", ["conv9:0,1", "conv2:0,5,99,4"])
def test_a_place_that_does_not_exist_is_one_line_and_exit_2(run_file, tmp_path, place):
    done = command(run_file, "--screenshot", tmp_path / "x.png", "--at", place)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if "propagateSizeHints" not in line]
    assert len(lines) == 1
    assert place.partition(":")[0] in lines[0]
    assert not (tmp_path / "x.png").exists()
