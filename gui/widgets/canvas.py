"""What all drawn widgets share: focus ring, empty sentence, theme, text for screen readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QLineF, QPointF, QRectF, Qt, pyqtBoundSignal, pyqtSignal
from PyQt6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QHelpEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PyQt6.QtWidgets import QAbstractScrollArea, QToolTip, QWidget

from gui import theme

LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
CENTRE = Qt.AlignmentFlag.AlignCenter

if TYPE_CHECKING:
    _Base = QWidget
else:  # Qt allows one widget among the bases; the other is plain Python
    _Base = object

_METRICS: dict[tuple[QFont.StyleHint, int, bool], QFontMetricsF] = {}


def metrics(font: QFont) -> QFontMetricsF:
    """Return the measures of a font; kept, because making them costs more than using them.

    The fonts of `gui.theme` differ in style hint, size and weight only; `QFont.key` would tell
    them apart too, but takes longer than the measuring.
    """
    key = (font.styleHint(), font.pixelSize(), font.bold())
    found = _METRICS.get(key)
    if found is None:
        found = _METRICS[key] = QFontMetricsF(font)
    return found


def text_width(font: QFont, text: str) -> float:
    """Return the width of a text in pixels."""
    return metrics(font).horizontalAdvance(text)


def elided(font: QFont, text: str, width: float) -> str:
    """Shorten a text with an ellipsis so that it fits; empty if not even that fits."""
    if width < 3:
        return ""
    return metrics(font).elidedText(text, Qt.TextElideMode.ElideRight, width)


def baseline(font: QFont, top: float, height: float) -> float:
    """Return the y at which text of a font stands centred in a row."""
    measure = metrics(font)
    return top + (height + measure.capHeight()) / 2


def snap(value: float, ratio: float) -> float:
    """Move a coordinate to the nearest device pixel."""
    return round(value * ratio) / ratio


def draw_outline(
    painter: QPainter, area: QRectF, colour: QColor, ratio: float, width: float = 2.0
) -> None:
    """Draw a crisp frame around an area, with a thin line beside it so it shows on any colour."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    half = width / 2
    left, top = snap(area.left(), ratio), snap(area.top(), ratio)
    right, bottom = snap(area.right(), ratio), snap(area.bottom(), ratio)
    painter.setPen(Qt.PenStyle.NoPen)
    edge = theme.colour("#000000", 0.5) if theme.current().dark else theme.colour("#ffffff", 0.8)
    for offset, shade in ((half + 1, edge), (half, colour)):
        thick = width if shade is colour else width + 2
        outer = QRectF(left - offset, top - offset, right - left + 2 * offset, 0)
        outer.setBottom(bottom + offset)
        for side in (
            QRectF(outer.left(), outer.top(), outer.width(), thick),
            QRectF(outer.left(), outer.bottom() - thick, outer.width(), thick),
            QRectF(outer.left(), outer.top() + thick, thick, outer.height() - 2 * thick),
            QRectF(outer.right() - thick, outer.top() + thick, thick, outer.height() - 2 * thick),
        ):
            painter.fillRect(side, shade)
    painter.restore()


def draw_rects(painter: QPainter, rects: Sequence[QRectF]) -> None:
    """Draw many rectangles by one call."""
    if rects:
        painter.drawRects(*rects)


def draw_lines(painter: QPainter, lines: Sequence[QLineF]) -> None:
    """Draw many lines by one call."""
    if lines:
        painter.drawLines(*lines)


def waiting_colour() -> QColor:
    """Return the colour of the hatch that means "not computed yet"."""
    style = theme.current()
    return theme.blend(style.panel, style.muted, 0.38)


def draw_empty(painter: QPainter, area: QRectF, sentence: str) -> None:
    """Write the sentence that says what would fill an empty panel."""
    painter.setPen(theme.colour("muted"))
    painter.setFont(theme.ui())
    inner = area.adjusted(12, 8, -12, -8)
    painter.drawText(inner, int(CENTRE | Qt.TextFlag.TextWordWrap), sentence)


def draw_focus(painter: QPainter, area: QRectF) -> None:
    """Draw the ring that shows where the keyboard is."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(theme.colour("selection"), 1.5))
    painter.drawRoundedRect(area.adjusted(1, 1, -1, -1), 4, 4)
    painter.restore()


class _Drawn(_Base):
    """What both kinds of canvas do alike, whether they scroll or not."""

    _empty_text: str
    _facts: str
    _pointer: QPointF | None = None
    facts_changed: pyqtBoundSignal

    def set_empty_text(self, text: str) -> None:
        """Set the sentence that is shown while there is nothing to draw."""
        self._empty_text = text
        self.redraw()

    def facts(self) -> str:
        """Return the picked or hovered element as one line of text."""
        return self._facts

    def set_facts(self, text: str) -> None:
        """Make facts about an element readable: to screen readers and whoever listens."""
        if text != self._facts:
            self._facts = text
            self.setAccessibleDescription(text)
            self.facts_changed.emit(text)

    def is_empty(self) -> bool:
        """Return True while there is nothing to draw."""
        return False

    def point_at(self, place: QPointF) -> None:
        """Remember where the pointer rests, and tell what is there."""
        self._pointer = place
        self.hover_at(place)

    def hover_at(self, place: QPointF) -> None:
        """Tell what lies at a place of the widget."""

    def hover_again(self) -> None:
        """Tell what lies under a resting pointer now: something else has come there."""
        if self._pointer is not None:
            self.hover_at(self._pointer)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw the content; `area` is the part that needs it, in content coordinates."""

    def tip_at(self, place: QPointF) -> str:
        """Return the tooltip for a place in content coordinates, empty for none."""
        return ""

    def restyle(self) -> None:
        """Drop whatever was drawn in the colours of another theme."""

    def redraw(self) -> None:
        """Repaint what is visible."""
        self.update()

    def ratio(self) -> float:
        """Return the device pixel ratio."""
        return float(self.devicePixelRatioF())

    def _theme_changed(self, _: object) -> None:
        self.restyle()
        self.redraw()


class Canvas(_Drawn, QWidget):
    """A focusable drawing surface; subclasses draw in `draw` and say when they are empty.

    Parameters
    ----------
    name : str
        What a screen reader calls it.
    empty_text : str
        Shown while there is nothing to draw.
    parent : QWidget, optional
    """

    hover_left = pyqtSignal()
    """The pointer has left."""
    facts_changed = pyqtSignal(str)
    """The picked or hovered element as one line of text."""

    def __init__(self, name: str, empty_text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._empty_text = empty_text
        self._facts = ""
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        theme.theme_changed.connect(self._theme_changed)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Fill with the panel colour, draw, and put the focus ring on top."""
        painter = QPainter(self)
        area = QRectF(event.rect()) if event is not None else QRectF(self.rect())
        painter.fillRect(area, theme.colour("panel"))
        if self.is_empty():
            draw_empty(painter, QRectF(self.rect()), self._empty_text)
        else:
            self.draw(painter, area)
        if self.hasFocus():
            draw_focus(painter, QRectF(self.rect()))
        painter.end()

    def event(self, event: QEvent | None) -> bool:
        """Show tooltips that depend on the place, and repaint when the focus moves."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            text = self.tip_at(QPointF(event.pos()))
            if text:
                QToolTip.showText(event.globalPos(), text, self)
            else:
                QToolTip.hideText()
            return True
        if event is not None and event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self.update()
        return super().event(event)

    def leaveEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Tell that nothing is hovered any more."""
        self._pointer = None
        self.hover_left.emit()
        super().leaveEvent(event)


class ScrollCanvas(_Drawn, QAbstractScrollArea):
    """A `Canvas` larger than its window: subclasses draw in content coordinates.

    Parameters
    ----------
    name, empty_text, parent
        As for `Canvas`.
    """

    hover_left = pyqtSignal()
    facts_changed = pyqtSignal(str)

    def __init__(self, name: str, empty_text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._empty_text = empty_text
        self._facts = ""
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFrameStyle(0)
        surface = self._surface()
        surface.setMouseTracking(True)
        surface.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        theme.theme_changed.connect(self._theme_changed)

    def _surface(self) -> QWidget:
        surface = self.viewport()
        if surface is None:  # Qt always has one; this is for the type checker
            raise RuntimeError("the scroll area has no viewport")
        return surface

    def redraw(self) -> None:
        """Repaint the visible part."""
        self._surface().update()

    def offset(self) -> QPointF:
        """Return the content coordinate of the top left corner."""
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        return QPointF(across.value() if across else 0, down.value() if down else 0)

    def set_content_size(self, width: float, height: float) -> None:
        """Adapt the scroll bars to the size of the content."""
        surface = self._surface()
        for bar, whole, visible in (
            (self.horizontalScrollBar(), width, surface.width()),
            (self.verticalScrollBar(), height, surface.height()),
        ):
            if bar is not None:
                bar.setPageStep(visible)
                bar.setSingleStep(22)
                bar.setRange(0, max(int(whole) - visible, 0))

    def show_area(self, area: QRectF, margin: float = 8) -> None:
        """Scroll as little as needed to make an area of the content visible."""
        surface = self._surface()
        for bar, start, end, visible in (
            (self.horizontalScrollBar(), area.left(), area.right(), surface.width()),
            (self.verticalScrollBar(), area.top(), area.bottom(), surface.height()),
        ):
            if bar is None:
                continue
            if start - margin < bar.value():
                bar.setValue(int(start - margin))
            elif end + margin > bar.value() + visible:
                bar.setValue(int(end + margin) - visible)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Fill with the panel colour, draw the visible part, and put the focus ring on top."""
        surface = self._surface()
        painter = QPainter(surface)
        window = QRectF(surface.rect())
        painter.fillRect(window, theme.colour("panel"))
        if self.is_empty():
            draw_empty(painter, window, self._empty_text)
        else:
            offset = self.offset()
            painter.translate(-offset)
            self.draw(painter, window.translated(offset))
            painter.translate(offset)
        if self.hasFocus():
            draw_focus(painter, window)
        painter.end()

    def viewportEvent(self, event: QEvent | None) -> bool:  # noqa: N802
        """Show tooltips that depend on the place; tell when the pointer leaves."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            text = self.tip_at(QPointF(event.pos()) + self.offset())
            if text:
                QToolTip.showText(event.globalPos(), text, self)
            else:
                QToolTip.hideText()
            return True
        if event is not None and event.type() == QEvent.Type.Leave:
            self._pointer = None
            self.hover_left.emit()
        return super().viewportEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """Repaint when the focus moves."""
        if event is not None and event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self.redraw()
        return super().event(event)
