"""Settings, layouts over sessions, crash hooks: what must survive bad files and other screens."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gui import layouts
from gui.app import Application, Options
from gui.settings import VERSION, Settings, read_settings, settings_path, write_settings
from tests.gui.fake_bench import FakeBench


def test_settings_round_trip(tmp_path):
    path = tmp_path / "deep" / "settings.json"
    settings = Settings(theme="light", digits=6, recent=["/a.safetensors"], folders={"run": "/x"})
    settings.add_recent("/b.safetensors")
    settings.add_recent("/a.safetensors")
    write_settings(path, settings)
    read, problem = read_settings(path)
    assert (read, problem) == (settings, "")
    assert read.recent == ["/a.safetensors", "/b.safetensors"]
    assert not list(path.parent.glob("*.tmp"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 99}',
        json.dumps({"version": VERSION, "theme": 3}),
        json.dumps({"version": VERSION, "digits": True}),
        json.dumps({"version": VERSION, "recent": [1]}),
        json.dumps({"version": VERSION, "states": {"Debug": 1}}),
    ],
)
def test_a_bad_settings_file_gives_defaults_and_one_sentence(tmp_path, text):
    path = tmp_path / "settings.json"
    path.write_text(text, encoding="utf-8")
    settings, problem = read_settings(path)
    assert settings == Settings()
    assert "default settings are used" in problem


def test_numbers_out_of_range_are_brought_back(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"version": VERSION, "digits": 99, "font_scale": 7}), "utf-8")
    settings, problem = read_settings(path)
    assert (settings.digits, settings.font_scale, problem) == (9, 2.0, "")


def open_app(size=(1280, 800), **options):
    app = Application(Options(size=size, **options), FakeBench, offscreen=True)
    app.start()
    assert app.settle(20)
    return app


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVSCOPE_CONFIG", str(tmp_path))
    return tmp_path


def test_the_window_opens_as_it_was_left(qapp, own_folder):
    app = open_app()
    assert [item.level for item in app.window.notifications.items] == ["info"]  # the one hint
    app.controller.appearance.choose_layout("Learn")
    app.settle(20)
    app.window.panels.stack.hide()
    app.controller.appearance.toggle_theme()
    app.window.entries["window.lock"].setChecked(True)
    app.close()
    assert settings_path().exists()
    app = open_app()
    assert app.window.notifications.items == []
    assert app.window.layout_name == "Learn"
    assert app.window.panels.stack.isHidden()
    assert app.controller.settings.theme == "light"
    assert app.window.entries["window.lock"].isChecked()
    app.controller.appearance.toggle_theme()
    app.close()
    app = open_app(reset=True)
    assert app.window.layout_name == "Debug"
    assert not app.window.panels.stack.isHidden()
    app.close()


def test_a_floating_panel_comes_back_reachable_on_a_smaller_screen(qapp, own_folder):
    app = open_app((1600, 1000))
    panel = app.window.panels.prediction
    panel.setFloating(True)
    panel.move(5000, 4000)
    app.settle(20)
    app.close()
    app = open_app((900, 600))
    panel = app.window.panels.prediction
    assert panel.isVisible()
    app.controller.appearance.reset()
    app.settle(20)
    assert not panel.isFloating()
    assert panel.visibleRegion().boundingRect().height() > 20
    app.close()


def test_damaged_settings_are_told_once_and_the_app_starts(qapp, own_folder):
    (own_folder / "settings.json").write_text("{", encoding="utf-8")
    app = open_app()
    assert any("default settings" in item.text for item in app.window.notifications.items)
    app.close()


@pytest.mark.parametrize("name", layouts.NAMES)
@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (900, 600)])
def test_every_layout_shows_its_panels_at_useful_sizes(qapp, name, size):
    app = open_app(size, layout=name, theme="dark", private=True)
    keys = layouts.leaves(layouts.arrangement(name, *size))
    assert len(keys) == len(set(keys))
    seen = [key for key in keys if app.window.panels.panel(key).on_screen]
    assert {"network", "mosaic", "input", "prediction"} <= set(seen)
    for key in seen:
        panel = app.window.panels.panel(key)
        assert panel.width() >= 100, key
        assert panel.height() >= 60, key
    assert app.window.width() == size[0]
    app.close()


def test_an_exception_in_a_thread_or_slot_does_not_end_the_process(tmp_path):
    code = """
import threading, sys
from gui import crash
crash.install()
from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication
app = QApplication([])
seen = []
crash.deliver_to(lambda text, detail: seen.append(text))
def broken():
    raise ValueError("in a slot")
QTimer.singleShot(0, broken)
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
QTimer.singleShot(50, app.quit)
app.exec()
assert seen == ["ZeroDivisionError: division by zero", "ValueError: in a slot"], seen
sys.exit(7)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 7, done.stderr


def test_the_engine_is_not_imported_before_the_window_is_up():
    code = """
import sys
import gui.app, gui.window, gui.controllers.app
light = {"engine", "engine.errors", "engine.io", "engine.io.files", "engine.commands",
         "engine.commands.streams"}
bad = [name for name in sys.modules if name.startswith("engine") and name not in light]
bad += [name for name in ("numba", "llvmlite", "pyqtgraph") if name in sys.modules]
sys.exit(" ".join(bad) or 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
