"""The right part of the window view: waterfall, table of terms, stages."""

from __future__ import annotations

from PyQt6.QtCore import QEvent, QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QMouseEvent, QPainter, QResizeEvent, QWheelEvent
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets.canvas import LEFT, RIGHT, Canvas, baseline, elided, metrics
from gui.widgets.numbers import column_for, format_full
from gui.widgets.stage_lines import StageLayout, draw_stages, stage_at, stage_layout
from gui.widgets.term_table import Table, table_for
from gui.widgets.waterfall import Waterfall, WaterfallPainter, condense, term_at
from gui.widgets.window_content import StageLine, WindowContent

ROW = 18
"""Height of a row of terms in pixels."""
_TITLE = 18


class TermsPane(Canvas):
    """How the terms add up, term by term.

    The wheel and Page Up and Page Down scroll the table; it returns to the cursor when that moves.
    """

    term_hovered = pyqtSignal(int)
    term_clicked = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Terms of the current element", "", parent)
        self._content: WindowContent | None = None
        self._cursor: int | None = None
        self._stages: tuple[StageLine, ...] = ()
        self._table: Table | None = None
        self._picture: Waterfall | None = None
        self._fall = WaterfallPainter()
        self._scroll: int | None = None
        self._hovered = -1

    # --- content -------------------------------------------------------------------------------

    def set_content(self, content: WindowContent | None) -> None:
        """Show the terms of another element."""
        self._content = content
        self._cursor = content.cursor_term if content is not None else None
        self._stages = tuple(StageLine(*stage) for stage in content.stages) if content else ()
        self._table = self._picture = self._scroll = None
        self._fall.clear()
        self._hovered = -1
        self._tell()
        self.update()

    def set_cursor_term(self, term: int | None) -> None:
        """Move to another term of the same element."""
        self._cursor = term
        self._scroll = None
        self._tell()
        self.update()

    def set_hovered_term(self, term: int) -> None:
        """Mark a term that is hovered elsewhere; -1 for none."""
        if term != self._hovered:
            self._hovered = term
            self.update()

    def is_empty(self) -> bool:
        """Return True while there is nothing to show."""
        return self._content is None or not (self._content.terms or self._stages)

    def restyle(self) -> None:
        """Draw anew in the other theme's colours."""
        self._table = None
        self._fall.clear()

    def _tell(self) -> None:
        content = self._content
        if content is None or not content.terms:
            return
        if self._cursor is not None and self._cursor < content.terms:
            self.set_facts(
                f"next term {self._cursor} of {content.terms}: {self._sentence(self._cursor)}"
            )
        else:
            self.set_facts(f"all {content.terms} terms done: {format_full(content.totals[-1])}")

    def _sentence(self, term: int) -> str:
        """Return a term with all digits."""
        content = self._content
        if content is None:
            return ""
        factors = " × ".join(format_full(values[term]) for values in content.operand_values)
        text = factors
        if len(content.operand_values) > 1:
            text += f" = {format_full(content.contributions[term])}"
        return f"{text}, running result {format_full(content.totals[term])}"

    def _row_height(self) -> int:
        """Return the height of a row: larger where the pane is large."""
        return round((ROW + 4 if self._is_large() else ROW) * max(theme.font_scale(), 1.0))

    def _is_large(self) -> bool:
        """Return True if there is room for larger numbers."""
        return self.height() >= 400

    # --- geometry ------------------------------------------------------------------------------

    def _areas(self) -> tuple[QRectF, QRectF, QRectF, StageLayout]:
        """Return the areas of waterfall, table and stages, and how the stages are laid out."""
        whole = QRectF(self.rect()).adjusted(8, 6, -8, -6)
        has_terms = self._content is not None and self._content.terms > 0
        note = self._content.note if self._content is not None else ""
        most = whole.height() * (0.45 if has_terms else 1.0)
        stages = stage_layout(self._stages, note, whole.width(), most, as_list=not has_terms)
        lower = QRectF(whole)
        lower.setTop(whole.bottom() - stages.height if has_terms else whole.top())
        if not has_terms:
            empty = QRectF(whole.left(), whole.top(), whole.width(), 0)
            return empty, empty, lower, stages
        rest = whole.height() - stages.height - (6 if stages.height else 0)
        count = self._content.terms if self._content is not None else 0
        needed = count * self._row_height() + 6
        height = min(max(rest * 0.36, rest - _TITLE - needed, 34), 150)
        if rest - height - _TITLE < 3 * self._row_height():
            height = max(rest - _TITLE - 3 * self._row_height(), 0)
        fall = QRectF(whole.left(), whole.top() + _TITLE, whole.width(), height)
        below = min(rest - height - _TITLE - 4, needed)
        table = QRectF(whole.left(), fall.bottom() + 4, whole.width(), below)
        lower = QRectF(whole.left(), table.bottom() + 6, whole.width(), stages.height)
        return fall, table, lower, stages

    def _visible(self, table: QRectF) -> range:
        """Return the terms whose rows are drawn."""
        if self._content is None:
            return range(0)
        count = self._content.terms
        rows = min(max(int(table.height() / self._row_height()), 1), count)
        if self._scroll is not None:
            first = self._scroll
        else:
            now = count if self._cursor is None else self._cursor
            first = now - (rows - 1) // 2
        first = min(max(first, 0), count - rows)
        return range(first, first + rows)

    def _row_at(self, place: QPointF) -> int:
        _, table, _, _ = self._areas()
        shown = self._visible(table)
        row = int((place.y() - table.top()) // self._row_height())
        return shown.start + row if table.contains(place) and 0 <= row < len(shown) else -1

    def _term_at(self, place: QPointF) -> int:
        if self._content is None or not self._content.terms:
            return -1
        fall, _, _, _ = self._areas()
        if self._picture is not None and fall.adjusted(0, -6, 0, 0).contains(place):
            return term_at(fall, self._picture, place)
        return self._row_at(place)

    # --- drawing -------------------------------------------------------------------------------

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw waterfall, table and stages."""
        content = self._content
        if content is None:
            return
        fall, table, stages_area, stages = self._areas()
        if content.terms:
            self._draw_title(painter, fall, content)
            if fall.height() >= 24:
                if self._picture is None:
                    starts = [int(start) for start in content.chunk_starts]
                    self._picture = condense(
                        content.totals,
                        starts,
                        max(int(fall.width()), 1),
                        content.contributions if content.kind == "max" else None,
                    )
                if self._picture is not None:
                    self._fall.draw(
                        painter, fall, self._picture, self._cursor, self._hovered, self.ratio()
                    )
            self._draw_table(painter, table, content)
            if stages.height:
                painter.fillRect(
                    QRectF(table.left(), stages_area.top() - 4, table.width(), 1),
                    theme.colour("line"),
                )
        done = self._cursor is None
        draw_stages(painter, stages_area, self._stages, stages, content.stage_cursor, done)

    def _draw_title(self, painter: QPainter, fall: QRectF, content: WindowContent) -> None:
        count = content.terms
        done = count if self._cursor is None else min(self._cursor, count)
        now = content.totals[done - 1] if done else 0.0
        column = column_for(content.totals, 6, signed=content.kind == "sum")
        if content.kind == "max":
            name, unit, sign = "largest so far", "values", "max"
            value = column.text(now) if done else "–"
        else:
            unit = "products" if len(content.operand_values) > 1 else "values"
            name, sign, value = "running sum", "Σ", column.text(now)
        line = QRectF(fall.left(), fall.top() - _TITLE, fall.width(), _TITLE - 2)
        right = f"{sign} {value.strip()}"
        bold = theme.mono(12, bold=True)
        room = metrics(bold).horizontalAdvance(right) + 10
        painter.setFont(bold)
        painter.setPen(theme.colour("text"))
        painter.drawText(line, int(RIGHT), right)
        painter.setFont(theme.ui(11))
        painter.setPen(theme.colour("muted"))
        text = f"{name} · {done} of {count} {unit}"
        painter.drawText(line, int(LEFT), elided(painter.font(), text, line.width() - room))

    def _draw_table(self, painter: QPainter, area: QRectF, content: WindowContent) -> None:
        height = self._row_height()
        if area.height() < height:
            return
        if self._table is None:
            self._table = table_for(content, area.width() - 14, 14 if self._is_large() else 12)
        table = self._table
        shown = self._visible(area)
        painter.save()
        painter.setClipRect(area)
        font = theme.mono(table.size)
        painter.setFont(font)
        advance = metrics(font).horizontalAdvance("0")
        starts = {int(start) for start in content.chunk_starts if start}
        for row, term in enumerate(shown):
            top = area.top() + row * height
            line = QRectF(area.left(), top, area.width() - 4, height)
            self._draw_row_ground(painter, line, term)
            if term in starts:
                painter.fillRect(QRectF(line.left(), top, line.width(), 1), theme.colour("muted"))
            down = baseline(font, top, height)
            self._draw_row(painter, content, table, term, QPointF(area.left() + 8, down), advance)
        painter.restore()
        self._draw_scroll_mark(painter, area, shown, content.terms)

    def _draw_row_ground(self, painter: QPainter, line: QRectF, term: int) -> None:
        if term == self._cursor:
            painter.fillRect(line, theme.colour("cursor", 0.17))
            painter.fillRect(
                QRectF(line.left(), line.top(), 3, line.height()), theme.colour("cursor")
            )
        elif term == self._hovered:
            painter.fillRect(line, theme.colour("hover"))
        elif self._content is not None and term == self._content.decisive and self._done(term):
            painter.fillRect(line, theme.colour("good", 0.16))

    def _done(self, term: int) -> bool:
        return self._cursor is None or term < self._cursor

    def _draw_row(
        self,
        painter: QPainter,
        content: WindowContent,
        table: Table,
        term: int,
        start: QPointF,
        advance: float,
    ) -> None:
        """Draw a row by one text per colour: the font is monospaced, so spaces keep columns."""
        waits = not self._done(term) and term != self._cursor
        lines: dict[str, str] = {}
        for cell in table.row(content, term):
            name = "text" if cell.kind in ("value", "product", "total") else "muted"
            if cell.kind == "product" and content.contributions[term] != 0:
                name = "positive" if content.contributions[term] > 0 else "negative"
            if name != "muted" and ("N" in cell.text or "∞" in cell.text):
                name = "nonfinite"
            lines[name] = lines.get(name, "").ljust(cell.column) + cell.text
        for name, text in lines.items():
            used = text.lstrip()
            painter.setPen(theme.colour(name, 0.42 if waits else 1.0))
            across = (len(text) - len(used)) * advance
            painter.drawText(QPointF(start.x() + across, start.y()), used)

    def _draw_scroll_mark(self, painter: QPainter, area: QRectF, shown: range, count: int) -> None:
        """Draw a thin mark at the right that tells which part of the table is visible."""
        if len(shown) >= count:
            return
        length = max(area.height() * len(shown) / count, 10)
        at = area.top() + (area.height() - length) * shown.start / max(count - len(shown), 1)
        painter.fillRect(QRectF(area.right() - 2, at, 2, length), theme.colour("line"))

    # --- pointer and keys ----------------------------------------------------------------------

    def tip_at(self, place: QPointF) -> str:
        """Return a term or a stage with all digits."""
        term = self._term_at(place)
        if term >= 0 and self._content is not None:
            names = ", ".join(label(term) for label in self._content.operand_labels)
            return f"term {term}  {names}\n{self._sentence(term)}"
        _, _, area, stages = self._areas()
        stage = stage_at(area, stages, place)
        if stage is None:
            return ""
        line = self._stages[stage]
        return f"{line.label} = {format_full(line.value)}" + (
            f"\n{line.formula}" if line.formula else ""
        )

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell which term the pointer is on."""
        if event is not None:
            self._hover(self._term_at(event.position()))

    def leaveEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Forget what was hovered."""
        self._hover(-1)
        super().leaveEvent(event)

    def _hover(self, term: int) -> None:
        if term != self._hovered:
            self._hovered = term
            self.update()
            self.term_hovered.emit(term)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell which term was clicked."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            term = self._term_at(event.position())
            if term >= 0:
                self.set_facts(f"term {term}: {self._sentence(term)}")
                self.term_clicked.emit(term)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Scroll the table by three rows a notch."""
        if event is not None:
            self._scroll_by(-round(event.angleDelta().y() / 40))
            event.accept()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Scroll the table."""
        if event is None:
            return
        _, table, _, _ = self._areas()
        page = max(len(self._visible(table)) - 1, 1)
        count = self._content.terms if self._content is not None else 0
        steps = {
            Qt.Key.Key_Up: -1,
            Qt.Key.Key_Down: 1,
            Qt.Key.Key_PageUp: -page,
            Qt.Key.Key_PageDown: page,
            Qt.Key.Key_Home: -count,
            Qt.Key.Key_End: count,
        }
        step = steps.get(Qt.Key(event.key()))
        if step is None or not count:
            super().keyPressEvent(event)
        else:
            self._scroll_by(step)

    def _scroll_by(self, rows: int) -> None:
        if self._content is None or not self._content.terms:
            return
        _, table, _, _ = self._areas()
        shown = self._visible(table)
        most = self._content.terms - len(shown)
        self._scroll = min(max(shown.start + rows, 0), most)
        self.update()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Choose columns anew."""
        self._table = self._picture = None
        super().resizeEvent(event)
