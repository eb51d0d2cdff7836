"""What the app remembers between sessions: one readable JSON file with a version.

A file that is damaged, of another version or holds values of the wrong kind never stops the
start: the defaults take over and a notice says so.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.errors import FormatError
from engine.io.files import check_writable, write_whole

VERSION = 1
LONGEST_RECENT = 9


@dataclass
class Settings:
    """Everything that is remembered.

    Parameters
    ----------
    theme : str
        ``"dark"``, ``"light"`` or ``"system"``.
    layout : str
        Name of the layout used last.
    digits : int
        Decimals of numbers in lists.
    font_scale : float
    speed : float
        Steps per second of Play.
    locked : bool
        Panels cannot be dragged.
    confirm_close : bool
        Ask before closing while training is not saved.
    stop_at_bad : bool
        Stop a training at NaN and Inf.
    greeted : bool
        Whether the hint of the first start has been shown.
    recent : list of str
        Run files, newest first.
    folders : dict
        The folder last used, by kind of file.
    geometry : str
        The window's geometry, base64.
    states : dict
        The docks' arrangement in each layout, base64.
    """

    theme: str = "dark"
    layout: str = "Debug"
    digits: int = 4
    font_scale: float = 1.0
    speed: float = 30.0
    locked: bool = False
    confirm_close: bool = True
    stop_at_bad: bool = True
    greeted: bool = False
    recent: list[str] = field(default_factory=list)
    folders: dict[str, str] = field(default_factory=dict)
    geometry: str = ""
    states: dict[str, str] = field(default_factory=dict)

    def add_recent(self, path: str) -> None:
        """Put a file in front of the list of recent ones."""
        self.recent = [path, *(known for known in self.recent if known != path)][:LONGEST_RECENT]


def settings_path() -> Path:
    """Return where the file lies: the folder each system keeps for settings."""
    folder = os.environ.get("CONVSCOPE_CONFIG")
    if folder:
        return Path(folder) / "settings.json"
    from PyQt6.QtCore import QStandardPaths

    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericConfigLocation)
    return Path(place or Path("~").expanduser()) / "convscope" / "settings.json"


def read_settings(path: Path) -> tuple[Settings, str]:
    """Read the file.

    Returns
    -------
    settings : Settings
    problem : str
        One sentence if defaults had to be taken or nothing can be kept, else empty.
    """
    defaults = Settings()
    lasting = _problem_of_writing(path)
    try:
        if not path.exists():
            return defaults, lasting
        stored = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(stored, dict) or stored.get("version") != VERSION:
            return defaults, f"{path} is of another version: default settings are used"
        return Settings(**_checked(stored, defaults)), lasting
    except (OSError, ValueError, TypeError) as error:
        return defaults, f"{path} cannot be read ({error}): default settings are used"


def _checked(stored: dict[str, Any], defaults: Settings) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in fields(Settings):
        default = getattr(defaults, item.name)
        value = stored.get(item.name, default)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not type(default):
            raise ValueError(f"{item.name}: expected {type(default).__name__}, found {value!r}")
        if isinstance(value, list) and not all(isinstance(entry, str) for entry in value):
            raise ValueError(f"{item.name}: expected a list of texts")
        if isinstance(value, dict) and not all(isinstance(entry, str) for entry in value.values()):
            raise ValueError(f"{item.name}: expected texts")
        values[item.name] = value
    values["digits"] = min(max(values["digits"], 1), 9)
    values["font_scale"] = min(max(values["font_scale"], 0.75), 2.0)
    return values


def write_settings(path: Path, settings: Settings) -> None:
    """Write the file whole or not at all.

    Raises
    ------
    FormatError
        If it cannot be written.
    """
    _make_folder(path)
    text = json.dumps({"version": VERSION, **asdict(settings)}, indent=2)
    write_whole(path, text.encode())


def _problem_of_writing(path: Path) -> str:
    """Return why settings could not be written now, in one sentence, else an empty text."""
    try:
        _make_folder(path)
        check_writable(path)
    except FormatError as error:
        return f"Settings last until the window closes: {error}"
    return ""


def _make_folder(path: Path) -> None:
    """Make the folder of the file.

    Raises
    ------
    FormatError
        If that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise FormatError(f"{path}: its folder cannot be made ({reason})") from error
