"""All docks of the window, made once."""

from __future__ import annotations

from collections.abc import Iterator

from gui.views.activity_panel import ActivityPanel
from gui.views.breakpoints_panel import BreakpointsPanel
from gui.views.curves_panel import CurvesPanel
from gui.views.explanation_panel import ExplanationPanel
from gui.views.input_panel import InputPanel
from gui.views.kernels_panel import KernelsPanel
from gui.views.maps_panel import MapPanel, MosaicPanel
from gui.views.network_panel import NetworkPanel
from gui.views.panel import Panel
from gui.views.prediction_panel import PredictionPanel
from gui.views.stack_panel import StackPanel
from gui.views.watch_panel import WatchPanel
from gui.views.window_panel import WindowPanel


class PanelSet:
    """The docks by name."""

    def __init__(self) -> None:
        self.stack = StackPanel()
        self.breakpoints = BreakpointsPanel()
        self.network = NetworkPanel()
        self.mosaic = MosaicPanel()
        self.map = MapPanel()
        self.kernels = KernelsPanel()
        self.window = WindowPanel()
        self.input = InputPanel()
        self.watch = WatchPanel()
        self.explanation = ExplanationPanel()
        self.prediction = PredictionPanel()
        self.curves = CurvesPanel()
        self.activity = ActivityPanel()

    def __iter__(self) -> Iterator[Panel]:
        return (panel for panel in vars(self).values() if isinstance(panel, Panel))

    def panel(self, key: str) -> Panel:
        """Return the dock of that name."""
        panel = getattr(self, key)
        if not isinstance(panel, Panel):
            raise KeyError(key)
        return panel
