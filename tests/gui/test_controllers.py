"""Controllers with a real window and a bench without engine: what a person does, what is sent."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QImage
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication

from gui import crash
from gui.actions import ACTIONS, by_id
from gui.app import Application, Options
from gui.controllers.inputs import image_array
from gui.controllers.stepping import parse_index
from gui.views.dialogs import BreakpointWish
from gui.views.palette import matches
from tests.gui.fake_bench import FakeBench


@pytest.fixture
def app(qapp):
    benches = []

    def make(outlets):
        benches.append(FakeBench(outlets))
        return benches[-1]

    application = Application(
        Options(size=(1280, 800), theme="dark", layout="Debug", private=True), make, offscreen=True
    )
    application.start()
    assert application.settle(20)
    application.bench = benches[0]
    yield application
    application.close()
    assert not application.worker.alive


def sent(app, name):
    assert app.settle(10)
    return [command.arguments for command in app.bench.commands if command.name == name]


def key(app, key_name, modifier=Qt.KeyboardModifier.NoModifier, widget=None):
    QTest.keyClick(widget or app.window, key_name, modifier)


SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
ALT = Qt.KeyboardModifier.AltModifier


@pytest.mark.parametrize(
    ("name", "modifier", "kind"),
    [
        ("F10", Qt.KeyboardModifier.NoModifier, "over"),
        ("F11", Qt.KeyboardModifier.NoModifier, "into"),
        ("F11", SHIFT, "out"),
        ("F10", ALT, "back"),
    ],
)
def test_the_stepping_keys(app, name, modifier, kind):
    key(app, getattr(Qt.Key, f"Key_{name}"), modifier)
    assert sent(app, "step") == [(kind, None)]


def test_resume_and_run_keys(app):
    key(app, Qt.Key.Key_F5)
    assert len(sent(app, "resume")) == 1
    key(app, Qt.Key.Key_F5, ALT)
    assert len(sent(app, "reverse_resume")) == 1
    key(app, Qt.Key.Key_F6)
    assert len(sent(app, "pause")) == 1
    assert app.bench.interrupted >= 1
    key(app, Qt.Key.Key_F5, SHIFT)
    assert len(sent(app, "restart")) == 1


def test_bare_keys_act_on_a_picture_and_not_while_typing(app):
    mosaic = app.window.panels.mosaic.view
    mosaic.setFocus()
    key(app, Qt.Key.Key_Right, widget=mosaic)
    assert sent(app, "step") == [("over", None)]
    number = app.window.panels.input.dataset.number
    number.setFocus()
    key(app, Qt.Key.Key_Right, widget=number)
    assert sent(app, "step") == [("over", None)]


def test_every_shortcut_of_the_window_is_used_once():
    keys = [key for entry in ACTIONS if entry.scope == "window" for key in entry.keys]
    assert len(keys) == len(set(keys))
    assert all(entry.title and entry.tip for entry in ACTIONS)
    assert by_id("debug.over").keys == ("F10",)


def test_every_action_of_a_menu_has_a_handler(app):
    unhandled = [
        entry.id
        for entry in ACTIONS
        if app.window.entries[entry.id].receivers(app.window.entries[entry.id].triggered) == 0
        and app.window.entries[entry.id].receivers(app.window.entries[entry.id].toggled) == 0
    ]
    assert unhandled == []


def test_a_click_on_a_layer_looks_at_it_and_a_step_follows_again(app):
    app.window.panels.network.view.selected.emit("conv2")
    assert app.settle(10)
    assert app.controller.desk.session.snapshot.layer == "conv2"
    assert "CONV2" in app.window.panels.mosaic.head.title().upper()
    key(app, Qt.Key.Key_F10)
    assert app.settle(10)
    assert app.controller.desk.selection.following
    assert app.controller.desk.session.snapshot.layer == "relu1"


def test_picking_elements_with_mouse_signals_and_keys(app):
    app.window.panels.network.view.selected.emit("conv2")
    assert app.settle(10)
    app.window.panels.mosaic.view.selected.emit(5)
    assert app.settle(10)
    app.window.panels.map.view.picked.emit(7, 4)
    assert app.settle(10)
    assert app.controller.desk.selection.index == (0, 5, 7, 4)
    assert app.window.status.place.text().startswith("conv2.output[5,7,4] = ")
    picture = app.window.panels.map.view
    picture.setFocus()
    key(app, Qt.Key.Key_Down, ALT, picture)
    key(app, Qt.Key.Key_Right, ALT, picture)
    assert app.settle(10)
    assert app.controller.desk.selection.index == (0, 5, 8, 5)


def test_hovering_writes_the_status_line_with_the_receptive_field(app):
    app.window.panels.map.view.hovered.emit(2, 3)
    text = app.window.status.place.text()
    value = app.controller.desk.session.snapshot.maps.maps[0, 2, 3]
    assert text.startswith("conv1.output[0,2,3] = ")
    assert f"{abs(float(value)):.6f}" in text
    assert "rows 2–6, cols 3–7" in app.window.status.facts.text()


def test_only_visible_panels_are_asked_for(app):
    assert app.settle(10)
    panels = app.bench.interests[-1].panels
    assert "window" in panels
    assert "kernels" not in panels  # behind the maps at this size
    app.window.panels.kernels.raise_()
    assert app.settle(10)
    assert "kernels" in app.bench.interests[-1].panels
    assert "mosaic" not in app.bench.interests[-1].panels


def test_breakpoints_are_set_undone_and_redone(app):
    key(app, Qt.Key.Key_F9)
    assert sent(app, "add_breakpoint") == [(1, "conv1", None, None, 1)]
    assert app.window.panels.breakpoints.view.count() == 1
    key(app, Qt.Key.Key_Z, CONTROL)
    assert sent(app, "remove_breakpoint") == [(1,)]
    assert app.window.panels.breakpoints.view.count() == 0
    key(app, Qt.Key.Key_Y, CONTROL)
    assert len(sent(app, "add_breakpoint")) == 2
    key(app, Qt.Key.Key_F9)
    assert len(sent(app, "remove_breakpoint")) == 2
    app.controller.breakpoints.add(BreakpointWish("conv2", "forward", "any_nonfinite", 3))
    assert sent(app, "add_breakpoint")[-1] == (2, "conv2", "forward", "any_nonfinite", 3)


def test_go_to_checks_the_index(app):
    app.controller.stepping.go_to("conv2", "5, 7, 4")
    assert app.controller.desk.selection.index == (0, 5, 7, 4)
    app.controller.stepping.go_to("conv2", "5, 99, 4")
    assert app.controller.desk.selection.index == (0, 5, 7, 4)
    assert "below (16, 10, 10)" in app.window.notifications.items[-1].text
    app.controller.stepping.go_to("conv2", "five")
    assert "is no index" in app.window.notifications.items[-1].text


def test_parse_index():
    assert parse_index("[5, 7 4]") == (5, 7, 4)
    for bad in ("", "a", "1.5"):
        with pytest.raises(ValueError, match="index"):
            parse_index(bad)


def test_training_appends_every_loss_and_ends_play(app):
    app.controller.desk.playback.set_playing(True)
    app.window.entries["train.start"].trigger()
    assert app.wait_until(lambda: len(app.controller.desk.curves.losses) > 30, 10)
    assert not app.controller.desk.playback.playing
    assert not app.window.entries["train.start"].isEnabled()
    app.window.entries["train.pause"].trigger()
    assert app.wait_until(lambda: app.controller.desk.session.state == "paused", 5)
    steps = app.controller.desk.curves.steps
    assert len(set(steps)) == len(steps)
    assert app.window.entries["train.start"].isEnabled()


def test_play_sends_the_speed_and_space_stops(app):
    app.controller.desk.playback.set_speed(100)
    app.window.entries["debug.play"].trigger()
    assert sent(app, "play")[-1] == (100.0,)
    picture = app.window.panels.window.view
    picture.setFocus()
    key(app, Qt.Key.Key_Space, widget=picture)
    assert sent(app, "play")[-1] == (0.0,)


def test_layouts_are_kept_as_they_were_left(app):
    appearance, panels = app.controller.appearance, app.window.panels
    panels.breakpoints.hide()
    appearance.choose_layout("Train")
    app.settle(10)
    assert panels.curves.on_screen
    appearance.choose_layout("Debug")
    app.settle(10)
    assert panels.breakpoints.isHidden()
    appearance.reset()
    app.settle(10)
    assert not panels.breakpoints.isHidden()


def test_a_damaged_saved_layout_falls_back(app):
    app.controller.settings.states["Train"] = "AAAA"
    app.controller.appearance.choose_layout("Train")
    app.settle(10)
    assert app.window.panels.curves.on_screen
    assert "Train" not in app.controller.settings.states


def test_locked_panels_cannot_be_dragged(app):
    feature = app.window.panels.map.DockWidgetFeature.DockWidgetMovable
    assert app.window.panels.map.features() & feature
    app.window.entries["window.lock"].setChecked(True)
    assert not app.window.panels.map.features() & feature


def test_an_exception_in_a_slot_is_a_notification(app):
    def broken():
        raise KeyError("in a slot")

    before = crash.seen()
    app.window.entries["help.about"].triggered.disconnect()
    app.window.entries["help.about"].triggered.connect(broken)
    crash.install()
    try:
        app.window.entries["help.about"].trigger()
        app.wait_until(lambda: False, 0.05)
    finally:
        assert crash.seen() == before + 1
    assert "in a slot" in app.window.notifications.items[-1].text
    assert "Traceback" in app.window.notifications.items[-1].detail


def test_palette_finds_and_runs(app):
    key(app, Qt.Key.Key_P, CONTROL | SHIFT)
    dialog = app.window.palette_dialog
    assert dialog.isVisible()
    QTest.keyClicks(dialog.field, "step over")
    QTest.keyClick(dialog.field, Qt.Key.Key_Return)
    assert sent(app, "step") == [("over", None)]
    assert matches("nxnan", "Run Next NaN or Inf")
    assert not matches("xyz", "Step over")


def test_theme_switch_and_shortcut_sheet(app):
    from gui import theme

    dark = theme.current().dark
    key(app, Qt.Key.Key_T, CONTROL | SHIFT)
    assert theme.current().dark is not dark
    key(app, Qt.Key.Key_T, CONTROL | SHIFT)
    app.window.entries["help.shortcuts"].trigger()
    sheet = app.controller.appearance._sheet
    sheet.field.setText("step over")
    shown = [row for row in range(sheet.table.rowCount()) if not sheet.table.isRowHidden(row)]
    assert 1 <= len(shown) < sheet.table.rowCount()
    sheet.close()


def test_pasting_a_picture(app):
    image = QImage(3, 2, QImage.Format.Format_RGB32)
    image.fill(0xFF102030)
    QApplication.clipboard().setImage(image)
    key(app, Qt.Key.Key_V, CONTROL)
    pixels, _title = sent(app, "use_pixels")[0]
    assert pixels.shape == (2, 3, 3)
    np.testing.assert_array_equal(pixels[0, 0], [0x10, 0x20, 0x30])
    np.testing.assert_array_equal(image_array(image), pixels)


def test_dropped_files_go_to_the_right_place(app):
    app.window.files_dropped.emit(["/tmp/a.safetensors"])
    app.window.files_dropped.emit(["/tmp/b.png", "/tmp/c.png"])
    assert sent(app, "open_run") == [("/tmp/a.safetensors",)]
    assert sent(app, "open_image") == [("/tmp/b.png",)]


def test_export_of_a_panel(app, tmp_path):
    path = tmp_path / "map.png"
    app.controller.files.export_png("map", str(path))
    picture = QImage(str(path))
    assert picture.width() == 2 * app.window.panels.map.width()
    app.controller.files.export_png("map", str(tmp_path / "none" / "map.png"))
    assert "cannot be written" in app.window.notifications.items[-1].text


def test_closing_while_training_ends_the_worker(app):
    app.window.entries["train.start"].trigger()
    assert app.wait_until(lambda: app.worker.state == "training", 5)
    app.controller.settings.confirm_close = False
    assert app.window.close()
    assert not app.worker.alive
