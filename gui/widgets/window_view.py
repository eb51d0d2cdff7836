"""The window view: one number of the network and exactly how it came about."""

from __future__ import annotations

from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets.canvas import LEFT, RIGHT, Canvas, elided, text_width
from gui.widgets.numbers import format_full
from gui.widgets.window_content import BarLine, WindowContent
from gui.widgets.window_grids import GridsPane
from gui.widgets.window_outcome import OutcomePane, draw_bars
from gui.widgets.window_terms import TermsPane

HEADER = 24


class _BarsPane(Canvas):
    """Bars in place of the grids, for elements without patches (softmax)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Values of the current element", "", parent)
        self._bars: tuple[BarLine, ...] = ()

    def set_bars(self, bars: tuple[BarLine, ...]) -> None:
        """Show other bars."""
        self._bars = bars
        self.update()

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw the bars."""
        draw_bars(painter, QRectF(self.rect()).adjusted(10, 8, -10, -8), self._bars)

    def tip_at(self, place: QPointF) -> str:
        """Return the exact value under the pointer."""
        if not self._bars:
            return ""
        row = min((self.height() - 16) / len(self._bars), 24.0)
        index = int((place.y() - 8) // row)
        if not 0 <= index < len(self._bars):
            return ""
        bar = self._bars[index]
        return f"{bar.label}: {format_full(bar.value)}"


class WindowView(QWidget):
    """Patches, weights, products, running sum, stages, function and output map of one element.

    Everything drawn is a function of the content and the cursor term, so stepping back looks
    exactly like never having stepped.
    """

    term_hovered = pyqtSignal(int)
    """Term under the pointer, -1 for none."""
    term_clicked = pyqtSignal(int)
    facts_changed = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._content: WindowContent | None = None
        self._header = True
        self._empty_text = (
            "Step into a layer, or debug a picked pixel, to see here how its value is computed."
        )
        self.setAccessibleName("Window view")
        self.setMinimumSize(360, 160)
        self._grids = GridsPane(self)
        self._bars = _BarsPane(self)
        self._terms = TermsPane(self)
        self._outcome = OutcomePane(self)
        for pane in (self._grids, self._terms):
            pane.term_hovered.connect(self._hover)
            pane.term_clicked.connect(self.term_clicked)
            pane.facts_changed.connect(self.facts_changed)
        theme.theme_changed.connect(self._restyle)
        self._arrange()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer the size it has in the debug layout."""
        return QSize(1040, 280)

    # --- content -------------------------------------------------------------------------------

    def set_content(self, content: WindowContent | None) -> None:
        """Show another element, or the empty sentence."""
        self._content = content
        bars_left = content is not None and not content.patches and bool(content.bars)
        self._grids.set_content(content)
        self._terms.set_content(content)
        self._outcome.set_content(content, bars_here=not bars_left)
        self._bars.set_bars(
            tuple(BarLine(*bar) for bar in content.bars) if content and bars_left else ()
        )
        self._bars.setProperty("used", bars_left)
        self.setAccessibleDescription(content.title if content is not None else "")
        self._arrange()
        self.update()

    def set_cursor_term(self, term: int | None) -> None:
        """Move to another term of the same element; None when all are done."""
        self._grids.set_cursor_term(term)
        self._terms.set_cursor_term(term)
        self._outcome.set_done(term is None)
        self.update(0, 0, self.width(), HEADER)

    def set_products_visible(self, visible: bool) -> None:
        """Show or hide the grids of products."""
        self._grids.set_products_visible(visible)
        self._arrange()

    def set_header_visible(self, visible: bool) -> None:
        """Show or hide the line with title and formula (a panel head may show them instead)."""
        self._header = visible
        self._arrange()
        self.update()

    def set_empty_text(self, text: str) -> None:
        """Set the sentence that is shown while there is no element."""
        self._empty_text = text
        self.update()

    def content(self) -> WindowContent | None:
        """Return what is shown."""
        return self._content

    def facts(self) -> str:
        """Return the next term as one line of text."""
        return self._terms.facts()

    def _hover(self, term: int) -> None:
        self._grids.set_hovered_term(term)
        self._terms.set_hovered_term(term)
        self.term_hovered.emit(term)

    # --- layout --------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Give each pane its share: grids what they use, the outcome a square, terms the rest."""
        content = self._content
        has_bars = bool(self._bars.property("used"))
        top = HEADER if self._header else 0
        width, height = self.width(), self.height() - top
        has_terms = content is not None and not self._terms.is_empty()
        alone = content is not None and not content.terms
        right = self._outcome.natural_width(height, width, alone) if content is not None else 0
        share = 0.3 if alone else 0.42
        needed = min(400, int(width * share)) if has_terms else 0
        most = max(width - right - needed, 60)
        left = 0
        if has_bars:
            left = min(most, max(int(width * 0.34), 180))
        elif content is not None and content.patches:
            left = min(self._grids.natural_width(height, min(most, int(width * 0.64))), most)
        middle = width - left - right
        for pane, x, wide, used in (
            (self._grids, 0, left, left > 0 and not has_bars),
            (self._bars, 0, left, has_bars),
            (self._terms, left, middle, has_terms),
            (self._outcome, width - right, right, right > 0),
        ):
            pane.setVisible(used)
            pane.setGeometry(x, top, wide, height)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Share the room anew."""
        super().resizeEvent(event)
        self._arrange()

    def _restyle(self, _: object) -> None:
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw title, formula and order, or the empty sentence."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.colour("panel"))
        if self._content is None:
            painter.setPen(theme.colour("muted"))
            painter.setFont(theme.ui())
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(
                QRectF(self.rect()).adjusted(16, 8, -16, -8), int(flags), self._empty_text
            )
        elif self._header:
            self._draw_header(painter, self._content)
        painter.end()

    def _draw_header(self, painter: QPainter, content: WindowContent) -> None:
        line = QRectF(10, 0, self.width() - 20, HEADER)
        bold, plain = theme.mono(12, bold=True), theme.mono(12)
        check = "" if content.exact is None else "bits equal ✓" if content.exact else "bits differ"
        check_width = text_width(theme.ui(11), check)
        painter.setFont(theme.ui(11))
        painter.setPen(theme.colour("good" if content.exact else "bad"))
        painter.drawText(line, int(RIGHT), check)
        painter.setFont(bold)
        painter.setPen(theme.colour("text"))
        title = elided(bold, content.title, line.width() - check_width - 12)
        painter.drawText(line, int(LEFT), title)
        left = line.left() + text_width(bold, title) + 8
        room = line.right() - check_width - 12 - left
        painter.setFont(plain)
        painter.setPen(theme.colour("muted"))
        formula = elided(plain, content.formula, room)
        painter.drawText(QRectF(left, 0, room, HEADER), int(LEFT), formula)
        room -= text_width(plain, formula) + 16
        order = f"order: {content.order_text} ·" if content.order_text else ""
        if room > 60 and order:
            painter.setFont(theme.ui(11))
            right = line.right() - check_width - 6
            painter.drawText(
                QRectF(right - room, 0, room, HEADER),
                int(RIGHT),
                elided(painter.font(), order, room),
            )
