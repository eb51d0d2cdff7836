"""Starting the window where there is no display, no library, no home and no room.

Each case is a process of its own: what went wrong once was an abort of the whole process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.preparing import Preparation, prepare_picture
from gui.app import Options, UsageError, render
from gui.display import NoDisplay, choose_platform, has_display, qt_sentence, speak_english
from gui.models.accepted import ARRAYS, RUNS, picture_filter, picture_suffixes
from gui.settings import Settings, read_settings, write_settings
from tests.gui.fake_bench import FakeBench

ROOT = Path(__file__).resolve().parents[2]

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays of Linux")


def environment(**more: str) -> dict[str, str]:
    """Return the surroundings of a person without any display."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "XAUTHORITY")
    }
    return {**kept, **more}


def app(*words: object, timeout: float = 60, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engine.cli", "app", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout,
        env=environment(**more),
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], text: str) -> None:
    """Status 2 and one sentence, no abort."""
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("convscope: ")
    assert text in done.stderr


# --- displays -----------------------------------------------------------------------------------

UNREACHABLE = {
    "nothing": ({}, "there is no display here; use --screenshot"),
    "xcb without a server": ({"QT_QPA_PLATFORM": "xcb"}, "DISPLAY is not set"),
    "a server that is gone": ({"DISPLAY": ":93"}, "no X server answers at DISPLAY=:93"),
    "xcb and a server that is gone": (
        {"DISPLAY": ":93.0", "QT_QPA_PLATFORM": "xcb"},
        "no X server answers at DISPLAY=:93.0",
    ),
    "no such host": ({"DISPLAY": "no-such-host.invalid:3"}, "no X server answers at DISPLAY=no-"),
    "no display at all": ({"DISPLAY": "garbage"}, "no X server answers at DISPLAY=garbage"),
    "wayland without a compositor": (
        {"QT_QPA_PLATFORM": "wayland", "XDG_RUNTIME_DIR": "/tmp"},
        "no Wayland compositor answers at /tmp/wayland-0",
    ),
    "both gone": (
        {"WAYLAND_DISPLAY": "wayland-7", "XDG_RUNTIME_DIR": "/tmp", "DISPLAY": ":93"},
        "no Wayland compositor answers at /tmp/wayland-7; no X server answers at DISPLAY=:93",
    ),
    "several wishes": (
        {"QT_QPA_PLATFORM": "wayland;xcb", "DISPLAY": ":93"},
        "no X server answers at DISPLAY=:93",
    ),
    "no such platform": (
        {"QT_QPA_PLATFORM": "nonsense"},
        'Could not find the Qt platform plugin "nonsense" in ""; QT_QPA_PLATFORM may be one of',
    ),
    "a platform without a screen": ({"QT_QPA_PLATFORM": "linuxfb"}, "Qt finds no screen here"),
}


@linux
@pytest.mark.parametrize("case", UNREACHABLE)
def test_without_a_display_it_is_one_sentence(case: str):
    variables, text = UNREACHABLE[case]
    refused(app(**variables), text)


@linux
def test_a_picture_needs_no_display(tmp_path: Path):
    path = tmp_path / "window.png"
    done = app("--screenshot", path, "--json", DISPLAY=":93")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["screenshot"] == str(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    refused(app("--screenshot", path, QT_QPA_PLATFORM="xcb", DISPLAY=":93"), "no X server answers")


def test_what_is_asked_for_is_left_to_qt(monkeypatch: pytest.MonkeyPatch):
    for wish in ("offscreen", "minimal", "wayland;offscreen", "vnc:size=10x10"):
        monkeypatch.setenv("QT_QPA_PLATFORM", wish)
        choose_platform(False)
        assert os.environ["QT_QPA_PLATFORM"] == wish


@linux
def test_a_listener_that_is_no_x_server_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Something listens at the place of a compositor: that much is believed."""
    monkeypatch.delenv("QT_QPA_PLATFORM")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-3")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(NoDisplay, match="no Wayland compositor"):
        choose_platform(False)
    assert not has_display()
    with socket.socket(socket.AF_UNIX) as compositor:
        compositor.bind(str(tmp_path / "wayland-3"))
        compositor.listen()
        choose_platform(False)
        assert has_display()


@pytest.fixture
def x_server(tmp_path: Path) -> Iterator[tuple[str, Path, Path]]:
    """Return display, right and wrong cookie of an X server without a screen."""
    if not shutil.which("Xvfb") or not shutil.which("xauth"):
        pytest.skip("Xvfb and xauth are not installed")
    good, bad = tmp_path / "good", tmp_path / "bad"
    display = f":{90 + os.getpid() % 900}"
    for path, cookie in ((good, "1" * 32), (bad, "2" * 32)):
        subprocess.run(
            ["xauth", "-f", str(path), "add", display, ".", cookie],
            check=True, capture_output=True,
        )  # fmt: skip
    server = subprocess.Popen(
        [
            "Xvfb",
            display,
            "-auth",
            str(good),
            "-nolisten",
            "tcp",
            "-noreset",
            "-screen",
            "0",
            "1280x800x24",
        ],
        stderr=subprocess.DEVNULL,
    )
    place = Path(f"/tmp/.X11-unix/X{display[1:]}")
    for _ in range(200):
        if place.exists() or server.poll() is not None:
            break
        time.sleep(0.05)
    yield display, good, bad
    server.terminate()
    server.wait(20)


@linux
@pytest.mark.slow
def test_a_wrong_cookie_a_missing_library_and_all_well(
    x_server: tuple[str, Path, Path], tmp_path: Path
):
    display, good, bad = x_server
    refused(app(DISPLAY=display, XAUTHORITY=str(bad)), "refuses this user (XAUTHORITY names")
    empty = tmp_path / "libraries"
    empty.mkdir()
    (empty / "libxcb-cursor.so.0").touch()
    refused(
        app(DISPLAY=display, XAUTHORITY=str(good), LD_LIBRARY_PATH=str(empty)),
        "on Debian: apt install libxcb-cursor0; or use --screenshot",
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.cli", "app", "--json"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(DISPLAY=display, XAUTHORITY=str(good)),
        )  # fmt: skip
        assert process.stdout is not None
        assert "first_paint_s" in process.stdout.readline(), process.communicate()
        time.sleep(2)  # it tells its times before it waits for events
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (128 + number, "")


def test_last_words_of_qt_become_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "none")
    fatal = "This application failed to start.\n\nAvailable platform plugins are: xcb, vnc.\n"
    said = ['Could not load the plugin "none" even though it was found.', "qt.x: no\nserver."]
    assert qt_sentence(fatal, said) == (
        "Qt cannot start: qt.x: no server; QT_QPA_PLATFORM may be one of xcb, vnc"
    )
    assert qt_sentence("Out of luck.", []) == "Qt cannot start: Out of luck"


GERMAN = """
import locale, os, sys
try:
    locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
except locale.Error:
    sys.exit(77)
locale.setlocale(locale.LC_ALL, "C")
from gui.app import make_qt
qt = make_qt(True)
print(os.strerror(28), locale.localeconv()["decimal_point"])
"""


def test_the_language_of_qt_is_not_that_of_sentences():
    done = subprocess.run(
        [sys.executable, "-c", GERMAN], cwd=ROOT, capture_output=True, text=True, check=False,
        env=environment(LC_ALL="de_DE.UTF-8", QT_QPA_PLATFORM="offscreen"),
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("de_DE.UTF-8 is not installed")
    assert done.stdout == "No space left on device .\n", done.stderr


# --- settings that cannot be kept ---------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A home in which nothing can be made, for the administrator, too."""
    (tmp_path / "home").touch()
    return tmp_path / "home"


def test_settings_that_cannot_be_kept_are_one_notice(qapp, nowhere, monkeypatch, capsys):
    from gui.app import Application

    monkeypatch.setenv("CONVSCOPE_CONFIG", str(nowhere))
    application = Application(Options(size=(1280, 800)), FakeBench, offscreen=True)
    application.start()
    assert application.settle(20)
    told = [item.text for item in application.window.notifications.items if item.level != "info"]
    assert len(told) == 1
    assert told[0].startswith("Settings last until the window closes: ")
    application.controller.appearance.choose_layout("Learn")
    assert application.controller.settings.layout == "Learn"
    application.close()
    assert capsys.readouterr() == ("", "")


def test_a_disk_that_is_full_at_the_end_is_one_line(qapp, tmp_path, monkeypatch, capsys):
    from gui.app import Application

    monkeypatch.setenv("CONVSCOPE_CONFIG", str(tmp_path / "settings"))
    application = Application(Options(size=(1280, 800)), FakeBench, offscreen=True)
    application.start()
    assert application.settle(20)
    shutil.rmtree(tmp_path / "settings")
    (tmp_path / "settings").touch()
    application.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("convscope: the settings are not kept: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("home", ["file", "/proc", "/nonexistent/home", ""])
@linux
def test_an_unwritable_home_is_quiet(tmp_path: Path, nowhere: Path, home: str):
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "app", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={
            **{k: v for k, v in environment().items() if k != "CONVSCOPE_CONFIG"},
            "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": "",
            "HOME": str(nowhere) if home == "file" else home,
            # Kernels lie in the home, too; they are not what is tried here.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
        },
    )  # fmt: skip
    assert process.stdout is not None
    assert "ready_s" in process.stdout.readline()
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "")


def test_settings_problems_are_sentences(tmp_path: Path, nowhere: Path):
    def problem_at(path: Path) -> str:
        settings, problem = read_settings(path)
        assert settings == Settings()
        return problem

    assert problem_at(tmp_path / "new" / "settings.json") == ""
    assert not list((tmp_path / "new").iterdir())
    assert "its folder cannot be made" in problem_at(nowhere / "convscope" / "settings.json")
    assert problem_at(nowhere / "settings.json").startswith("Settings last until the window closes")
    (tmp_path / "folder.json").mkdir()
    assert "default settings are used" in problem_at(tmp_path / "folder.json")
    kept = tmp_path / "kept.json"
    write_settings(kept, Settings(digits=7))
    kept.chmod(0o444)
    settings, problem = read_settings(kept)
    assert settings.digits == 7
    assert "write-protected" in problem


def test_linked_settings_stay_linked(tmp_path: Path):
    """As people have them who keep such files under version control."""
    kept = tmp_path / "dotfiles.json"
    write_settings(kept, Settings(digits=7))
    link = tmp_path / "settings.json"
    link.symlink_to(kept)
    write_settings(link, Settings(digits=3))
    assert link.is_symlink()
    assert read_settings(kept)[0].digits == 3


# --- pictures of the window ---------------------------------------------------------------------


def test_a_place_for_a_picture_is_tried_before_drawing(qapp, tmp_path: Path):
    speak_english()  # as the window does; the test's own application has not
    begin = time.monotonic()
    for path, text in (
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "a.png", "does not exist"),
        (tmp_path / ("n" * 300 + ".png"), "name too long"),
    ):
        with pytest.raises(UsageError, match=text) as caught:
            render(Options(private=True), path)
        assert str(caught.value).startswith("--screenshot: ")
    assert time.monotonic() - begin < 2


def test_a_picture_is_whole_or_absent(qapp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "window.png"
    path.write_bytes(b"old")

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UsageError, match="No space left on device"):
        render(Options(private=True, size=(900, 600)), path)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["window.png"]


# --- files that dialogs offer -------------------------------------------------------------------


def test_every_ending_that_is_offered_is_read(tmp_path: Path):
    assert picture_filter() == f"Pictures ({' '.join('*' + s for s in picture_suffixes())})"
    for suffix in picture_suffixes():
        path = tmp_path / f"picture{suffix}"
        if suffix == ".npy":
            np.save(path, np.zeros((9, 7), np.float32))
        elif suffix == ".npz":
            np.savez(path, np.zeros((9, 7), np.float32))
        else:
            Image.new("L", (9, 7), 128).save(path)
        x = prepare_picture(str(path), (1, 28, 28), how=Preparation.plain).x
        assert x.shape == (1, 28, 28)


def test_no_ending_that_is_refused_is_offered(tmp_path: Path):
    from engine.errors import EngineError

    for suffix in (".gif", ".tif", ".tiff", ".ico", ".ppm", ".pgm", ".tga", ".pcx", ".pdf"):
        path = tmp_path / f"picture{suffix}"
        Image.new("L", (32, 32), 128).save(path)
        with pytest.raises(EngineError):
            prepare_picture(str(path), (1, 28, 28), how=Preparation.plain)
        assert suffix not in picture_suffixes()
    assert not set(RUNS) & set(ARRAYS)
