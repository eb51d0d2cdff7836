"""The kernels of a layer: every output and input channel, one kernel enlarged."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal

from gui.models.snapshot import KernelsView
from gui.views.panel import Panel
from gui.widgets.kernel_view import KernelView
from gui.widgets.numbers import format_number


class KernelsPanel(Panel):
    """Weights as pictures, signed and symmetric about zero."""

    kernel_picked = pyqtSignal(int, int)
    hovered = pyqtSignal(int, int, int, int)
    hover_left = pyqtSignal()

    def __init__(self) -> None:
        super().__init__("kernels", "Kernels", (300, 220), (160, 120))
        self.view = KernelView()
        self.view.set_empty_text("No layer up to here has weights.")
        self.put(self.view)
        self.view.selected.connect(self.kernel_picked)
        self.view.hovered.connect(self.hovered)
        self.view.hover_left.connect(self.hover_left)

    def show_kernels(
        self,
        kernels: KernelsView | None,
        chosen: tuple[int, int],
        cursor: tuple[int, int, int, int] | None = None,
    ) -> None:
        """Show the weights of a layer, one kernel enlarged: that of the cursor, if there is one.

        Parameters
        ----------
        kernels : KernelsView or None
        chosen : (output, input)
        cursor : (output, input, row, column) or None
            The weight that the next term uses.
        """
        if kernels is None:
            self.head.set_title("Kernels")
            self.head.set_detail("")
            self.view.set_kernels(None)
            return
        outputs, inputs, rows, columns = kernels.kernels.shape
        gradient = " · gradient" if kernels.name.endswith(".gradient") else ""
        self.head.set_title(f"Kernels · {kernels.layer}{gradient}")
        detail = f"{outputs}×{inputs} of {rows}×{columns} · norm {format_number(kernels.norm, 3)}"
        if kernels.borrowed:
            detail = "the nearest layer with weights · " + detail
        self.head.set_detail(detail)
        self.view.set_kernels(kernels.kernels)
        chosen = cursor[:2] if cursor is not None else chosen
        self.view.set_cursor(*cursor or (None,))
        self.view.set_selected(min(chosen[0], outputs - 1), min(chosen[1], inputs - 1))
