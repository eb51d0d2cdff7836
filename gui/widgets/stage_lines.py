"""The stages below the terms: bias, z, activation ... in a flowing line or, with room, a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QPainter

from gui import theme
from gui.widgets.canvas import LEFT, RIGHT, elided, metrics, text_width
from gui.widgets.numbers import aligned
from gui.widgets.window_content import StageLine

_LINE = 20
_GAP = 18


@dataclass(frozen=True, slots=True)
class StageLayout:
    """Where each stage stands, relative to the area of the stages.

    Parameters
    ----------
    places : tuple of QRectF
    height : float
        Of all stages and the note.
    as_list : bool
    texts : tuple of str
        The values; in a list all of one length with their decimal points in line.
    note : str
    note_top : float
    label_width, value_width : float
        Only used in a list.
    """

    places: tuple[QRectF, ...]
    height: float
    as_list: bool
    texts: tuple[str, ...]
    note: str
    note_top: float
    label_width: float = 0.0
    value_width: float = 0.0


def stage_layout(
    stages: Sequence[StageLine], note: str, width: float, most: float, as_list: bool
) -> StageLayout:
    """Lay out the stages.

    Parameters
    ----------
    stages : sequence of StageLine
    note : str
        A sentence below them.
    width, most : float
        Room across, and the largest height to use.
    as_list : bool
        One stage per line with its formula; otherwise they flow.
    """
    texts = aligned([stage.value for stage in stages])
    value_width = text_width(theme.mono(12, bold=True), texts[0]) if texts else 0.0
    label_font = theme.ui(12)
    line = _LINE * max(theme.font_scale(), 1.0)
    places: list[QRectF] = []
    label_width = 0.0
    if as_list or (len(stages) > 4 and len(stages) * line <= most):
        as_list = True
        widths = [text_width(label_font, stage.label) for stage in stages]
        label_width = min(max(widths, default=0.0) + 12, width * 0.45)
        row = min(line + 2, max((most - (18 if note else 0)) / max(len(stages), 1), 14.0))
        places = [QRectF(0, i * row, width, row) for i in range(len(stages))]
        bottom = len(stages) * row
    else:
        x, y = 0.0, 0.0
        for stage in stages:
            wide = text_width(label_font, stage.label) + 7
            wide += text_width(theme.mono(12, bold=True), texts[len(places)].strip())
            if x and x + wide > width:
                x, y = 0.0, y + line
            places.append(QRectF(x, y, min(wide, width), line))
            x += wide + _GAP
        bottom = y + line if stages else 0.0
    note_height = 0.0
    if note:
        bounds = metrics(theme.ui(11)).boundingRect(
            QRectF(0, 0, width, 60), int(Qt.TextFlag.TextWordWrap), note
        )
        note_height = min(bounds.height() + 4, 34)
    return StageLayout(
        places=tuple(places),
        height=bottom + note_height,
        as_list=as_list,
        texts=tuple(texts),
        note=note,
        note_top=bottom,
        label_width=label_width,
        value_width=value_width,
    )


def draw_stages(
    painter: QPainter,
    area: QRectF,
    stages: Sequence[StageLine],
    layout: StageLayout,
    cursor: int | None,
    terms_done: bool,
) -> None:
    """Draw the stages; those after the cursor, and all while terms wait, are faint.

    Parameters
    ----------
    painter : QPainter
    area : QRectF
    stages : sequence of StageLine
    layout : StageLayout
    cursor : int or None
        The next stage.
    terms_done : bool
    """
    painter.save()
    painter.setClipRect(area.adjusted(-4, -2, 4, 2))
    painter.translate(area.topLeft())
    for i, (stage, place) in enumerate(zip(stages, layout.places, strict=True)):
        waits = not terms_done or (cursor is not None and i > cursor)
        if cursor == i and terms_done:
            painter.fillRect(place.adjusted(-4, 0, 4, 0), theme.colour("cursor", 0.17))
            painter.fillRect(QRectF(-4, place.top(), 3, place.height()), theme.colour("cursor"))
        alpha = 0.42 if waits else 1.0
        last = i == len(stages) - 1
        finite = np.isfinite(stage.value)
        label_width = layout.label_width if layout.as_list else place.width()
        painter.setFont(theme.ui(12))
        painter.setPen(theme.colour("muted", alpha))
        room = QRectF(place.left(), place.top(), label_width, place.height())
        label = elided(painter.font(), stage.label, label_width)
        painter.drawText(room, int(LEFT), label)
        painter.setPen(theme.colour("text" if finite else "nonfinite", alpha))
        painter.setFont(theme.mono(12, bold=last))
        if layout.as_list:
            room = QRectF(label_width, place.top(), layout.value_width, place.height())
            painter.drawText(room, int(RIGHT), layout.texts[i])
            painter.setFont(theme.ui(11))
            painter.setPen(theme.colour("muted", alpha))
            left = label_width + layout.value_width + 16
            room = QRectF(left, place.top(), max(place.width() - left, 0), place.height())
            text = f"= {stage.formula}" if stage.formula else ""
            painter.drawText(room, int(LEFT), elided(painter.font(), text, room.width()))
        else:
            painter.drawText(place, int(RIGHT), layout.texts[i].strip())
    if layout.note:
        painter.setFont(theme.ui(11))
        painter.setPen(theme.colour("muted"))
        room = QRectF(0, layout.note_top + 2, area.width(), max(area.height() - layout.note_top, 0))
        painter.drawText(room, int(Qt.TextFlag.TextWordWrap), layout.note)
    painter.restore()


def stage_at(area: QRectF, layout: StageLayout, place: QPointF) -> int | None:
    """Return the stage at a place of the widget."""
    for i, room in enumerate(layout.places):
        if room.translated(area.topLeft()).contains(place):
            return i
    return None
