"""Pooling: maximum, average, adaptive average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.device import Launch
from engine.errors import ShapeError
from engine.explanation import Explanation, Operand, Patch, Stage, Terms
from engine.kernels.settings import Pool
from engine.ops.base import Op, Site, View
from engine.ops.explaining import (
    finish,
    gather,
    last,
    number,
    place,
    sum_terms,
    unknown_result,
    zero_of,
)
from engine.shapes import Pair, Reach, extent, image, resolve_padding, window_shape
from engine.typing import Array, Index, Shape


@dataclass(frozen=True)
class _Pool2d(Op):
    """What max and average pooling share: the sliding window."""

    kernel: Pair
    stride: Pair
    padding: int | str | Sequence[int]
    dilation: Pair
    ceil_mode: bool
    count_include_pad: bool = True
    divisor_override: int = 0

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return (channels, height, width)."""
        channels, height, width = image(inputs[0])
        reach = self.reach(inputs[0])
        self._check_padding(reach)
        size = window_shape(
            (height, width), self.kernel, self.stride, self.dilation, reach.padding, self.ceil_mode
        )
        self._check_windows((height, width), size, reach)
        return channels, *size

    def _check_padding(self, reach: Reach) -> None:
        """Refuse padding beyond half of what the window spans, as PyTorch does."""
        spans = [extent(k, d) for k, d in zip(self.kernel, self.dilation, strict=True)]
        most = (spans[0] // 2, spans[1] // 2)
        if any(p > m for p, m in zip(reach.padding, most * 2, strict=True)):
            raise ShapeError(
                f"padding {reach.padding} is more than half of the {spans[0]}x{spans[1]} pixels "
                f"that the window spans, so some windows would lie in the padding alone; use at "
                f"most {most}"
            )

    def _check_windows(self, size: Pair, counts: Pair, reach: Reach) -> None:
        """Refuse windows without a single pixel: dilated taps can all fall into the padding."""
        for axis, word in enumerate(("rows", "columns")):
            starts = np.arange(counts[axis]) * reach.stride[axis] - reach.padding[axis]
            cells = starts[:, None] + np.arange(reach.kernel[axis]) * reach.dilation[axis]
            if not ((cells >= 0) & (cells < size[axis])).any(axis=1).all():
                raise ShapeError(
                    f"a window with dilation {reach.dilation[axis]} meets only padding in the "
                    f"{word} of an input of {size[0]}x{size[1]} pixels; "
                    "use a smaller dilation or padding"
                )

    def reach(self, *inputs: Shape) -> Reach:
        """Return kernel, stride, dilation and resolved padding."""
        size = inputs[0][1], inputs[0][2]
        padding = resolve_padding(self.padding, size, self.kernel, self.stride, self.dilation)
        return Reach(self.kernel, self.stride, self.dilation, padding)

    def settings(self, input_shape: Shape) -> Pool:
        """Return the kernels' settings for an input of this shape (without batch axis)."""
        padding = self.reach(input_shape).padding
        return Pool(
            *self.kernel,
            *self.stride,
            *padding,
            *self.dilation,
            int(self.count_include_pad),
            self.divisor_override,
        )

    def window(self, view: View, index: Index) -> tuple[Operand, Patch, Array]:
        """Return the cells of one window in engine order, as operand and patch, and which exist."""
        n, c, y, x = index
        array = view.input()
        s = self.settings(array.shape[1:])
        ky, kx = np.indices(self.kernel).reshape(2, -1)
        iy = y * s.stride_y + ky * s.dilation_y - s.top
        ix = x * s.stride_x + kx * s.dilation_x - s.left
        inside = (iy >= 0) & (iy < array.shape[2]) & (ix >= 0) & (ix < array.shape[3])
        places = np.stack([np.full_like(ky, n), np.full_like(ky, c), iy, ix], 1)
        cells = gather(view, "input", places, inside)
        numbers = np.where(inside, np.cumsum(inside) - 1, -1)
        patch = Patch(
            "input",
            cells.tensor,
            cells.values.reshape(1, *self.kernel),
            np.array([c]),
            iy.reshape(self.kernel)[:, 0],
            ix.reshape(self.kernel)[0],
            inside.reshape(self.kernel),
            numbers.reshape(1, *self.kernel),
        )
        used = Operand(cells.tensor, cells.values[inside], cells.indices[inside])
        return used, patch, inside


@dataclass(frozen=True)
class MaxPool2d(_Pool2d):
    """Largest value of each window; padding never wins."""

    name: ClassVar[str] = "max_pool2d"
    kernels: ClassVar[tuple[str, ...]] = ("max_pool2d_forward", "max_pool2d_backward")

    def forward(self, at: Site) -> list[Launch]:
        """One launch; it also keeps which tap of the window each maximum was."""
        winner = at.scratch("winner", at.output.shape, "activation")
        return [
            Launch("max_pool2d_forward", (at.x, at.output, winner), self.settings(at.x.shape[1:]))
        ]

    def backward(self, at: Site) -> list[Launch]:
        """Each gradient goes to its window's maximum."""
        if at.grad_inputs[0] is None:
            return []
        winner = at.scratch("winner", at.output.shape, "activation")
        buffers = (at.grad, winner, at.grad_inputs[0])
        return [Launch("max_pool2d_backward", buffers, self.settings(at.x.shape[1:]))]

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain which cell won, or which windows an input pixel won."""
        if result == "output":
            cells, patch, _ = self.window(view, index)
            totals = np.array(cells.values)
            best = 0
            for i in range(1, len(totals)):
                if cells.values[i] > totals[i - 1] or cells.values[i] != cells.values[i]:
                    best = i
                else:
                    totals[i] = totals[i - 1]
            value = totals[-1]
            ties = int(np.sum(cells.values == value))
            return finish(
                view,
                result,
                index,
                kind="max",
                formula="largest value of the window",
                order="rows, then columns; the first of equal values wins",
                value=value,
                terms=Terms((cells,), cells.values, totals),
                patches=(patch,),
                decisive=best,
                stages=(Stage("= output", float(value), f"cell {best} of the window"),),
                notes=(f"{ties} cells tie",) if ties > 1 else (),
                sentence=f"{place(view.tensor_name(result), index)} is {number(value)}, "
                f"the largest of {len(totals)} cells; "
                f"it stands at {place(cells.tensor, cells.indices[best])}.",
            )
        if result == "input.gradient":
            n, c, y, x = index
            winner = view.array("saved.winner")[n, c].astype(np.int64)
            s = self.settings(view.input().shape[1:])
            oy, ox = np.indices(winner.shape)
            won_y = oy * s.stride_y + winner // s.kernel_x * s.dilation_y - s.top
            won_x = ox * s.stride_x + winner % s.kernel_x * s.dilation_x - s.left
            won = np.argwhere((won_y == y) & (won_x == x))
            return self.explain_sum(view, index, won, "windows that this pixel won")
        raise unknown_result(view, result)

    @staticmethod
    def explain_sum(view: View, index: Index, windows: Array, what: str) -> Explanation:
        """Explain an input gradient as the sum of the gradients of `windows` (rows of y, x)."""
        n, c = index[:2]
        places = np.column_stack(
            [np.full((len(windows), 1), n), np.full((len(windows), 1), c), windows]
        )
        terms = sum_terms(gather(view, "grad_output", places.reshape(-1, 4).astype(np.int64)))
        value = last(terms, zero_of(view, "input.gradient"))
        return finish(
            view,
            "input.gradient",
            index,
            kind="sum",
            formula=f"sum of the output gradients of the {what}",
            order="output row, output column",
            value=value,
            terms=terms,
            stages=(Stage("= gradient", float(value), f"{len(windows)} windows"),),
            sentence=f"{place(view.tensor_name('input.gradient'), index)} is {number(value)}: "
            f"{len(windows)} {what}.",
        )


@dataclass(frozen=True)
class AvgPool2d(_Pool2d):
    """Mean of each window, with or without the padding in the count."""

    name: ClassVar[str] = "avg_pool2d"
    kernels: ClassVar[tuple[str, ...]] = ("avg_pool2d_forward", "avg_pool2d_backward")

    def forward(self, at: Site) -> list[Launch]:
        """One launch."""
        return [Launch("avg_pool2d_forward", (at.x, at.output), self.settings(at.x.shape[1:]))]

    def backward(self, at: Site) -> list[Launch]:
        """Each gradient is spread evenly over its window."""
        if at.grad_inputs[0] is None:
            return []
        settings = self.settings(at.x.shape[1:])
        return [Launch("avg_pool2d_backward", (at.grad, at.grad_inputs[0]), settings)]

    def divisor(self, input_shape: Shape, y: int, x: int) -> int:
        """Return what the window at (y, x) is divided by."""
        s = self.settings(input_shape)
        if s.divisor:
            return s.divisor
        counts = []
        for at, k, stride, d, before, after, size in (
            (y, s.kernel_y, s.stride_y, s.dilation_y, s.top, s.bottom, input_shape[1]),
            (x, s.kernel_x, s.stride_x, s.dilation_x, s.left, s.right, input_shape[2]),
        ):
            cells = at * stride - before + np.arange(k) * d
            inside = cells < size + after if s.count_padding else (cells >= 0) & (cells < size)
            counts.append(int(inside.sum()))
        return counts[0] * counts[1]

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain a mean, or the share of each window that covers an input pixel."""
        shape = view.input().shape[1:]
        if result == "output":
            cells, patch, _ = self.window(view, index)
            return explain_mean(view, index, cells, patch, self.divisor(shape, *index[2:]))
        if result == "input.gradient":
            n, c, y, x = index
            s, grads = self.settings(shape), view.grad_output
            windows, shares = [], []
            for oy in range(grads.shape[2]):
                for ox in range(grads.shape[3]):
                    dy, dx = y - oy * s.stride_y + s.top, x - ox * s.stride_x + s.left
                    covers = 0 <= dy < s.kernel_y * s.dilation_y and dy % s.dilation_y == 0
                    covers &= 0 <= dx < s.kernel_x * s.dilation_x and dx % s.dilation_x == 0
                    if covers:
                        windows.append((n, c, oy, ox))
                        shares.append(self.divisor(shape, oy, ox))
            return explain_shares(view, index, windows, shares)
        raise unknown_result(view, result)


def explain_mean(view: View, index: Index, cells: Operand, patch: Patch, count: int) -> Explanation:
    """Explain an output that is a sum of cells divided by `count`."""
    terms = sum_terms(cells)
    total = last(terms, zero_of(view, "output"))
    value = total / total.dtype.type(count)
    return finish(
        view,
        "output",
        index,
        kind="mean",
        formula="mean of the window",
        order="rows, then columns; then divide",
        value=value,
        terms=terms,
        patches=(patch,),
        stages=(Stage("sum", float(total)), Stage("= output", float(value), f"sum / {count}")),
        sentence=f"{place(view.tensor_name('output'), index)} is {number(value)}: "
        f"the sum {number(total)} of {len(terms)} cells, divided by {count}.",
    )


def explain_shares(
    view: View, index: Index, windows: list[tuple[int, int, int, int]], counts: list[int]
) -> Explanation:
    """Explain an input gradient as a sum of output gradients, each through its window's count."""
    places = np.array(windows, np.int64).reshape(-1, 4)
    grads = gather(view, "grad_output", places)
    shares = grads.values / np.array(counts, grads.values.dtype)
    plain = sum_terms(Operand(grads.tensor, shares, grads.indices))
    terms = Terms((grads,), shares, plain.totals)
    value = last(plain, zero_of(view, "input.gradient"))
    return finish(
        view,
        "input.gradient",
        index,
        kind="sum",
        formula="sum of output gradient / count over all windows that cover this pixel",
        order="output row, output column",
        value=value,
        terms=terms,
        stages=(Stage("= gradient", float(value), f"{len(windows)} windows"),),
        sentence=f"{place(view.tensor_name('input.gradient'), index)} is {number(value)}: "
        f"its shares of {len(windows)} windows.",
    )


@dataclass(frozen=True)
class AdaptiveAvgPool2d(Op):
    """Mean over windows that divide the input into a given number of rows and columns."""

    name: ClassVar[str] = "adaptive_avg_pool2d"
    kernels: ClassVar[tuple[str, ...]] = (
        "adaptive_avg_pool2d_forward",
        "adaptive_avg_pool2d_backward",
    )

    size: tuple[int | None, int | None]

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return (channels, rows, columns); None keeps the input's size."""
        channels, height, width = image(inputs[0])
        return channels, self.size[0] or height, self.size[1] or width

    def forward(self, at: Site) -> list[Launch]:
        """One launch."""
        return [Launch("adaptive_avg_pool2d_forward", (at.x, at.output))]

    def backward(self, at: Site) -> list[Launch]:
        """Each gradient is spread evenly over its window."""
        if at.grad_inputs[0] is None:
            return []
        return [Launch("adaptive_avg_pool2d_backward", (at.grad, at.grad_inputs[0]))]

    @staticmethod
    def bounds(position: int, size: int, count: int) -> tuple[int, int]:
        """Return the half-open range of input pixels of one output position."""
        return position * size // count, -(-(position + 1) * size // count)

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain a mean, or the share of each window that covers an input pixel."""
        n, c, y, x = index
        height, width = view.input().shape[2:]
        out_h, out_w = view.output.shape[2:]
        if result == "output":
            top, bottom = self.bounds(y, height, out_h)
            left, right = self.bounds(x, width, out_w)
            rows, columns = np.arange(top, bottom), np.arange(left, right)
            iy, ix = (part.ravel() for part in np.meshgrid(rows, columns, indexing="ij"))
            cells = gather(
                view, "input", np.stack([np.full_like(iy, n), np.full_like(iy, c), iy, ix], 1)
            )
            shape = (1, len(rows), len(columns))
            patch = Patch(
                "input",
                cells.tensor,
                cells.values.reshape(shape),
                np.array([c]),
                rows,
                columns,
                np.ones(shape[1:], np.bool_),
                np.arange(iy.size).reshape(shape),
            )
            return explain_mean(view, index, cells, patch, iy.size)
        if result == "input.gradient":
            windows, counts = [], []
            for oy in range(out_h):
                for ox in range(out_w):
                    top, bottom = self.bounds(oy, height, out_h)
                    left, right = self.bounds(ox, width, out_w)
                    if top <= y < bottom and left <= x < right:
                        windows.append((n, c, oy, ox))
                        counts.append((bottom - top) * (right - left))
            return explain_shares(view, index, windows, counts)
        raise unknown_result(view, result)
