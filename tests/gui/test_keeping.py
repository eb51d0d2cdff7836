"""Nothing is lost: questions before something goes, copies for what nobody could be asked about."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PyQt6 import sip
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtTest import QTest

from engine import load, save
from gui.app import Application
from gui.models.snapshot import BreakpointRow
from gui.shelf import DeskState, Shelf, state_folder
from gui.views.dialogs import BreakpointWish
from gui.worker.keeping import Keeper
from tests.gui.driving import (
    Answers,
    click,
    desk,
    messages,
    now,
    small_run,
    start,
    train,
    type_file,
    worker_desk,
)

CONTROL = Qt.KeyboardModifier.ControlModifier
WINDOWS = os.name == "nt"


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVSCOPE_CONFIG", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def run_file(tmp_path):
    path = tmp_path / "small.safetensors"
    save(small_run(), path)
    return path


@pytest.fixture
def window(qapp, own_folder):
    """Open windows with a shelf of their own; those left open are terminated after the test."""
    opened = []

    def make(path="", **options):
        opened.append(start(path, private=False, **options))
        return opened[-1]

    yield make
    for app in opened:
        app.controller.terminate()
        if not sip.isdeleted(app.window):
            app.window.deleteLater()


def copies():
    return sorted((state_folder() / "unsaved").glob("*.safetensors"))


def step_of(path):
    return load(path).global_step


def quit_by_keys(app):
    app.window.activateWindow()  # the offscreen display forgets this under a dialog
    app.wait_until(lambda: app.window.isActiveWindow(), 2)
    QTest.keyClick(app.window, Qt.Key.Key_Q, CONTROL)


def close_button(app):
    app.window.close()


# --- closing and opening with training that is not saved ---------------------------------------


@pytest.mark.parametrize("leave", [quit_by_keys, close_button])
@pytest.mark.parametrize("running", [False, True], ids=["paused", "training"])
def test_closing_asks_and_saves(window, run_file, tmp_path, leave, running):
    app, target = window(run_file), tmp_path / "mine.safetensors"
    train(app, 5)
    if running:
        app.window.entries["train.start"].trigger()
        assert app.wait_until(lambda: len(desk(app).curves.losses) > 5, 20)
    answers = Answers(click("Save"), type_file(target))
    leave(app)
    assert answers.done()
    assert not app.window.isVisible()
    assert not app.worker.alive
    assert "not saved" in answers.seen[0]
    steps = step_of(target)
    assert steps > 5 if running else steps == 5
    assert step_of(run_file) == 0
    assert copies() == []


def test_save_is_the_default_and_escape_leaves_everything_as_it_is(window, run_file):
    app = window(run_file)
    train(app, 3)
    found = []

    def escape(dialog):
        found.append(dialog.defaultButton().text().replace("&", ""))
        QTest.keyClick(dialog, Qt.Key.Key_Escape)

    answers = Answers(escape)
    quit_by_keys(app)
    assert answers.done()
    assert found == ["Save"]
    assert app.window.isVisible()
    assert worker_desk(app).scheduler.global_step == 3
    train(app, 1)


def test_not_saving_closes_and_leaves_nothing_behind(window, run_file):
    app = window(run_file)
    train(app, 3)
    assert [step_of(path) for path in copies()] == [3]  # kept at the pause
    answers = Answers(click("Don't save"))
    quit_by_keys(app)
    assert answers.done()
    assert not app.window.isVisible()
    assert copies() == []
    assert window(run_file).controller.keeping.question is None


def test_a_save_that_fails_does_not_close(window, run_file, tmp_path):
    app = window(run_file)
    train(app, 3)
    answers = Answers(click("Save"), type_file(tmp_path / "none" / "such.safetensors"))
    quit_by_keys(app)
    assert app.wait_until(answers.done, 10) or answers.waiting
    assert app.window.isVisible()
    assert worker_desk(app).scheduler.global_step == 3
    assert [step_of(path) for path in copies()] == [3]


def test_without_training_nobody_is_asked(window, run_file):
    app = window(run_file)
    QTest.keyClick(app.window, Qt.Key.Key_F10)
    now(app)
    quit_by_keys(app)
    assert not app.window.isVisible()


def test_without_the_question_it_is_kept_and_offered(window, run_file):
    app = window(run_file)
    app.controller.settings.confirm_close = False
    train(app, 4)
    quit_by_keys(app)
    assert not app.window.isVisible()
    assert [step_of(path) for path in copies()] == [4]
    recover(window(run_file), 4)


@pytest.mark.parametrize("way", ["open", "recent", "drop", "fresh"])
@pytest.mark.parametrize("answer", ["Cancel", "Don't save", "Save"])
def test_no_way_to_another_run_loses_training(window, run_file, tmp_path, way, answer):
    other = tmp_path / "other.safetensors"
    save(small_run(), other)
    app, target = window(run_file), tmp_path / "mine.safetensors"
    train(app, 3)
    scheduler = worker_desk(app).scheduler
    first = [click(answer)] + ([type_file(target)] if answer == "Save" else [])
    if way == "fresh" and answer != "Cancel":
        first.append(click("Yes"))
    if way == "open":
        first.insert(0, type_file(other))
    answers = Answers(*first)
    if way == "open":
        QTest.keyClick(app.window, Qt.Key.Key_O, CONTROL)
    elif way == "recent":
        app.window.recent_chosen.emit(str(other))
    elif way == "drop":
        app.window.files_dropped.emit([str(other)])
    else:
        app.window.entries["train.fresh"].trigger()
    assert answers.done(), answers.waiting
    now(app)
    if answer == "Cancel":
        assert worker_desk(app).scheduler is scheduler
        assert scheduler.global_step == 3
        assert [step_of(path) for path in copies()] == [3]
    else:
        assert worker_desk(app).scheduler is not scheduler
        assert copies() == []
    if answer == "Save":
        assert step_of(target) == 3


def test_a_file_that_cannot_be_opened_loses_nothing(window, run_file, tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing")
    app = window(run_file)
    train(app, 3)
    answers = Answers(click("Don't save"))
    app.controller.files.open_run(str(bad))
    assert answers.done()
    now(app)
    assert worker_desk(app).scheduler.global_step == 3
    answers = Answers(click("Cancel"))
    quit_by_keys(app)
    assert answers.done()  # still known as not saved
    assert [step_of(path) for path in copies()] == [3]


def test_steps_made_in_the_debugger_are_training_too(window, run_file):
    app = window(run_file)
    app.worker.submit("set_program", "training")
    now(app)
    session = worker_desk(app).debuggee.session
    while session.position.batch == 0:
        QTest.keyClick(app.window, Qt.Key.Key_F10)
        now(app)
    answers = Answers(click("Cancel"))
    quit_by_keys(app)
    assert answers.done()
    assert "1 step of training" in answers.seen[0]


# --- ends that nobody can be asked about --------------------------------------------------------

DRIVER = """
import sys
import typer
from gui.app import Application, Options, leave, leave_on_signals
from gui.worker import keeping
keeping.EVERY_S, keeping.MOST_SHARE = 0.3, 1.0
path, modal = sys.argv[1], len(sys.argv) > 2
app = Application(Options(run=path, size=(1280, 800)), offscreen=True)
leave_on_signals(app)
app.start()
app.settle(100)
app.window.entries["train.start"].trigger()
curves = app.controller.desk.curves
app.wait_until(lambda: len(curves.losses) > 20, 60)
if not sys.argv[2:]:
    app.wait_until(lambda: False, 0.8)
from PyQt6.QtCore import QTimer
if modal:
    QTimer.singleShot(10, app.window.close)  # its question is open when the signal comes
QTimer.singleShot(300, lambda: (sys.stdout.write(f"at {curves.steps[-1]}\\n"), sys.stdout.flush()))
try:
    leave(app.run())
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


def killed(run_file, kind, *arguments):
    """Train in a process of its own, end it by a signal, and return (exit code, step told)."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(run_file), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        preexec_fn=None if WINDOWS else at_ease,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("at "), process.stderr.read()
        begun = time.monotonic()
        process.send_signal(kind)
        code = process.wait(30)
        assert time.monotonic() - begun < 10
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()
    return code, int(line.split()[1])


def at_ease():
    """Give a child the usual answers to signals, also where this process ignores them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def recover(app, steps):
    """Accept the offer of a window and check that the run is what was kept."""
    keeping = app.controller.keeping
    assert app.wait_until(lambda: keeping.question is not None, 20)
    kept = copies()
    assert len(kept) == 1
    before = kept[0].read_bytes()
    assert before == kept[0].read_bytes()  # untouched until somebody answers
    click("Recover")(keeping.question)
    assert app.wait_until(lambda: any("is back" in text for text in messages(app)), 30)
    now(app)
    scheduler = worker_desk(app).scheduler
    assert scheduler.global_step == steps
    run = desk(app).session.run
    assert run.title == "small"
    assert app.window.isWindowModified()
    assert [step_of(path) for path in copies()] == [steps]  # a copy of its own by now
    return scheduler


@pytest.mark.skipif(WINDOWS, reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGKILL"])
def test_a_training_survives_every_end_of_its_process(window, run_file, name):
    code, told = killed(run_file, getattr(signal, name))
    assert code == (-signal.SIGKILL if name == "SIGKILL" else 128 + getattr(signal, name))
    kept = copies()
    assert len(kept) == 1
    steps = step_of(kept[0])
    # At a signal that can be heard everything is kept; else what was there a moment ago.
    assert steps > told if name != "SIGKILL" else steps > 0
    content = kept[0].read_bytes()
    assert step_of(run_file) == 0
    app = window(run_file)
    assert app.wait_until(lambda: app.controller.keeping.question is not None, 20)
    assert kept[0].read_bytes() == content
    scheduler = recover(app, steps)
    expected = load_run(content, run_file.parent)
    for parameter, array in expected.model.parameters.items():
        np.testing.assert_array_equal(scheduler.model.parameters[parameter].value, array.value)


def load_run(content, folder):
    path = folder / "copy.safetensors"
    path.write_bytes(content)
    return load(path)


@pytest.mark.skipif(WINDOWS, reason="Windows has no such signals")
def test_a_signal_while_the_question_is_open_keeps_the_training(window, run_file):
    code, told = killed(run_file, signal.SIGTERM, "modal")
    assert code == 128 + signal.SIGTERM
    assert [step_of(path) >= told for path in copies()] == [True]


def test_an_offer_comes_again_until_it_is_answered(window, run_file):
    app = window(run_file)
    app.controller.settings.confirm_close = False
    train(app, 2)
    quit_by_keys(app)
    for _ in range(2):
        app = window(run_file)
        assert app.wait_until(lambda app=app: app.controller.keeping.question is not None, 20)
        click("Ask again next time")(app.controller.keeping.question)
        quit_by_keys(app)
        assert [step_of(path) for path in copies()] == [2]
    app = window(run_file)
    assert app.wait_until(lambda: app.controller.keeping.question is not None, 20)
    click("Discard")(app.controller.keeping.question)
    assert app.wait_until(lambda: copies() == [], 5)


def test_two_windows_do_not_offer_each_others_training(window, run_file):
    first = window(run_file)
    train(first, 2)
    second = window(run_file)
    assert second.controller.keeping.question is None
    train(second, 3)
    assert sorted(step_of(path) for path in copies()) == [2, 3]


def test_a_saved_run_has_its_name_and_needs_no_question(window, run_file, tmp_path):
    app, target = window(run_file), tmp_path / "mine.safetensors"
    train(app, 2)
    assert app.window.isWindowModified()
    answers = Answers(type_file(target))
    QTest.keyClick(app.window, Qt.Key.Key_S, CONTROL)
    assert answers.done()
    assert app.wait_until(lambda: app.window.windowTitle().startswith("mine"), 10)
    now(app)
    assert not app.window.isWindowModified()
    assert len(desk(app).curves.losses) == 2  # the run itself is the same
    quit_by_keys(app)
    assert not app.window.isVisible()
    assert desk(window()).session.run.path == str(target)


# --- the desk -----------------------------------------------------------------------------------


def test_last_run_and_breakpoints_are_there_after_a_restart(window, run_file, tmp_path):
    app = window(run_file)
    app.controller.breakpoints.toggle("conv1")
    app.controller.breakpoints.add(BreakpointWish("dense1", "backward", "any_nonfinite", 3))
    now(app)
    app.controller.breakpoints.enable(1, False)
    now(app)
    quit_by_keys(app)
    app = window()
    assert desk(app).session.run.path == str(run_file)
    rows = [
        (row.layer, row.phase, row.when, row.hit_count, row.enabled) for row in now(app).breakpoints
    ]
    assert rows == [
        ("conv1", None, None, 1, False),
        ("dense1", "backward", "any_nonfinite", 3, True),
    ]
    # Another run has its own; coming back brings these.
    other = tmp_path / "other.safetensors"
    save(small_run(), other)
    app.controller.files.open_run(str(other))
    assert now(app).breakpoints == ()
    app.controller.files.open_run(str(run_file))
    assert app.wait_until(lambda: len(desk(app).session.snapshot.breakpoints) == 2, 10)


def test_a_last_run_that_is_gone_is_said_and_the_bundled_net_opens(window, run_file):
    app = window(run_file)
    quit_by_keys(app)
    run_file.unlink()
    app = window()
    assert desk(app).session.run.title == "lenet5-mnist"
    assert any("small.safetensors" in text for text in messages(app, "warning"))


def test_opening_a_run_forgets_breakpoints_and_how_to_undo_them_alike(window, run_file, tmp_path):
    other = tmp_path / "other.safetensors"
    save(small_run(), other)
    app = window(run_file)
    draw(app)
    app.controller.breakpoints.toggle("conv1")
    now(app)
    strokes = app.window.panels.input.canvas.strokes()
    assert desk(app).undo.count() == 2
    app.controller.files.open_run(str(other))
    assert now(app).breakpoints == ()
    assert desk(app).undo.count() == 1  # the stroke: its canvas is still there
    QTest.keyClick(app.window, Qt.Key.Key_Z, CONTROL)
    assert now(app).breakpoints == ()
    assert not app.window.panels.input.canvas.strokes().any()
    QTest.keyClick(app.window, Qt.Key.Key_Y, CONTROL)
    np.testing.assert_array_equal(app.window.panels.input.canvas.strokes(), strokes)


def draw(app):
    """Draw a stroke with the mouse."""
    panel = app.window.panels.input
    panel.show_tab("Draw")
    app.wait_until(lambda: False, 0.05)
    sheet = panel.canvas._sheet
    middle = sheet.rect().center()
    QTest.mousePress(sheet, Qt.MouseButton.LeftButton, pos=middle - QPoint(0, 20))
    QTest.mouseMove(sheet, middle + QPoint(3, 15))
    QTest.mouseRelease(sheet, Qt.MouseButton.LeftButton, pos=middle + QPoint(3, 15))
    now(app)


def test_a_drawing_is_there_after_a_restart(window, run_file):
    app = window(run_file)
    draw(app)
    strokes = app.window.panels.input.canvas.strokes()
    assert strokes.any()
    quit_by_keys(app)
    app = window()
    np.testing.assert_array_equal(app.window.panels.input.canvas.strokes(), strokes)
    assert now(app).picture.source == "test#0"
    app.window.panels.input.tabs.setCurrentIndex(1)  # turning to it makes it the input
    assert now(app).picture.source == "drawn"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 99}',
        '{"version": 1, "last_run": "", "breakpoints": {"": [{"layer": 3}]}}',
        '{"version": 1, "last_run": "", "breakpoints": []}',
    ],
)
def test_a_damaged_desk_is_as_good_as_none(tmp_path, text):
    (tmp_path / "desk.json").write_text(text, encoding="utf-8")
    assert Shelf(tmp_path).read_desk() == DeskState()


def test_the_desk_is_read_as_it_was_written(tmp_path):
    state = DeskState("/a/run.safetensors")
    state.set_breakpoints("", (BreakpointRow(4, "conv1", None, None, 2, 7, False),))
    state.set_breakpoints("/b", ())
    Shelf(tmp_path / "deep").write_desk(state)
    read = Shelf(tmp_path / "deep").read_desk()
    assert read.last_run == "/a/run.safetensors"
    assert read.breakpoints == {"": [BreakpointRow(0, "conv1", None, None, 2, 0, False)]}


@pytest.mark.skipif(WINDOWS or os.geteuid() == 0, reason="nothing is forbidden to this user")
def test_a_folder_that_cannot_be_written_is_said_once(tmp_path):
    told = []
    keeper = Keeper(told.append)
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    keeper.path = folder / "deeper" / "run-1.safetensors"
    scheduler = small_run()
    keeper.follow(scheduler, "run", "")
    scheduler.global_step = 1
    for _ in range(3):
        keeper.keep()
    assert len(told) == 1


def test_a_copy_without_its_facts_is_offered_all_the_same(tmp_path):
    shelf = Shelf(tmp_path)
    path = shelf.own()
    save(small_run(), path)
    shelf.close()
    path.with_suffix(".json").write_text("{", encoding="utf-8")
    found = Shelf(tmp_path).left_behind()
    assert [(kept.path, kept.title, kept.step) for kept in found] == [(path, "a run", 0)]
    found[0].remove()
    assert not list(tmp_path.glob("unsaved/*.safetensors"))


def test_the_facts_beside_a_copy_can_be_read_by_people(window, run_file):
    app = window(run_file)
    train(app, 3)
    facts = json.loads(copies()[0].with_suffix(".json").read_text(encoding="utf-8"))
    assert (facts["title"], facts["origin"]) == ("small", str(run_file))
    assert (facts["base"], facts["step"]) == (0, 3)


def test_closing_by_program_needs_no_answer(window, run_file):
    app = window(run_file)
    train(app, 2)
    Application.close(app)
    assert not app.worker.alive
    assert [step_of(path) for path in copies()] == [2]
