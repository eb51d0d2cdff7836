"""Pieces of a snapshot made from plain arrays: thumbnails, statistics, kernels, ranges."""

from __future__ import annotations

import numpy as np

from gui.models.layout import Array, Mode, TensorLayout, best_mode, own_limits
from gui.models.snapshot import KernelsView, LocalRow, NodeInfo, Thumbnail

MOST_TILES = 16
"""Maps in a thumbnail; more could not be told apart."""
THUMBNAIL_PIXELS = 32
FORGET = 0.97
"""How fast a colour range shrinks while training, per picture; it grows at once."""


def health(maps: Array) -> str:
    """Return the badge of a computed tensor: N for NaN or Inf, D and the number of dead maps."""
    if not np.isfinite(maps).all():
        return "N"
    if maps.shape[0] > 1 and maps.shape[1] * maps.shape[2] > 1:
        dead = int((~maps.reshape(maps.shape[0], -1).any(axis=1)).sum())
        if dead:
            return f"D {dead}"
    return "ok"


def picture_mode(node: NodeInfo, maps: Array) -> Mode:
    """Return how the maps of a node become colours; inputs are pictures and grey."""
    mode = best_mode(maps)
    return "grey" if not node.inputs and mode == "nonnegative" else mode


def thumbnail(node: NodeInfo, batch: Array, sample: int, computed: bool, note: str) -> Thumbnail:
    """Return the small picture of a node's output."""
    maps = TensorLayout(batch.shape, True).maps(batch, sample)
    badge = health(maps) if computed else ""
    mode = picture_mode(node, maps)
    shown = maps[:MOST_TILES]
    step = max(-(-max(shown.shape[1:]) // THUMBNAIL_PIXELS), 1)
    return Thumbnail(node.name, np.ascontiguousarray(shown[:, ::step, ::step]), mode, badge, note)


def statistics(name: str, array: Array | None, shape: tuple[int, ...], ahead: bool) -> LocalRow:
    """Return the row of the watch list for a tensor; None says that it is not computed."""
    if array is None or not array.size:
        return LocalRow(name, shape)
    finite = array[np.isfinite(array)]
    bad = int(array.size - finite.size)
    zeros = float(np.count_nonzero(array == 0)) / array.size
    if not finite.size:
        return LocalRow(name, shape, np.nan, np.nan, np.nan, np.nan, zeros, bad, ahead)
    return LocalRow(
        name,
        shape,
        float(finite.min()),
        float(finite.mean(dtype=np.float64)),
        float(finite.max()),
        float(finite.std(dtype=np.float64)),
        zeros,
        bad,
        ahead,
    )


def kernels_view(layer: str, name: str, weight: Array, borrowed: bool) -> KernelsView:
    """Return weights of any rank as kernels (o, i, kh, kw); a matrix is one large kernel."""
    layout = TensorLayout(weight.shape, False)
    if weight.ndim >= 3:
        rows, columns = (
            (weight.shape[-2], weight.shape[-1])
            if weight.ndim > 3
            else (
                1,
                weight.shape[-1],
            )
        )
        shaped = weight.reshape(weight.shape[0], -1, rows, columns)
    else:
        shaped = layout.maps(weight)[np.newaxis]
    norm = float(np.sqrt(np.square(weight, dtype=np.float64).sum()))
    return KernelsView(layer, name, np.array(shaped, copy=True), norm, borrowed, layout)


def probabilities(output: Array) -> Array | None:
    """Return the class probabilities of one output vector; None if it is no vector.

    A vector that is a distribution already is kept, anything else counts as logits.
    """
    if output.ndim != 1 or output.size < 2 or output.size > 1000:
        return None
    values = output.astype(np.float64)
    if np.isfinite(values).all() and values.min() >= 0 and abs(values.sum() - 1) < 1e-3:
        return values
    if not np.isfinite(values).all():
        return np.full(values.size, np.nan)
    shifted = np.exp(values - values.max())
    return np.asarray(shifted / shifted.sum())


class Ranges:
    """Colour ranges that follow a training slowly, so that pictures do not flicker."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[float, float]] = {}

    def clear(self) -> None:
        """Forget all ranges."""
        self._known.clear()

    def of(
        self, key: tuple[str, str], maps: Array, mode: Mode, slowly: bool
    ) -> tuple[float, float]:
        """Return the range of `maps`; `slowly` lets it shrink by a few percent at a time only."""
        low, high = own_limits(maps, mode)
        if slowly and key in self._known:
            old_low, old_high = self._known[key]
            low, high = min(low, old_low * FORGET), max(high, old_high * FORGET)
        self._known[key] = (low, high)
        return (low, high)
