"""Timeline: loss and accuracy while the net learns."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QWidget

from gui import theme
from gui.models.snapshot import TrainingFacts
from gui.models.state import CurvesModel
from gui.views.panel import Panel, flat_button
from gui.widgets.numbers import format_number

MANY = 1000


class CurvesPanel(Panel):
    """Two plots over the same steps; pyqtgraph is imported when the panel is first seen."""

    rate_wanted = pyqtSignal()

    def __init__(self) -> None:
        super().__init__("curves", "Timeline", (1200, 110), (260, 70))
        self._known = [0, 0, 0]
        self._revision = 0
        self._model: CurvesModel | None = None
        self.rate = flat_button("", "Learning rate of the next step; click to set another one")
        self.rate.hide()
        self.rate.clicked.connect(lambda: self.rate_wanted.emit())
        self.head.add_control(self.rate)
        self._box = QWidget()
        self._row = QHBoxLayout(self._box)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(0)
        self.put(self._box)
        self._built = False

    def build(self) -> None:
        """Make the plots; called once the window is up."""
        if self._built:
            return
        from gui.widgets.curves import CurveView

        theme.configure_plots()
        self._built = True
        self.loss, self.accuracy = CurveView(), CurveView()
        self.loss.setAccessibleName("Loss over training steps")
        self.accuracy.setAccessibleName("Accuracy over training steps")
        self.loss.add_curve("loss", "loss", "selection", raw=True)
        self.accuracy.add_curve("training", "training batches", "muted", raw=False)
        self.accuracy.add_curve("validation", "test set", "good", raw=False, points=True)
        hint = "Ctrl+B trains one batch, Start in the Train layout trains on."
        self.loss.set_empty_text(f"The loss of every batch appears here. {hint}")
        self.accuracy.set_empty_text("Accuracy appears here while the net learns.")
        self._row.addWidget(self.loss, 3)
        self._row.addWidget(self.accuracy, 2)
        if self._model is not None:
            self.show_curves(self._model)

    def reset(self) -> None:
        """Forget the curves of the run before."""
        self._known = [0, 0, 0]
        self.head.set_detail("")
        if self._built:
            self.loss.clear()
            self.loss.set_log(False)
            self.accuracy.clear()

    def show_rate(self, facts: TrainingFacts | None) -> None:
        """Show the learning rate, and whether it has come to its end."""
        self.rate.setVisible(facts is not None)
        if facts is None:
            return
        text = f"rate {facts.rate:.3g}" if facts.rate else "rate 0"
        if facts.idle:
            text += (
                ": nothing is learnt" if not facts.ended else ": schedule ended, nothing is learnt"
            )
        elif facts.ended:
            text += ": schedule ended"
        if text != self.rate.text():
            self.rate.setText(text)
            self.rate.setAccessibleName(f"Learning {text}")
        self.rate.setToolTip(f"{facts.schedule}; click to set another learning rate")
        if self.rate.property("alarm") != facts.idle:
            self.rate.setProperty("alarm", facts.idle)
            style = self.rate.style()
            if style is not None:
                style.unpolish(self.rate)
                style.polish(self.rate)

    def show_curves(self, model: CurvesModel) -> None:
        """Draw what is new."""
        self._model = model
        if not self._built:
            return
        if model.revision != self._revision:  # steps were made again, or another run is open
            self._revision, self._known = model.revision, [0, 0, 0]
            self.loss.clear()
            self.accuracy.clear()
        curves = (
            (self.loss, "loss", model.steps, model.losses),
            (self.accuracy, "training", model.accuracy_steps, model.accuracies),
            (self.accuracy, "validation", model.validation_steps, model.validation_accuracies),
        )
        if self._known[0] == 0 and len(model.losses) > MANY:
            self.loss.set_log(True)  # a long run: what matters is far below where it began
        for number, (view, key, xs, ys) in enumerate(curves):
            start = self._known[number]
            if len(xs) > start:
                view.extend(key, xs[start:], ys[start:])
                self._known[number] = len(xs)
        self.head.set_detail(self._facts(model))

    def _facts(self, model: CurvesModel) -> str:
        from engine.debug.wording import batch_words  # the engine is there once a run is open

        parts = []
        if model.losses:
            parts.append(f"after {batch_words(model.epoch, model.batch)}")
            parts.append(f"loss {format_number(model.losses[-1])}")
        if model.validation_accuracies:
            accuracy = f"test accuracy {100 * model.validation_accuracies[-1]:.2f} %"
            parts.append(f"{accuracy} of {model.tested:,}" if model.tested else accuracy)
            if model.note:
                parts.append(model.note)
        elif model.accuracies:
            parts.append(f"training accuracy {100 * model.accuracies[-1]:.1f} %")
        if model.samples_per_second:
            parts.append(f"{model.samples_per_second:,.0f} pictures/s")
        return " · ".join(parts)
