"""Writes the pictures of docs/screenshots: the real window, used through its own actions.

Run it with ``make screenshots``; look at each picture before committing it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from PyQt6.QtCore import QPoint, Qt  # noqa: E402
from PyQt6.QtTest import QTest  # noqa: E402

from gui.app import Application, Options, parse_place  # noqa: E402
from gui.saving import save_png  # noqa: E402

SIZES = ((1280, 800), (1920, 1080))
SEVEN = ((0.28, 0.24), (0.72, 0.24), (0.56, 0.52), (0.46, 0.84))
"""The strokes of the drawn digit, in shares of the sheet."""


def nothing(_app: Application) -> None:
    """Leave the window as it opens."""


def train(app: Application) -> None:
    """Train fresh weights for a while and leave the training running."""
    app.worker.submit("fresh", 1)
    app.settle()
    app.window.entries["train.start"].trigger()
    curves = app.controller.desk.curves
    app.wait_until(lambda: len(curves.losses) >= 260, 300)
    app.wait_until(lambda: False, 0.4)


def draw(app: Application) -> None:
    """Draw a seven with the mouse."""
    panel = app.window.panels.input
    panel.show_tab("Draw")
    app.wait_until(lambda: False, 0.1)
    canvas = panel.canvas
    sheet = canvas.childAt(QPoint(canvas.width() // 3, canvas.height() // 3))
    side = min(sheet.width(), sheet.height())
    left = (sheet.width() - side) // 2
    points = [QPoint(left + round(x * side), round(y * side)) for x, y in SEVEN]
    none, button = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    QTest.mousePress(sheet, button, none, points[0])
    for point in points[1:]:
        QTest.mouseMove(sheet, point)
    QTest.mouseRelease(sheet, button, none, points[-1])
    app.settle()


Scene = tuple[str, str, str, str, Callable[[Application], None]]
SCENES: tuple[Scene, ...] = (
    ("first-start", "dark", "Debug", "", nothing),
    ("first-start", "light", "Debug", "", nothing),
    ("conv2-step", "dark", "Debug", "conv2:0,5,7,4@45", nothing),
    ("pooling-window", "dark", "Debug", "pool1:0,0,3,8@3", nothing),
    ("training-live", "dark", "Train", "", train),
    ("drawn-digit", "dark", "Learn", "", draw),
)


def shoot(scene: Scene, size: tuple[int, int], folder: Path) -> Path:
    """Render one scene at one size."""
    name, theme, layout, place, act = scene
    options = Options(
        size=size,
        theme=theme,
        layout=layout,
        place=parse_place(place) if place else None,
        private=True,
    )
    path = folder / f"{name}-{theme}-{size[0]}x{size[1]}.png"
    app = Application(options, offscreen=True)
    try:
        app.start()
        app.settle()
        app.wait_until(lambda: not app.controller.desk.activity.running, 240)
        app.settle()
        act(app)
        problems = [item.text for item in app.window.notifications.items]
        if problems:
            raise SystemExit(f"{path.name}: {problems[0]}")
        save_png(app.window.grab(), path)
    finally:
        app.close()
    return path


def main(names: list[str]) -> None:
    """Write all pictures, or those whose scene is named."""
    folder = ROOT / "docs" / "screenshots"
    folder.mkdir(exist_ok=True)
    for scene in SCENES:
        for size in SIZES:
            if not names or scene[0] in names:
                path = shoot(scene, size, folder)
                sys.stdout.write(f"{path.relative_to(ROOT)}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
