"""Curves of a training run: raw faint, smoothed strong, marks, crosshair, logarithmic on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QEvent, QPointF, QSize, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QColor, QPen
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QStackedLayout, QToolButton, QVBoxLayout, QWidget

from gui import theme
from gui.widgets.curve_data import Series, ValueAxis, envelope, smoothed, spikes, thinned
from gui.widgets.numbers import significant
from gui.widgets.window_content import Array

_REDRAW_MS = 40
"""Curves are drawn at most this often, however fast numbers arrive."""
_MOST_MARKS = 200


class CurveView(QWidget):
    """Plot of a training run. Hovering reads values off, a click names the nearest sample."""

    hovered = pyqtSignal(float, str)
    hover_left = pyqtSignal()
    point_clicked = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Training curves")
        self.setProperty("surface", "panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._series: dict[str, Series] = {}
        self._items: dict[str, tuple[Any, Any]] = {}
        self._marks: list[tuple[float, str, str, Any]] = []
        self._bad_lines: list[Any] = []
        self._log = False
        self._cursor: float | None = None
        theme.configure_plots()
        self._plot: Any = pg.PlotWidget(self, axisItems={"left": ValueAxis("left")})
        self._build_plot()
        self._legend, self._readout = QLabel(self), QLabel(self)
        self._log_button = QToolButton(self)
        self._empty = QLabel("Start training to see loss and accuracy here.", self)
        self._stack = QStackedLayout()
        self._build_layout()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REDRAW_MS)
        self._timer.timeout.connect(self.redraw)
        theme.theme_changed.connect(self._restyle)
        self._restyle(None)

    def _build_plot(self) -> None:
        plot = self._plot
        plot.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        plot.setAccessibleName("Plot of the training curves")
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setFrameStyle(0)
        item = plot.getPlotItem()
        item.setContentsMargins(0, 2, 8, 0)
        item.showGrid(x=False, y=True, alpha=0.12)
        # What takes part in the range of the axes: the curves themselves hold what is in view.
        self._extent = pg.PlotDataItem(pen=pg.mkPen(0, 0, 0, 0))
        item.addItem(self._extent)
        self._spikes = pg.ScatterPlotItem(pxMode=True)
        item.addItem(self._spikes, ignoreBounds=True)
        item.getViewBox().sigRangeChanged.connect(lambda *_: self._soon())
        self._hair = pg.InfiniteLine(angle=90, movable=False)
        self._cursor_line = pg.InfiniteLine(angle=90, movable=False)
        for line in (self._hair, self._cursor_line):
            line.setVisible(False)
            item.addItem(line, ignoreBounds=True)
        self._proxy = pg.SignalProxy(plot.scene().sigMouseMoved, rateLimit=60, slot=self._moved)
        plot.scene().sigMouseClicked.connect(self._clicked)
        plot.installEventFilter(self)

    def _build_layout(self) -> None:
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        self._readout.setProperty("mono", True)
        self._readout.setObjectName("muted")
        self._readout.setAccessibleName("Values under the pointer")
        self._log_button.setText("log")
        self._log_button.setCheckable(True)
        self._log_button.setProperty("flat", True)
        self._log_button.setToolTip("Logarithmic vertical axis")
        self._log_button.setAccessibleName("Logarithmic vertical axis")
        self._log_button.toggled.connect(self.set_log)
        top = QHBoxLayout()
        top.setContentsMargins(10, 2, 6, 0)
        top.addWidget(self._legend)
        top.addStretch(1)
        top.addWidget(self._readout)
        top.addWidget(self._log_button)
        page = QWidget(self)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self._plot, 1)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setWordWrap(True)
        self._empty.setObjectName("muted")
        self._empty.setMargin(12)
        self._stack.setContentsMargins(0, 0, 0, 0)
        self._stack.addWidget(self._empty)
        self._stack.addWidget(page)
        self.setLayout(self._stack)
        self.setMinimumSize(140, 70)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer a wide, low strip."""
        return QSize(600, 160)

    # --- content -------------------------------------------------------------------------------

    def add_curve(
        self,
        key: str,
        title: str,
        colour_token: str = "selection",
        raw: bool = True,
        points: bool = False,
    ) -> None:
        """Declare a curve.

        Parameters
        ----------
        key : str
        title : str
            Shown in the legend.
        colour_token : str
            A token of the theme, for example ``"selection"`` or ``"good"``.
        raw : bool
            Draw the values faint and their running average strong; otherwise just the values.
        points : bool
            Draw a dot at each value (accuracy per epoch).
        """
        if key in self._series:
            return
        self._series[key] = Series(title, colour_token, raw, points)
        item = self._plot.getPlotItem()
        faint, strong = pg.PlotDataItem(), pg.PlotDataItem()
        for curve in (faint, strong):
            item.addItem(curve, ignoreBounds=True)
        for curve in (faint, strong):
            curve.setLogMode(False, self._log)
        self._items[key] = (faint, strong)
        self._restyle(None)

    def append(self, key: str, x: float, y: float) -> None:
        """Add a point; drawing waits for the next frame."""
        self.extend(key, np.array([x], float), np.array([y], float))

    def extend(self, key: str, xs: Array | Sequence[float], ys: Array | Sequence[float]) -> None:
        """Add points; drawing waits for the next frame."""
        if key not in self._series:
            self.add_curve(key, key)
        self._series[key].extend(np.asarray(xs, float).ravel(), np.asarray(ys, float).ravel())
        self._soon()

    def set_data(self, key: str, xs: Array | Sequence[float], ys: Array | Sequence[float]) -> None:
        """Replace all points of a curve."""
        self.clear(key)
        self.extend(key, xs, ys)

    def clear(self, key: str | None = None) -> None:
        """Remove the points of a curve, or of all curves and all marks."""
        for name, series in self._series.items():
            if key in (None, name):
                series.count = 0
        if key is None:
            self.clear_marks()
        self._soon()

    def add_mark(self, x: float, text: str, colour_token: str = "muted") -> None:
        """Draw a labelled vertical line: a changed learning rate, a breakpoint, an epoch."""
        line = pg.InfiniteLine(
            x,
            angle=90,
            movable=False,
            label=text,
            labelOpts={"position": 0.9, "anchors": [(-0.03, 0.5), (1.03, 0.5)]},
        )
        self._plot.getPlotItem().addItem(line, ignoreBounds=True)
        self._marks.append((x, text, colour_token, line))
        if len(self._marks) > _MOST_MARKS:
            self._plot.getPlotItem().removeItem(self._marks.pop(0)[3])
        self._style_mark(line, colour_token)

    def clear_marks(self) -> None:
        """Remove all marks."""
        for _, _, _, line in self._marks:
            self._plot.getPlotItem().removeItem(line)
        self._marks.clear()

    def set_log(self, log: bool) -> None:
        """Use a logarithmic vertical axis; values of 0 and below are left out."""
        self._log = bool(log)
        if self._log_button.isChecked() != self._log:
            self._log_button.setChecked(self._log)
        self._plot.getPlotItem().setLogMode(x=False, y=self._log)
        self.redraw()

    def set_cursor(self, x: float | None) -> None:
        """Draw the cursor at the sample that is executed next."""
        self._cursor = x
        self._cursor_line.setVisible(x is not None)
        if x is not None:
            self._cursor_line.setValue(x)

    def set_empty_text(self, text: str) -> None:
        """Set the sentence that is shown while there are no points."""
        self._empty.setText(text)

    def is_empty(self) -> bool:
        """Return True while no curve has a point."""
        return not any(series.count for series in self._series.values())

    # --- drawing -------------------------------------------------------------------------------

    def _soon(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def redraw(self) -> None:
        """Bring the plot up to date now."""
        self._stack.setCurrentIndex(0 if self.is_empty() else 1)
        box = self._plot.getPlotItem().getViewBox()
        curves = {
            key: (series.data()[0], self._shown(series)) for key, series in self._series.items()
        }
        self._reach(list(curves.values()))
        box.updateAutoRange()
        (low, high), _ = box.viewRange()
        columns = max(round(box.width()), 64)
        bad: list[float] = []
        lonely: list[tuple[float, float, str]] = []
        for key, (x, y) in curves.items():
            series, (faint, strong) = self._series[key], self._items[key]
            finite = np.isfinite(series.data()[1])
            bad += x[~finite & np.concatenate([[True], finite[:-1]])].tolist()
            if series.raw:
                faint.setData(*envelope(x, y, low, high, columns))
                alone = spikes(y)
                lonely += [(float(x[i]), float(y[i]), series.token) for i in alone]
                usual = y.copy()
                usual[alone] = np.nan  # marked by themselves; a mean would smear them out
                strong.setData(*thinned(x, smoothed(usual)))
            else:
                faint.setData([], [])
                strong.setData(*thinned(x, y))
        self._show_bad(bad)
        self._show_spikes(lonely)
        self._update_legend()

    def _shown(self, series: Series) -> Array:
        """Return a curve's values, NaN where they cannot be drawn."""
        _, y = series.data()
        drawn = np.isfinite(y) & (y > 0) if self._log else np.isfinite(y)
        return np.where(drawn, y, np.nan)

    def _reach(self, curves: list[tuple[Array, Array]]) -> None:
        """Make the axes reach over everything that can be drawn."""
        xs, ys = [x[[0, -1]] for x, _ in curves if len(x)], []
        for _, y in curves:
            known = y[np.isfinite(y)]
            if len(known):
                ys += [known.min(), known.max()]
        if not xs or not ys:
            self._extent.setData([], [])
            return
        ends = np.concatenate(xs)
        self._extent.setData([ends.min(), ends.max()], [min(ys), max(ys)])

    def _show_spikes(self, lonely: list[tuple[float, float, str]]) -> None:
        """Mark values that stand out alone; those beyond the view by an arrow at its edge."""
        (left, right), (bottom, top) = self._plot.getPlotItem().getViewBox().viewRange()
        margin = 0.04 * (top - bottom)
        spots = []
        for x, value, token in lonely:
            y = float(np.log10(value)) if self._log else value
            if not left <= x <= right:
                continue
            symbol = "t1" if y > top else "t" if y < bottom else "o"
            place = min(max(y, bottom + margin), top - margin) if symbol != "o" else y
            shade = theme.colour(token)
            spots.append({"pos": (x, place), "symbol": symbol, "size": 7, "brush": shade})
        self._spikes.setData(spots, pen=None)

    def _show_bad(self, places: list[float]) -> None:
        """Mark where values begin to be NaN or Inf by magenta lines."""
        item = self._plot.getPlotItem()
        for line in self._bad_lines:
            item.removeItem(line)
        self._bad_lines = []
        for x in places[:40]:
            line = pg.InfiniteLine(x, angle=90, movable=False, pen=_pen("nonfinite", 0.8, 1.5))
            item.addItem(line, ignoreBounds=True)
            self._bad_lines.append(line)

    def _update_legend(self) -> None:
        parts = []
        for series in self._series.values():
            if series.count:
                _, y = series.data()
                hidden = int((y <= 0).sum()) if self._log else 0
                left_out = f" ({hidden:,} of 0 or below left out)" if hidden else ""
                name = getattr(theme.current(), series.token)
                muted = theme.current().muted
                parts.append(
                    f'<span style="color:{name}">&#9632;</span> '
                    f'<span style="color:{muted}">{series.title}{left_out}</span>'
                )
        self._legend.setText("&nbsp;&nbsp;&nbsp;".join(parts))

    def _restyle(self, _: object) -> None:
        style = theme.current()
        self._plot.setBackground(style.panel)
        item = self._plot.getPlotItem()
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setPen(_pen("line"))
            axis.setTextPen(theme.colour("muted"))
            axis.setTickFont(theme.mono(10))
            axis.setStyle(tickLength=-4, tickTextOffset=5)
        item.getAxis("left").setWidth(46)
        item.getAxis("bottom").setHeight(20)
        for key, series in self._series.items():
            faint, strong = self._items[key]
            faint.setPen(_pen(series.token, 0.4))
            strong.setPen(_pen(series.token, 1.0, 2.0))
            if series.points:
                strong.setSymbol("o")
                strong.setSymbolSize(6)
                strong.setSymbolBrush(theme.colour(series.token))
                strong.setSymbolPen(_pen("panel"))
        self._hair.setPen(_pen("muted", 0.7))
        self._cursor_line.setPen(_pen("cursor", 1.0, 2.0))
        for _, _, token, line in self._marks:
            self._style_mark(line, token)
        self._readout.setFont(theme.mono(11))
        self._update_legend()

    def _style_mark(self, line: Any, token: str) -> None:
        line.setPen(_pen(token, 0.8))
        if line.label is not None:
            line.label.setColor(theme.colour(token))
            line.label.setFont(theme.ui(10))

    # --- pointer -------------------------------------------------------------------------------

    def _moved(self, event: tuple[QPointF]) -> None:
        box = self._plot.getPlotItem().getViewBox()
        if self.is_empty() or not box.sceneBoundingRect().contains(event[0]):
            self._leave()
            return
        x = float(box.mapSceneToView(event[0]).x())
        nearest = self.nearest(x)
        if nearest is None:
            return
        self._hair.setValue(nearest)
        self._hair.setVisible(True)
        text = self.readout(nearest)
        self._readout.setText(text)
        self.hovered.emit(nearest, text)

    def _leave(self) -> None:
        if self._hair.isVisible():
            self._hair.setVisible(False)
            self._readout.setText("")
            self.hover_left.emit()

    def _clicked(self, event: Any) -> None:
        box = self._plot.getPlotItem().getViewBox()
        place = event.scenePos()
        if event.button() != Qt.MouseButton.LeftButton or self.is_empty():
            return
        if box.sceneBoundingRect().contains(place):
            nearest = self.nearest(float(box.mapSceneToView(place).x()))
            if nearest is not None:
                self.point_clicked.emit(round(nearest))

    def nearest(self, x: float) -> float | None:
        """Return the x of the sample nearest to a place, over all curves."""
        best: float | None = None
        for series in self._series.values():
            xs, _ = series.data()
            if not len(xs):
                continue
            at = int(np.searchsorted(xs, x))
            for i in (at - 1, at):
                if 0 <= i < len(xs) and (best is None or abs(xs[i] - x) < abs(best - x)):
                    best = float(xs[i])
        return best

    def readout(self, x: float) -> str:
        """Return all curves' values at a sample as one line of text."""
        parts = [f"{x:g}"]
        for series in self._series.values():
            xs, ys = series.data()
            at = int(np.searchsorted(xs, x))
            if at < len(xs) and xs[at] == x:
                parts.append(f"{series.title} {significant(ys[at], 4)}")
        return "   ".join(parts)

    def eventFilter(self, watched: Any, event: QEvent | None) -> bool:  # noqa: N802
        """Notice when the pointer leaves the plot."""
        if event is not None and event.type() == QEvent.Type.Leave:
            self._leave()
        return bool(super().eventFilter(watched, event))


def _pen(token: str, alpha: float = 1.0, width: float = 1.0) -> QPen:
    shade: QColor = theme.colour(token, alpha)
    pen = QPen(shade)
    pen.setCosmetic(True)
    pen.setWidthF(width)
    return pen
