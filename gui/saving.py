"""Writing pictures of the window so that a file is complete or absent at any instant."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import QBuffer, QIODevice
from PyQt6.QtGui import QPixmap

from engine.errors import FormatError
from engine.io.files import write_whole


def save_png(picture: QPixmap, path: str | Path) -> None:
    """Write a picture as a PNG file.

    Raises
    ------
    FormatError
        If that is not possible; an old file is untouched.
    """
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if picture.isNull() or not picture.save(buffer, "PNG"):
        raise FormatError(
            f"{path}: a picture of {picture.width()} x {picture.height()} pixels cannot be made"
        )
    write_whole(path, buffer.data().data())
