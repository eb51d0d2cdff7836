"""Two-dimensional convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.device import Buffer, Launch, replay
from engine.errors import ConfigurationError, ShapeError
from engine.explanation import Explanation, Patch, Role, Stage
from engine.kernels.scalar import CHUNKS
from engine.kernels.settings import Columns, Window
from engine.ops import winograd
from engine.ops.base import Op, Site, View
from engine.ops.explaining import (
    add_chunks,
    chunked,
    finish,
    gather,
    last,
    number,
    place,
    product_terms,
    standing,
    strongest,
    sum_terms,
    unknown_result,
    zero_of,
)
from engine.shapes import Pair, Reach, image, resolve_padding, window_shape, with_batch
from engine.typing import Array, Index, Shape

LARGEST_REACH = 30 * 2**20
"""Bytes of an image that one row of windows may span: a little less than a thread's scratch."""
FEW_CHANNELS = 8
"""Up to this many input channels, the input gradient goes by columns."""


@dataclass(frozen=True)
class Conv2d(Op):
    """Cross-correlation (or, with `flip_kernel`, true convolution) over (n, c, h, w)."""

    name: ClassVar[str] = "conv2d"
    kernels: ClassVar[tuple[str, ...]] = (
        "conv2d_forward",
        "conv2d_turn_weight",
        "conv2d_backward_input",
        "depthwise2d_forward",
        "depthwise2d_backward_input",
        "depthwise2d_backward_weight",
        "conv2d_weight_columns",
        "conv2d_backward_input_columns",
        "conv2d_backward_weight",
        "conv2d_backward_bias",
        "sum_chunks",
        *winograd.KERNELS,
    )

    in_channels: int
    out_channels: int
    kernel: Pair
    stride: Pair
    padding: int | str | Sequence[int]
    dilation: Pair
    groups: int
    bias: bool
    flip_kernel: bool

    # -- shapes ------------------------------------------------------------------------------

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return (out_channels, height, width)."""
        channels, height, width = image(inputs[0])
        if channels != self.in_channels:
            raise ShapeError(
                f"expected {self.in_channels} input channels (n, {self.in_channels}, h, w), "
                f"received {with_batch(inputs[0])}; "
                f"use Conv2d({channels}, {self.out_channels}, ...)"
            )
        reach = self.reach(inputs[0])
        return (
            self.out_channels,
            *window_shape((height, width), self.kernel, self.stride, self.dilation, reach.padding),
        )

    def reach(self, *inputs: Shape) -> Reach:
        """Return kernel, stride, dilation and resolved padding."""
        size = inputs[0][1], inputs[0][2]
        padding = resolve_padding(self.padding, size, self.kernel, self.stride, self.dilation)
        return Reach(self.kernel, self.stride, self.dilation, padding)

    def multiply_adds(self, output: Shape, *inputs: Shape) -> int:
        """Return one multiply-add per output element and tap."""
        taps = self.kernel[0] * self.kernel[1] * self.in_channels // self.groups
        return int(np.prod(output, dtype=np.int64)) * taps

    def window(self, input_shape: Shape) -> Window:
        """Return the kernels' settings for an input of this shape (without batch axis)."""
        top, left, _, _ = self.reach(input_shape).padding
        return Window(
            *self.stride,
            top,
            left,
            *self.dilation,
            self.groups,
            int(self.flip_kernel),
            int(self.bias),
        )

    # -- launches ----------------------------------------------------------------------------

    def forward(self, at: Site) -> list[Launch]:
        """One launch: all taps, then the bias; or Winograd's method, if it is asked for."""
        self._check_reach(at)
        if tile := winograd.tile_for(self, at.convolution, "output", at.x.shape):
            return winograd.forward(self, at, tile)
        bias = at.parameters["bias"] if self.bias else at.scratch("no_bias", (1,))
        buffers = (at.x, at.parameters["weight"], bias, at.output)
        window, work = self.window(at.x.shape[1:]), self._work(at)
        kernel = "depthwise2d_forward" if self.depthwise else "conv2d_forward"
        return [Launch(kernel, buffers, window, work)]

    def _check_reach(self, at: Site) -> None:
        """Refuse windows that span more of an image than a thread's scratch can hold.

        What counts is one row of windows, forward, and the gradient's rows that meet one row of
        pixels, backward: bytes.
        """
        item = 8 if at.x.dtype == "float64" else 4
        (_, c, _, w), (_, k, _, out_w) = at.x.shape, at.output.shape
        spans = [(n - 1) * d for n, d in zip(self.kernel, self.dilation, strict=True)]
        if c * item > 64:
            # A weight gradient copies channels in panels, of 128 bytes at most.
            c = -(-c * item // 128) * 128 // item
        ahead = (spans[0] + 1) * ((out_w - 1) * self.stride[1] + spans[1] + 1) * c
        back = (spans[0] // self.stride[0] + 3) * ((w + spans[1]) // self.stride[1] + 2) * k
        # Beside the image, a weight gradient keeps the output gradient of that row.
        needed = max(ahead, back) * item + out_w * max(k * item, 128)
        if needed > LARGEST_REACH:
            raise ConfigurationError(
                f"conv2d: one row of windows spans {needed / 2**20:.0f} MiB of the image, at most "
                f"{LARGEST_REACH / 2**20:.0f} are possible; use smaller images, fewer channels or "
                "less dilation"
            )

    @property
    def depthwise(self) -> bool:
        """Whether every channel has a kernel of its own."""
        return self.groups == self.in_channels == self.out_channels > 1

    def _work(self, at: Site) -> int:
        """Return the multiply-adds of one pass over the batch."""
        return at.batch * self.multiply_adds(at.output.shape[1:])

    def backward(self, at: Site) -> list[Launch]:
        """Weight and bias sum over the batch in chunks; the input takes a turned weight."""
        launches: list[Launch] = []
        group_in, out = self.in_channels // self.groups, self.out_channels
        window, work = self.window(at.x.shape[1:]), self._work(at)
        tile = winograd.tile_for(self, at.convolution, "weight.gradient", at.x.shape)
        if "weight" in at.gradients and tile:
            launches += winograd.backward_weight(self, at, tile)
        elif "weight" in at.gradients:
            kernel = "depthwise2d" if self.depthwise else "conv2d"
            partial = at.scratch("weight_chunks", (CHUNKS, out, group_in, *self.kernel), "kernels")
            launches += [
                Launch(f"{kernel}_backward_weight", (at.x, at.grad, partial), window, work),
                Launch("sum_chunks", (partial, at.gradients["weight"])),
            ]
        if "bias" in at.gradients:
            partial = at.scratch("bias_chunks", (CHUNKS, out))
            launches += [
                Launch("conv2d_backward_bias", (at.grad, partial)),
                Launch("sum_chunks", (partial, at.gradients["bias"])),
            ]
        target = at.grad_inputs[0]
        tile = winograd.tile_for(self, at.convolution, "input.gradient", at.x.shape)
        if target is not None and tile:
            launches += winograd.backward_input(self, at, tile, target)
        elif target is not None:
            launches += self._input_gradient(at, target, window, work)
        return launches

    @property
    def by_columns(self) -> bool:
        """Whether the input gradient goes by columns: with so few channels, most lanes are idle."""
        return self.in_channels <= FEW_CHANNELS and self.groups == 1 and self.dilation == (1, 1)

    def _input_gradient(self, at: Site, target: Buffer, s: Window, work: int) -> list[Launch]:
        """Turn the weight, as its values change every step; then make the gradient."""
        weight, out = at.parameters["weight"], self.out_channels
        if self.depthwise:
            return [Launch("depthwise2d_backward_input", (at.grad, weight, target), s, work)]
        if self.by_columns:
            window = Columns(s.stride_y, s.stride_x, s.top, s.left, *self.kernel, s.flip)
            shape = (self.kernel[1] * self.in_channels, out, self.kernel[0], 1)
            columns = at.scratch("weight_columns", shape, "kernel")
            buffers = (at.grad, columns, target)
            return [
                Launch("conv2d_weight_columns", (weight, columns), window),
                Launch("conv2d_backward_input_columns", buffers, window, work),
            ]
        shape = (self.in_channels // self.groups, out, *self.kernel)
        turned = at.scratch("turned_weight", shape, "kernel")
        return [
            Launch("conv2d_turn_weight", (weight, turned), s),
            Launch("conv2d_backward_input", (at.grad, turned, target), s, work),
        ]

    # -- explanation -------------------------------------------------------------------------

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain an output pixel, or one number of the three gradients."""
        explaining = {
            "output": self._explain_output,
            "weight.gradient": self._explain_weight_gradient,
            "bias.gradient": self._explain_bias_gradient,
            "input.gradient": self._explain_input_gradient,
        }
        if result not in explaining:
            raise unknown_result(view, result)
        return winograd.explain(self, view, result, index, explaining[result](view, index))

    def _taps(self, channels: int) -> tuple[Array, Array, Array]:
        """Return ky, kx and channel of every term, in engine order."""
        ky, kx, i = np.indices((*self.kernel, channels)).reshape(3, -1)
        return ky, kx, i

    def _weight_tap(self, ky: Array, kx: Array) -> tuple[Array, Array]:
        """Return which weight meets window place (ky, kx)."""
        if self.flip_kernel:
            return self.kernel[0] - 1 - ky, self.kernel[1] - 1 - kx
        return ky, kx

    def _explain_output(self, view: View, index: Index) -> Explanation:
        n, o, y, x = index
        image_array, weight = view.input(), view.array("weight")
        settings = self.window(image_array.shape[1:])
        group_in = weight.shape[1]
        first_channel = o // (self.out_channels // self.groups) * group_in
        ky, kx, i = self._taps(group_in)
        iy = y * settings.stride_y + ky * settings.dilation_y - settings.top
        ix = x * settings.stride_x + kx * settings.dilation_x - settings.left
        used = (iy >= 0) & (iy < image_array.shape[2]) & (ix >= 0) & (ix < image_array.shape[3])
        wy, wx = self._weight_tap(ky, kx)
        left = gather(
            view, "input", np.stack([np.full_like(ky, n), first_channel + i, iy, ix], 1), used
        )
        right = gather(view, "weight", np.stack([np.full_like(ky, o), i, wy, wx], 1))
        terms = product_terms(left, right)
        value = last(terms, zero_of(view, "output"))
        stages = [Stage("sum", float(value), f"{len(terms)} products")]
        if self.bias:
            bias = view.array("bias")[o]
            value = replay.sums(np.array([value, bias]))[-1]
            stages += [Stage("+ bias", float(bias), place(view.tensor_name("bias"), (o,)))]
        stages.append(Stage("= output", float(value), "sum + bias" if self.bias else "sum"))
        shape = (*self.kernel, group_in)
        grid = np.arange(len(terms)).reshape(shape).transpose(2, 0, 1)
        rows, columns = iy.reshape(shape)[:, 0, 0], ix.reshape(shape)[0, :, 0]
        inside = used.reshape(shape)[:, :, 0]
        channels = first_channel + np.arange(group_in)
        patches = (
            self._patch("input", left.tensor, left.values, channels, rows, columns, inside, grid),
            self._patch(
                "weight",
                right.tensor,
                right.values,
                np.arange(group_in),
                wy.reshape(shape)[:, 0, 0],
                wx.reshape(shape)[0, :, 0],
                np.ones_like(inside),
                grid,
            ),
        )
        name = place(view.tensor_name("output"), index)
        notes = ("taps in the padding count as 0",) if not used.all() else ()
        return finish(
            view,
            "output",
            index,
            kind="sum",
            formula="sum of input × weight" + (", then + bias" if self.bias else ""),
            order="kernel row, kernel column, input channel; bias last",
            value=value,
            terms=terms,
            stages=tuple(stages),
            patches=patches,
            notes=notes,
            sources=(standing(view, "bias", (o,)),) if self.bias else (),
            sentence=f"{name} is {number(value)}. {strongest(terms)}",
        )

    @staticmethod
    def _patch(
        role: Role,
        tensor: str,
        values: Array,
        channels: Array,
        rows: Array,
        columns: Array,
        inside: Array,
        grid: Array,
    ) -> Patch:
        """Return a patch from values in the order (ky, kx, channel)."""
        shape = (inside.shape[0], inside.shape[1], len(channels))
        return Patch(
            role,
            tensor,
            values.reshape(shape).transpose(2, 0, 1),
            channels,
            rows,
            columns,
            inside,
            grid,
        )

    def _explain_input_gradient(self, view: View, index: Index) -> Explanation:
        n, c, y, x = index
        grads, weight = view.grad_output, view.array("weight")
        settings = self.window(view.input().shape[1:])
        group_in, group_out = weight.shape[1], self.out_channels // self.groups
        group, i = c // group_in, c % group_in
        ky, kx, o = self._taps(group_out)
        if self.by_columns:
            # Kernel column by kernel column.
            kx, ky, o = np.indices((*self.kernel[::-1], group_out)).reshape(3, -1)
        # From the last tap to the first, as the kernels add.
        ky, kx = self.kernel[0] - 1 - ky, self.kernel[1] - 1 - kx
        reach_y = y + settings.top - ky * settings.dilation_y
        reach_x = x + settings.left - kx * settings.dilation_x
        oy, ox = reach_y // settings.stride_y, reach_x // settings.stride_x
        met = (reach_y % settings.stride_y == 0) & (reach_x % settings.stride_x == 0)
        used = met & (oy >= 0) & (oy < grads.shape[2]) & (ox >= 0) & (ox < grads.shape[3])
        wy, wx = self._weight_tap(ky, kx)
        channel = group * group_out + o
        left = gather(
            view, "grad_output", np.stack([np.full_like(ky, n), channel, oy, ox], 1), used
        )
        right = gather(view, "weight", np.stack([channel, np.full_like(ky, i), wy, wx], 1))
        order = "kernel row and column from the last to the first, output channel"
        stages: tuple[Stage, ...] = ()
        if self.by_columns:
            # The products of each kernel column are summed first; then these sums.
            column = self.kernel[0] * group_out
            terms = product_terms(left, right, used, tuple(range(0, len(o), column)))
            ends = terms.totals[column - 1 :: column]
            value = replay.sums(np.ascontiguousarray(ends))[-1]
            parts = " + ".join(number(float(end)) for end in ends)
            stages = (Stage("sum of kernel columns", float(value), parts),)
            order = "kernel row from the last to the first, output channel within a kernel column; "
            order += "then the columns from the last to the first"
        else:
            terms = product_terms(left, right, met)
            value = last(terms, zero_of(view, "input.gradient"))
        shape = (*self.kernel, group_out)

        def placed(values: Array) -> Array:
            """Return values in term order as (ky, kx, channel)."""
            if self.by_columns:
                return values.reshape(shape[1], shape[0], group_out).swapaxes(0, 1)
            return values.reshape(shape)

        grid = placed(np.arange(len(terms))).transpose(2, 0, 1)
        inside, channels = placed(used)[:, :, 0], group * group_out + np.arange(group_out)
        rows, columns = placed(oy)[:, 0, 0], placed(ox)[0, :, 0]
        tap_rows, tap_columns = placed(wy)[:, 0, 0], placed(wx)[0, :, 0]
        numbers, weights = placed(left.values), placed(right.values)
        everywhere = np.ones_like(inside)
        patches = (
            self._patch("gradient", left.tensor, numbers, channels, rows, columns, inside, grid),
            self._patch(
                "weight",
                right.tensor,
                weights,
                channels,
                tap_rows,
                tap_columns,
                everywhere,
                grid,
            ),
        )
        return finish(
            view,
            "input.gradient",
            index,
            kind="sum",
            formula="sum of output gradient × weight over all windows that saw this pixel",
            order=order,
            value=value,
            terms=terms,
            patches=patches,
            stages=(
                *stages,
                Stage(
                    "= gradient", float(value), f"{int(used.sum())} products that reach this pixel"
                ),
            ),
            sentence=f"The loss changes by {number(value)} per unit of this pixel. "
            f"{strongest(terms)}",
        )

    def _explain_weight_gradient(self, view: View, index: Index) -> Explanation:
        o, i, wy, wx = index
        image_array, grads = view.input(), view.grad_output
        settings = self.window(image_array.shape[1:])
        group_in = self.in_channels // self.groups
        channel = o // (self.out_channels // self.groups) * group_in + i
        ky, kx = (int(k) for k in self._weight_tap(np.array(wy), np.array(wx)))
        rows = (
            np.arange(grads.shape[2]) * settings.stride_y + ky * settings.dilation_y - settings.top
        )
        columns = (
            np.arange(grads.shape[3]) * settings.stride_x + kx * settings.dilation_x - settings.left
        )
        samples, per_sample = len(grads), rows.size * columns.size
        n, oy, ox = np.indices((samples, rows.size, columns.size)).reshape(3, -1)
        inside = ((rows >= 0) & (rows < image_array.shape[2]))[:, None] & (
            (columns >= 0) & (columns < image_array.shape[3])
        )
        places = np.stack([n, np.full_like(n, channel), rows[oy], columns[ox]], 1)
        left = gather(view, "input", places, np.tile(inside.ravel(), samples))
        right = gather(view, "grad_output", np.stack([n, np.full_like(n, o), oy, ox], 1))
        terms = product_terms(left, right, None, chunked(samples, per_sample))
        value, stage = add_chunks(terms, zero_of(view, "weight.gradient"))
        shown = min(samples, 4)
        grid = np.arange(shown * per_sample).reshape(shown, rows.size, columns.size)
        seen, met = (side.values[: grid.size].reshape(grid.shape) for side in (left, right))
        grad_rows, grad_columns = np.arange(rows.size), np.arange(columns.size)
        first, everywhere = np.arange(shown), np.ones_like(inside)
        patches = (
            Patch("input", left.tensor, seen, first, rows, columns, inside, grid),
            Patch("gradient", right.tensor, met, first, grad_rows, grad_columns, everywhere, grid),
        )
        return finish(
            view,
            "weight.gradient",
            index,
            kind="sum",
            formula="sum over samples and positions of input × output gradient",
            order=f"sample, output row, output column within {CHUNKS} chunks of the batch; "
            "then the chunks",
            value=value,
            terms=terms,
            stages=(stage, Stage("= gradient", float(value))),
            patches=patches,
            notes=(f"grids show samples 0 to {shown - 1} of {samples}",) if samples > shown else (),
            sentence=f"{place(view.tensor_name('weight.gradient'), index)} is {number(value)}, "
            f"the sum of {len(terms)} products.",
        )

    def _explain_bias_gradient(self, view: View, index: Index) -> Explanation:
        grads = view.grad_output
        n, y, x = np.indices((grads.shape[0], *grads.shape[2:])).reshape(3, -1)
        operand = gather(view, "grad_output", np.stack([n, np.full_like(n, index[0]), y, x], 1))
        terms = sum_terms(operand, chunked(grads.shape[0], grads.shape[2] * grads.shape[3]))
        value, stage = add_chunks(terms, zero_of(view, "bias.gradient"))
        return finish(
            view,
            "bias.gradient",
            index,
            kind="sum",
            formula="sum of the output gradient over samples and positions",
            order=f"sample, row, column within {CHUNKS} chunks of the batch; then the chunks",
            value=value,
            terms=terms,
            stages=(stage, Stage("= gradient", float(value))),
            sentence=f"The bias moves {len(terms)} pixels alike, so its gradient is their sum, "
            f"{number(value)}.",
        )
