"""What the net says about the shown picture."""

from __future__ import annotations

from gui.models.snapshot import Prediction
from gui.views.panel import Panel
from gui.widgets.bars import PredictionBars


class PredictionPanel(Panel):
    """One bar for each class."""

    def __init__(self) -> None:
        super().__init__("prediction", "Prediction", (240, 190), (150, 110))
        self.view = PredictionBars()
        self.view.set_empty_text("The prediction appears here once a run is open.")
        self.put(self.view)

    def show_prediction(self, prediction: Prediction | None) -> None:
        """Show probabilities; None where the output is no vector."""
        if prediction is None:
            self.view.set_empty_text("The output of this net is no list of classes.")
            self.view.set_values(None)
            self.head.set_detail("")
            return
        self.view.set_values(prediction.probabilities, prediction.labels, prediction.truth)
        self.head.set_detail(prediction.source)
