"""Exit with 0 if a window can be opened here, with 1 if not.

Asking the display itself matters: with DISPLAY left over from a closed session, Qt would abort.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from pathlib import Path


def has_display() -> bool:
    """Return whether a display answers."""
    if not sys.platform.startswith("linux"):
        return True
    return wayland_answers() or x11_answers()


def wayland_answers() -> bool:
    """Return whether there is a compositor behind WAYLAND_DISPLAY."""
    name = os.environ.get("WAYLAND_DISPLAY")
    if not name:
        return False
    path = Path(os.environ.get("XDG_RUNTIME_DIR", "/"), name)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(path))
    except OSError:
        return False
    return True


def x11_answers() -> bool:
    """Return whether there is a server behind DISPLAY."""
    if not os.environ.get("DISPLAY"):
        return False
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return False
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not failed


if __name__ == "__main__":
    sys.exit(not has_display())
