"""Draw the pictures of docs/screenshots: the real window with the real engine, driven by script.

Usage: ``python .ci/screenshots.py [SCENE ...]``; without names, all scenes in both sizes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from gui.app import Application, Options, Place

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
SIZES = ((1280, 800), (1920, 1080))
TIMEOUT_S = 240.0
LOSSES_SHOWN = 400
"""So many steps of training make a curve worth looking at."""

# A three, in parts of the canvas: what a person would draw in one stroke.
STROKE = (
    (0.30, 0.22), (0.45, 0.14), (0.62, 0.17), (0.68, 0.30), (0.60, 0.43), (0.46, 0.48),
    (0.62, 0.53), (0.71, 0.66), (0.64, 0.80), (0.47, 0.87), (0.30, 0.80),
)  # fmt: skip


class Scene(NamedTuple):
    """What a picture shows: how the app starts, and what is done then."""

    options: Options
    act: Callable[[Application], None]


def nothing(application: Application) -> None:
    """Leave the window as it started."""


def stand_in_a_pooling_window(application: Application) -> None:
    """Run to the middle of the last pooling layer."""
    run = application.controller.desk.session.run
    pools = [node for node in run.nodes if node.kind == "maxpool2d"] if run else []
    if not pools:
        raise SystemExit("the bundled network has no pooling layer to show")
    index = (0, *(edge // 2 for edge in pools[-1].shape))
    application.worker.submit("run_to", pools[-1].name, None, index, None)


def train(application: Application) -> None:
    """Train from random weights until there is a curve, and leave it running."""
    curves = application.controller.desk.curves
    application.worker.submit("fresh")
    application.worker.submit("train", 0, 1)
    if not application.wait_until(lambda: len(curves.losses) >= LOSSES_SHOWN, TIMEOUT_S):
        raise SystemExit(f"only {len(curves.losses)} steps were trained in {TIMEOUT_S:.0f} s")


def draw_a_digit(application: Application) -> None:
    """Draw with the mouse, as a person would."""
    from PyQt6.QtCore import QPoint, Qt
    from PyQt6.QtTest import QTest

    panel = application.controller.desk.panels.input
    panel.show_tab("Draw")
    application.wait_until(lambda: False, 0.2)
    canvas, button = panel.canvas, Qt.MouseButton.LeftButton
    edge = min(canvas.width(), canvas.height())
    left, top = (canvas.width() - edge) / 2, (canvas.height() - edge) / 2
    points = [QPoint(round(left + x * edge), round(top + y * edge)) for x, y in STROKE]
    QTest.mousePress(canvas, button, pos=points[0])
    for point in points[1:]:
        QTest.mouseMove(canvas, point)
    QTest.mouseRelease(canvas, button, pos=points[-1])


def scenes(size: tuple[int, int]) -> dict[str, Scene]:
    """Return all scenes for a window of one size."""

    def options(layout: str = "", place: Place | None = None) -> Options:
        return Options(size=size, place=place, layout=layout, theme="dark", private=True)

    inside = Place("conv2", (0, 5, 7, 4), 45)
    return {
        "first-start": Scene(options(), nothing),
        "step-conv2": Scene(options(place=inside), nothing),
        "pooling-window": Scene(options(), stand_in_a_pooling_window),
        "training": Scene(options("Train"), train),
        "drawn-digit": Scene(options(), draw_a_digit),
    }


def draw(scene: Scene, path: Path) -> None:
    """Play a scene and write its picture."""
    application = Application(scene.options, offscreen=True)
    try:
        application.start()
        settled = application.settle(TIMEOUT_S)
        scene.act(application)
        # A running training never comes to rest; the others are drawn when all is computed.
        if scene.act is not train:
            settled = settled and application.settle(TIMEOUT_S)
        if not settled:
            raise SystemExit(f"{path.name}: the window was not ready in {TIMEOUT_S:.0f} s")
        if not application.window.grab().save(str(path)):
            raise SystemExit(f"{path} cannot be written")
        if scene.act is train:
            application.worker.submit("train_stop")
            application.settle(TIMEOUT_S)
    finally:
        application.close()


def main(wanted: list[str]) -> None:
    """Draw the scenes named, or all."""
    known = list(scenes(SIZES[0]))
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"no scene {', '.join(unknown)}; there are: {', '.join(known)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for size in SIZES:
        for name, scene in scenes(size).items():
            if not wanted or name in wanted:
                path = FOLDER / f"{name}-{size[0]}x{size[1]}.png"
                draw(scene, path)
                print(path.relative_to(FOLDER.parents[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
