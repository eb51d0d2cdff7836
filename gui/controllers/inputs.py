"""Choosing the picture: data set, pen, file, clipboard, drop, rule."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PyQt6.QtGui import QGuiApplication, QImage, QUndoCommand
from PyQt6.QtWidgets import QFileDialog

from gui.controllers.desk import Desk
from gui.models.accepted import RUNS, picture_filter
from gui.models.layout import Array
from gui.models.snapshot import RunInfo
from gui.widgets.digit_canvas import DigitCanvas


class StrokeCommand(QUndoCommand):
    """One stroke of the pen; taking it back restores the drawing before it."""

    def __init__(self, canvas: DigitCanvas, before: Array, after: Array) -> None:
        super().__init__("stroke")
        self._canvas, self._before, self._after = canvas, before, after
        self._drawn = False

    def again(self) -> StrokeCommand:
        """Return an equal command, as already drawn."""
        return StrokeCommand(self._canvas, self._before, self._after)

    def undo(self) -> None:
        """Restore the drawing before the stroke."""
        self._canvas.set_strokes(self._before)

    def redo(self) -> None:
        """Draw it again; the first time it is on the canvas already."""
        if self._drawn:
            self._canvas.set_strokes(self._after)
        self._drawn = True


def image_array(image: QImage) -> Array:
    """Return the picture as uint8 array, shape (h, w, 3), or (h, w, 4) if parts are transparent."""
    clear = image.hasAlphaChannel()
    form = QImage.Format.Format_RGBA8888 if clear else QImage.Format.Format_RGB888
    plain, channels = image.convertToFormat(form), 4 if clear else 3
    data = bytes(plain.constBits().asstring(plain.sizeInBytes()))
    rows = np.frombuffer(data, np.uint8).reshape(plain.height(), plain.bytesPerLine())
    wide = rows[:, : plain.width() * channels]
    return wide.reshape(plain.height(), plain.width(), channels).copy()


class Inputs:
    """Sends the chosen picture to the worker."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        panel = desk.panels.input
        panel.dataset.chosen.connect(lambda name, number: self._send("show_sample", name, number))
        panel.dataset.moved.connect(self.move)
        panel.canvas.changed.connect(self.drawn)
        panel.canvas.stroke_finished.connect(
            lambda before, after: desk.undo.push(StrokeCommand(panel.canvas, before, after))
        )
        panel.drawing_wanted.connect(lambda: self.drawn(panel.canvas.picture()))
        panel.file.open_wanted.connect(self.ask_file)
        panel.file.paste_wanted.connect(self.paste)
        panel.files_dropped.connect(self.open_paths)
        panel.image_pasted.connect(self.take_image)
        panel.synthetic.made.connect(lambda kind, amount: self._send("synthetic", kind, amount))
        desk.on("file.open_image", self.ask_file)
        desk.on("file.paste", self.paste)
        desk.on("input.random", lambda: self.move(None, "random", None))
        desk.on("input.next", lambda: self.move(None, "next", None))
        desk.on("input.previous", lambda: self.move(None, "previous", None))
        desk.on("input.mistake", lambda: self.move(None, "mistake", None))
        desk.on("input.clear", self.clear)
        desk.session.run_changed.connect(self._run)
        self.open_run: Callable[[str], None] = partial(desk.worker.submit, "open_run")

    def _send(self, command: str, *arguments: object) -> None:
        self._desk.worker.submit(command, *arguments)

    def _run(self, run: RunInfo) -> None:
        """Allow the pen where the net takes one channel; prepare drawings as the run's pictures."""
        drawable = len(run.input_shape) == 3 and run.input_shape[0] == 1
        canvas = self._desk.panels.input.canvas
        canvas.setEnabled(drawable)
        if drawable:
            canvas.set_prepare(partial(self._prepared, run))

    def _prepared(self, run: RunInfo, drawing: Array) -> npt.NDArray[np.float32] | None:
        """Return a drawing as the run's net takes it, or None if no digit is clear."""
        from engine.data.preparing import Preparation, prepare_picture
        from engine.errors import EngineError
        from engine.pictures import SIDE

        shape = tuple(run.input_shape if run.look is None else run.look.shape)
        if not drawing.any():
            return np.zeros(shape[1:], np.float32)
        # A run that records nothing and takes what MNIST's do is most likely one of them.
        unknown = run.look is None and shape == (1, SIDE, SIDE)
        how = Preparation.digit if unknown else Preparation.auto
        try:
            ready = prepare_picture(drawing, shape, run.look, how, "drawing")
        except EngineError as error:
            self.show_stages(str(error))
            return None
        self.show_stages(" → ".join(ready.steps))
        picture: npt.NDArray[np.float32] = ready.x[0]
        return picture

    def move(self, dataset: str | None, move: str, label: int | None) -> None:
        """Go to another picture of the set: random, next, previous or the next mistake."""
        page = self._desk.panels.input.dataset
        name = dataset or page.dataset.currentText()
        chosen = page.label_filter.currentIndex() - 1 if label is None else label
        self._send("move_sample", name, move, chosen)

    def drawn(self, picture: object) -> None:
        """Run what is on the canvas."""
        if isinstance(picture, np.ndarray):
            self._send("show_picture", np.array(picture, np.float32), "drawn", "drawn")

    def clear(self) -> None:
        """Wipe the canvas; it can be undone."""
        self._desk.panels.input.canvas.clear()

    def show_stages(self, text: object) -> None:
        """Say what was done to a picture before the net saw it."""
        self._desk.panels.input.file.stages.setText(str(text))

    def show_description(self, told: object) -> None:
        """Say what is in a set of pictures."""
        if isinstance(told, tuple):
            name, text = told
            self._desk.panels.input.dataset.describe(str(name), str(text))

    def ask_file(self) -> None:
        """Ask for a picture file."""
        settings = self._desk.settings
        path, _ = QFileDialog.getOpenFileName(
            self._desk.window, "Open picture", settings.folders.get("image", ""), picture_filter()
        )
        if path:
            settings.folders["image"] = str(Path(path).parent)
            self.open_paths([path])

    def paste(self) -> None:
        """Use the picture on the clipboard."""
        clipboard = QGuiApplication.clipboard()
        image = clipboard.image() if clipboard is not None else QImage()
        mime = clipboard.mimeData() if clipboard is not None else None
        if image.isNull() and mime is not None and mime.hasUrls():
            self.open_paths([url.toLocalFile() for url in mime.urls()])
            return
        self.take_image(image)

    def take_image(self, image: object) -> None:
        """Use a picture from the clipboard or from a drop."""
        if not isinstance(image, QImage) or image.isNull():
            self._desk.notify("warning", "The clipboard holds no picture.", "")
            return
        self._send("use_pixels", image_array(image), "pasted picture")

    def open_paths(self, paths: object) -> None:
        """Open a run or a picture; of several pictures the first."""
        if not isinstance(paths, list) or not paths:
            return
        path = str(paths[0])
        if path.lower().endswith(RUNS):
            self.open_run(path)
        else:
            self._send("open_image", path)
        if len(paths) > 1:
            self._desk.notify("info", f"{len(paths)} files came; {Path(path).name} is open.", "")
