"""Which element is looked at: what a person has picked, else the cursor's, else a telling one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gui.models.interest import Interest
from gui.models.layout import TensorLayout
from gui.models.snapshot import Cursor
from gui.worker.content import index_text
from gui.worker.debuggee import OUTPUT, Debuggee
from gui.worker.spots import Spot


@dataclass(frozen=True, slots=True)
class Focus:
    """The element that is shown: the selection, what it leaves open filled from the cursor.

    Parameters
    ----------
    layer, tensor, index
    layout : TensorLayout
    at_cursor : bool
        Whether the cursor stands at or inside this very element.
    phase : str
        In which the tensor is computed.
    """

    layer: str
    tensor: str
    index: tuple[int, ...]
    layout: TensorLayout
    at_cursor: bool
    phase: str

    @property
    def title(self) -> str:
        """The element's name; outputs without their sample, as everywhere."""
        if self.tensor == OUTPUT and self.layout.batched:
            return f"{self.layer}{index_text(self.index[1:])}"
        return f"{self.layer}.{self.tensor}{index_text(self.index)}"


class Looks:
    """Finds the element, and remembers what was picked.

    A place that nobody picked is a function of the run's position alone, so that going back looks
    as going forward did.

    Parameters
    ----------
    debuggee : Debuggee

    Attributes
    ----------
    spot : Spot or None
        An element to be shown as long as the cursor stands where it was found.
    """

    def __init__(self, debuggee: Debuggee) -> None:
        self.debuggee = debuggee
        self.spot: Spot | None = None
        self._places: dict[tuple[str, str], tuple[int, ...]] = {}

    def is_spot(self, cursor: Cursor) -> bool:
        """Tell whether the cursor stands at what a condition has found."""
        return self.spot is not None and self.spot.position == cursor.position

    def at(self, interest: Interest, cursor: Cursor) -> Focus:
        """Return the element to show."""
        layers = self.debuggee.layers
        layer = interest.layer if interest.layer in layers else None
        if layer is None:
            layer = cursor.layer if cursor.layer in layers else self.debuggee.last_layer
        known = self.debuggee.tensors(layer)
        tensor = interest.tensor if interest.tensor in known else None
        if tensor is None:
            here = layer == cursor.layer and cursor.tensor in known
            tensor = cursor.tensor if here else OUTPUT
        at_cursor = layer == cursor.layer and tensor == cursor.tensor
        layout = self._layout(layer, tensor)
        index = interest.index if interest.layer == layer else None
        if index is not None and layout.contains(index):
            self._places[layer, tensor] = index
        else:
            index = self._cursor_index(layout, cursor) if at_cursor else None
        if index is None:
            index = self._default_index(layer, tensor, layout, cursor)
        phase = cursor.phase if at_cursor else self.debuggee.computed_by(layer, tensor)
        return Focus(layer, tensor, index, layout, at_cursor and index == cursor.index, phase)

    def _layout(self, layer: str, tensor: str) -> TensorLayout:
        array, _, _ = self.debuggee.read(layer, tensor)
        shape = array.shape if array is not None else self.debuggee.shape(layer, tensor)
        return TensorLayout(tuple(shape), self.debuggee.batched(layer, tensor))

    def _cursor_index(self, layout: TensorLayout, cursor: Cursor) -> tuple[int, ...] | None:
        if cursor.level in ("operation", "tensor"):
            return None
        rank = len(layout.shape)
        index = (*cursor.index, *(0,) * rank)[:rank]
        return index if layout.contains(index) else None

    def _default_index(
        self, layer: str, tensor: str, layout: TensorLayout, cursor: Cursor
    ) -> tuple[int, ...]:
        """Return the place picked last in this tensor, else its first bad or strongest element."""
        known, spot = self._places.get((layer, tensor)), self.spot
        if spot is not None and spot.index and self.is_spot(cursor):
            known = spot.index if (spot.layer, spot.tensor) == (layer, tensor) else known
        if known is not None and layout.contains(known):
            return known
        array, sample, _ = self.debuggee.read(layer, tensor)
        if array is None or not array.size:
            _, rows, columns = layout.maps_shape
            return layout.index(0, rows // 2, columns // 2)
        maps = layout.maps(array, sample)
        bad = ~np.isfinite(maps)
        strongest = bad if bad.any() else maps if tensor == OUTPUT else np.abs(maps)
        channel, rest = divmod(int(np.argmax(strongest)), maps.shape[1] * maps.shape[2])
        row, column = divmod(rest, maps.shape[2])
        return layout.index(channel, row, column, sample)
