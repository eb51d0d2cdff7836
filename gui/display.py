"""Finding out whether a window can be opened here, before Qt does: Qt would abort the process.

Nothing here imports Qt, so the scripts that set the project up use it, too.
"""

from __future__ import annotations

import ctypes
import importlib.util
import locale
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TIMEOUT_S = 3.0
"""For a display on another machine."""
FIRST_TCP_PORT = 6000
SOCKETS = Path("/tmp/.X11-unix")
_held: list[Callable[[], object]] = []
"""How connections to displays are closed."""

Address = str | tuple[str, int]
PICTURE_HINT = "use --screenshot FILE to render the window to a picture"


class NoDisplay(Exception):
    """No window can be opened; the text is one sentence that says why."""


def choose_platform(screenshot: bool) -> None:
    """Let Qt draw in memory for a picture, and refuse a window that nobody could see.

    Parameters
    ----------
    screenshot : bool
        Whether the window is only rendered to a picture, which needs no display.

    Raises
    ------
    NoDisplay
        If none of the displays that Qt would try answers.
    """
    if not sys.platform.startswith("linux"):
        return
    wish = os.environ.get("QT_QPA_PLATFORM", "")
    if not wish and screenshot:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        return
    wanted = [part.partition(":")[0] for part in wish.split(";")] if wish else []
    if not wish:
        wanted += ["wayland"] * bool(os.environ.get("WAYLAND_DISPLAY"))
        wanted += ["xcb"] * bool(os.environ.get("DISPLAY"))
        if not wanted:
            raise NoDisplay(f"there is no display here; {PICTURE_HINT}")
    problems: list[str] = []
    for name in wanted:
        if name.startswith("wayland"):
            problem = wayland_problem()
        elif name == "xcb":
            problem = x11_problem()
        else:
            return  # one that needs no display, or that Qt itself has to judge
        if problem is None:
            return
        problems.append(problem)
    raise NoDisplay(f"{'; '.join(problems)}; {PICTURE_HINT}")


def has_display() -> bool:
    """Return whether a display answers; true where that is not known."""
    if not sys.platform.startswith("linux"):
        return True
    return wayland_problem() is None or x11_problem() is None


def wayland_problem() -> str | None:
    """Return why no Wayland compositor can be reached, or None."""
    name = os.environ.get("WAYLAND_DISPLAY", "wayland-0")
    path = Path(os.environ.get("XDG_RUNTIME_DIR", "/"), name)
    if _answers(socket.AF_UNIX, str(path)):
        return None
    return f"no Wayland compositor answers at {path}"


def x11_problem() -> str | None:
    """Return why the X server cannot be used, or None."""
    name = os.environ.get("DISPLAY", "")
    if not name:
        return "DISPLAY is not set, which names the X server"
    found = re.fullmatch(r"(?:unix)?(?P<host>[\w.-]*):(?P<number>\d{1,4})(?:\.\d+)?", name)
    if found and not any(_answers(*place) for place in _places(found)):
        return f"no X server answers at DISPLAY={name}"
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError as error:
        return f"the X server cannot be reached ({error}); on Debian: apt install libxcb1"
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    with _silent_errors():  # the library prints what the server says
        connection = xcb.xcb_connect(None, None)
        failed = xcb.xcb_connection_has_error(connection)
    # Some servers start over when nobody is connected any more, so this stays until Qt is, too.
    _held.append(lambda: xcb.xcb_disconnect(connection))
    if not failed:
        return None
    let_go()
    if not found:
        return f"no X server answers at DISPLAY={name}"
    return (
        f"the X server at DISPLAY={name} refuses this user (XAUTHORITY names the file with the "
        "right to use it)"
    )


def let_go() -> None:
    """Close what asking has opened: call this when Qt has a connection of its own."""
    while _held:
        _held.pop()()


def _places(found: re.Match[str]) -> Iterator[tuple[int, Address]]:
    """Yield the sockets where an X server of that name listens."""
    number = int(found["number"])
    if found["host"]:
        yield socket.AF_INET, (found["host"], FIRST_TCP_PORT + number)
        yield socket.AF_INET6, (found["host"], FIRST_TCP_PORT + number)
        return
    path = str(SOCKETS / f"X{number}")
    yield socket.AF_UNIX, path
    yield socket.AF_UNIX, f"\0{path}"
    yield socket.AF_INET, ("localhost", FIRST_TCP_PORT + number)


def _answers(family: int, address: Address) -> bool:
    """Return whether somebody listens at an address."""
    try:
        with socket.socket(family) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(address)
    except OSError:
        return False
    return True


@contextmanager
def _silent_errors() -> Iterator[None]:
    """Lead what C libraries print on handle 2 into nothing."""
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def speak_english() -> None:
    """Let the C library speak as it does without Qt, which takes the person's language for it.

    Else half of a sentence about a file would be in another language than the rest.
    """
    for category in ("LC_MESSAGES", "LC_NUMERIC"):
        if hasattr(locale, category):
            with suppress(locale.Error):
                locale.setlocale(getattr(locale, category), "C")


def qt_sentence(fatal: str, before: list[str]) -> str:
    """Return in one sentence why Qt could not start.

    Parameters
    ----------
    fatal : str
        Qt's last words.
    before : list of str
        What it said before them.
    """
    wish = os.environ.get("QT_QPA_PLATFORM", "xcb").partition(":")[0].partition(";")[0]
    missing = _missing_library(wish)
    if missing:
        return f"Qt cannot start: {missing}{_package(missing)}; or {PICTURE_HINT}"
    plugins = re.search(r"Available platform plugins are: ([^\n]*?)\.?\s*$", fatal)
    lines = [" ".join(line.split()) for line in before if "even though it was found" not in line]
    reason = lines[0].rstrip(".") if lines else " ".join(fatal.split("\n")[0].split()).rstrip(".")
    known = f"; QT_QPA_PLATFORM may be one of {plugins[1]}" if plugins else ""
    return f"Qt cannot start: {reason}{known}"


def _package(complaint: str) -> str:
    """Return how Debian installs the library that the system's loader complains of."""
    found = re.search(r"(lib[\w.-]+)\.so\.(\d+)", complaint)
    if not found:
        return ""
    dash = "-" * found[1][-1].isdigit()
    return f"; on Debian: apt install {found[1].lower()}{dash}{found[2]}"


def _missing_library(platform: str) -> str | None:
    """Return what the system's loader says of a platform plugin, or None if it loads."""
    package = importlib.util.find_spec("PyQt6")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        plugin = Path(folder) / "Qt6" / "plugins" / "platforms" / f"libq{platform}.so"
        if plugin.is_file():
            try:
                ctypes.CDLL(str(plugin))
            except OSError as error:
                return str(error)
    return None
