"""Questions: typing goes where it is meant, and what was typed is never lost."""

from __future__ import annotations

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest

from engine import save
from gui.views.dialogs import BreakpointDialog, GoToDialog
from tests.gui.driving import Answers, messages, now, small_run, start

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture(scope="module")
def run_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "small.safetensors"
    save(small_run(), path)
    return path


@pytest.fixture
def app(qapp, run_file):
    application = start(run_file)
    yield application
    application.close()


def typing(text: str):
    """Type into whatever has the focus of a dialog, and press Return."""

    def answer(dialog):
        field = dialog.focusWidget()
        if not dialog.isVisible() or field is None:
            return False
        QTest.keyClicks(field, text)
        QTest.keyClick(field, Qt.Key.Key_Return)
        return True

    return answer


def test_a_breakpoint_is_typed_at_once_and_a_wrong_one_keeps_dialog_and_text(app):
    seen = []

    def look(dialog):
        if not dialog.error.isVisible():
            return False
        seen.append((dialog.error.text(), dialog.when.currentText(), dialog.isVisible()))
        field = dialog.focusWidget()
        QTest.keyClick(field, Qt.Key.Key_A, CONTROL)
        QTest.keyClicks(field, "conv1.output.std() > 3")
        QTest.keyClick(field, Qt.Key.Key_Return)
        return True

    wrong = "conv7.output.std() >> 3"
    answers = Answers(typing(wrong), look)
    QTest.keyClick(app.window, Qt.Key.Key_F9, CONTROL)
    assert answers.done()
    assert seen[0][1:] == (wrong, True)
    assert seen[0][0]
    rows = now(app).breakpoints
    assert [row.when for row in rows] == ["conv1.output.std() > 3"]
    assert messages(app) == []  # the dialog has said it
    assert app.controller.desk.undo.count() == 1  # a refused one cannot be undone
    app.controller.desk.undo.undo()
    assert now(app).breakpoints == ()


def test_a_change_of_layer_or_phase_keeps_the_condition(app):
    dialog = BreakpointDialog(["conv1", "logits"], "conv1", app.window)
    dialog.show()
    QTest.keyClicks(dialog.when.lineEdit(), "loss > 3")
    dialog.layer.setCurrentText("logits")
    dialog.phase.setCurrentText("backward")
    dialog.hits.setValue(4)
    wish = dialog.answer()
    assert (wish.layer, wish.phase, wish.when, wish.hit_count) == (
        "logits", "backward", "loss > 3", 4,
    )  # fmt: skip
    dialog.close()


@pytest.mark.parametrize("first", ["five", "9, 99, 9", "1", "conv9: 1, 2, 3"])
def test_a_place_is_typed_at_once_and_a_wrong_one_keeps_dialog_and_text(app, first):
    seen = []

    def look(dialog):
        if not dialog.error.isVisible():
            return False
        seen.append((dialog.error.text(), dialog.index.text()))
        assert dialog.focusWidget() is dialog.index
        dialog.index.setText("3, 4, 5")
        QTest.keyClick(dialog.index, Qt.Key.Key_Return)
        return True

    answers = Answers(typing(first), look)
    QTest.keyClick(app.window, Qt.Key.Key_G, CONTROL)
    assert answers.done()
    assert seen[0][1] == first
    assert seen[0][0]
    assert now(app).index == (0, 3, 4, 5)
    assert messages(app) == []


def test_a_layer_may_be_typed_before_the_place(app):
    answers = Answers(typing("pool1: 3, 4, 5"))
    QTest.keyClick(app.window, Qt.Key.Key_G, CONTROL)
    assert answers.done()
    snapshot = now(app)
    assert (snapshot.layer, snapshot.index) == ("pool1", (0, 3, 4, 5))


@pytest.mark.parametrize("kind", [GoToDialog, BreakpointDialog])
def test_the_focus_is_where_typing_is_meant(app, kind):
    dialog = kind(["conv1"], "conv1", app.window)
    dialog.show()
    app.wait_until(lambda: dialog.focusWidget() is not None, 2)
    app.wait_until(lambda: False, 0.05)
    wanted = dialog.index if kind is GoToDialog else dialog.when
    focus = dialog.focusWidget()
    assert focus is wanted or focus.parent() is wanted
    dialog.close()
