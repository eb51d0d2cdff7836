"""Winograd's way to compute a 3 x 3 convolution: when it pays, its launches, its explanation.

Tiles of 2 x 2 outputs take 16 multiplications for what directly are 36, tiles of 4 x 4 take 36 for
144 (Lavin and Gray 2016, arXiv:1509.09308); transforms before and after cost some of that back. The
numbers differ from direct convolution by rounding: with tiles of 2 no more than two direct sums in
different order differ, with tiles of 4 up to about ten times as much.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine import arguments
from engine.device import Buffer, Launch, replay
from engine.explanation import Explanation, Operand, Stage
from engine.kernels.scalar import CHUNKS
from engine.kernels.settings import WinogradChunks, WinogradKernels, WinogradTiles
from engine.ops.base import Site, View
from engine.ops.explaining import accumulated, gather, number, place, retold, strongest
from engine.typing import Array, Index, Scalar, Shape

if TYPE_CHECKING:
    from engine.ops.conv import Conv2d

CONVOLUTIONS = ("direct", "winograd", "winograd2", "winograd4")
"""How convolutions may run: directly; by Winograd's method where it is faster, with the better tile
size; or by Winograd's method with tiles of 2 (or 4) wherever it is possible at all."""

COSTS = {2: (16, 85, 65, 3_500), 4: (36, 380, 320, 8_000)}
"""What a tile costs, in multiply-adds: products per pair of channels, transforms per channel of the
input and of the output, and the rest (measured on AVX2; ratios are much the same elsewhere)."""
GAIN = 1.2
"""What has larger rounding errors has to be so many times cheaper, by this reckoning: tiles of 2
than direct convolution, tiles of 4 than either."""
LARGEST = {2: 16 * 512 * 512, 4: 36 * 192 * 192}
"""The most numbers that transformed kernels may have. All are read again for every few dozen tiles:
beyond this they leave the caches, and larger tiles lose what they win."""
MOST_CHANNELS = 4096
"""Of input and output together: a tile of all has to fit into a thread's scratch."""
SLICE = 128
"""A weight gradient of more channels than this is cut into slices, which threads share instead of
sharing chunks of the batch."""
KERNELS = ("winograd_weight", "winograd_convolve", "winograd_backward_weight")
RESULTS = ("output", "input.gradient", "weight.gradient")


def check_convolution(value: str) -> str:
    """Return `value` if it names a way to convolve.

    Raises
    ------
    ConfigurationError
        If it does not.
    """
    return arguments.choice("convolution", value, CONVOLUTIONS)


def tile_for(op: Conv2d, convolution: str, result: str, x: Shape) -> int:
    """Return the tile size with which a result is computed, 0 for direct convolution.

    It depends on channels and image size alone, never on the batch, the number type or the machine:
    a sample's numbers are the same in any company.

    Parameters
    ----------
    op : Conv2d
    convolution : str
        One of `CONVOLUTIONS`.
    result : {"output", "input.gradient", "weight.gradient"}
    x : Shape
        Of the input, with or without batch axis.
    """
    possible = op.kernel == (3, 3) and op.stride == op.dilation == (1, 1) and op.groups == 1
    fits = op.in_channels + op.out_channels <= MOST_CHANNELS
    if convolution == "direct" or not (possible and fits) or result not in RESULTS:
        return 0
    if convolution != "winograd":
        return int(convolution.removeprefix("winograd"))
    shape = tuple(x[-3:])
    inputs, outputs = op.in_channels, op.out_channels
    size = op.output_shape(shape)[1:]
    if result == "input.gradient":
        inputs, outputs, size = outputs, inputs, shape[1:]
    best, tile = 9.0 * inputs * outputs * size[0] * size[1], 0
    for candidate, (products, before, after, rest) in COSTS.items():
        if products * inputs * outputs > LARGEST[candidate]:
            continue
        tiles = tiles_of(size[0], candidate) * tiles_of(size[1], candidate)
        each = products * inputs * outputs + before * inputs + after * outputs + rest
        if tiles * each * GAIN < best:
            best, tile = float(tiles * each), candidate
    return tile


def chunk_count(op: Conv2d) -> int:
    """Return in how many chunks of tiles a weight gradient is summed: fewer for many channels."""
    slices = -(-op.in_channels // SLICE) * -(-op.out_channels // SLICE)
    return max(1, CHUNKS // slices)


def padding_of(op: Conv2d, result: str, x: Shape) -> tuple[int, int]:
    """Return the zeros above and to the left of what a result slides its window over."""
    top, left, _, _ = op.reach(tuple(x[-3:])).padding
    return (2 - top, 2 - left) if result == "input.gradient" else (top, left)


def tiles_of(size: int, tile: int) -> int:
    """Return how many tiles cover `size` outputs; the last may reach beyond."""
    return -(-size // tile)


# ---------------------------------------------------------------------------- launches


def _work(at: Site, op: Conv2d, tile: int, image: Buffer) -> int:
    """Return the multiply-adds of the products."""
    tiles = tiles_of(image.shape[2], tile) * tiles_of(image.shape[3], tile) * at.batch
    return tiles * (tile + 2) ** 2 * op.in_channels * op.out_channels


def _transformed(op: Conv2d, at: Site, tile: int, turned: bool) -> tuple[Buffer, Launch]:
    """Return memory for transformed kernels and the launch that fills it."""
    inputs, outputs, size = op.in_channels, op.out_channels, tile + 2
    shape = (inputs, outputs, size, size) if turned else (outputs, inputs, size, size)
    name = "winograd_turned_weight" if turned else "winograd_weight"
    buffer = at.scratch(name, shape, "kernel")
    # The gradient of the input slides the kernels turned by 180 degrees over the output's.
    flip = op.flip_kernel != turned
    settings = WinogradKernels(tile, inputs, outputs, int(turned), int(flip))
    return buffer, Launch("winograd_weight", (at.parameters["weight"], buffer), settings)


def forward(op: Conv2d, at: Site, tile: int) -> list[Launch]:
    """Transform the kernels; then tile by tile, bias included."""
    transformed, launch = _transformed(op, at, tile, turned=False)
    bias = at.parameters["bias"] if op.bias else at.scratch("no_bias", (1,))
    settings = WinogradTiles(tile, *padding_of(op, "output", at.x.shape), int(op.bias))
    buffers, work = (at.x, transformed, bias, at.output), _work(at, op, tile, at.output)
    return [launch, Launch("winograd_convolve", buffers, settings, work)]


def backward_input(op: Conv2d, at: Site, tile: int, target: Buffer) -> list[Launch]:
    """Convolve the output gradient with the turned kernels."""
    transformed, launch = _transformed(op, at, tile, turned=True)
    settings = WinogradTiles(tile, *padding_of(op, "input.gradient", at.x.shape), 0)
    buffers = (at.grad, transformed, at.scratch("no_bias", (1,)), target)
    work = _work(at, op, tile, target)
    return [launch, Launch("winograd_convolve", buffers, settings, work)]


def backward_weight(op: Conv2d, at: Site, tile: int) -> list[Launch]:
    """Sum over chunks of tiles; then the chunks. Nothing if the weight is not trained."""
    if "weight" not in at.gradients:
        return []
    chunks = chunk_count(op)
    shape = (chunks, op.out_channels, op.in_channels, 3, 3)
    partial = at.scratch("weight_chunks", shape, "kernels")
    padding = padding_of(op, "weight.gradient", at.x.shape)
    settings = WinogradChunks(tile, *padding, chunks, int(op.flip_kernel))
    work = _work(at, op, tile, at.grad)
    return [
        Launch("winograd_backward_weight", (at.x, at.grad, partial), settings, work),
        Launch("sum_chunks", (partial, at.gradients["weight"])),
    ]


# ---------------------------------------------------------------------------- explanation


def _patches(image: Array, tops: Array, lefts: Array, edge: int, size: int) -> Array:
    """Return squares of `edge` pixels of an image (..., h, w) as tiles (places, ..., size * size).

    Pixels outside the image are zeros.
    """
    y, x = tops[:, None, None] + np.arange(edge)[:, None], lefts[:, None, None] + np.arange(edge)
    inside = (y >= 0) & (y < image.shape[-2]) & (x >= 0) & (x < image.shape[-1])
    values = np.moveaxis(image[..., np.where(inside, y, 0), np.where(inside, x, 0)], -3, 0)
    tiles = np.zeros((*values.shape[:-2], size, size), image.dtype)
    between = (slice(None), *[None] * (values.ndim - 3))
    tiles[..., :edge, :edge] = np.where(inside[between], values, image.dtype.type(0))
    return tiles.reshape(*tiles.shape[:-2], size * size)


def _kernels(weight: Array, flip: bool, size: int) -> Array:
    """Return kernels (..., 3, 3) as tiles (..., size * size)."""
    tiles = np.zeros((*weight.shape[:-2], size, size), weight.dtype)
    tiles[..., :3, :3] = weight[..., ::-1, ::-1] if flip else weight
    return tiles.reshape(*tiles.shape[:-2], size * size)


def _replay_image(op: Conv2d, view: View, result: str, index: Index, tile: int) -> Scalar:
    """Return an element of the output or of the input gradient, without a bias."""
    n, channel, y, x = index
    turned = result == "input.gradient"
    image, weight = view.grad_output if turned else view.input(), view.array("weight")
    top, left = padding_of(op, result, view.input().shape)
    first = np.array([y // tile * tile - top]), np.array([x // tile * tile - left])
    patches = _patches(image[n], *first, tile + 2, tile + 2)[0]
    own = weight[:, channel] if turned else weight[channel]
    kernels = _kernels(own, op.flip_kernel != turned, tile + 2)
    outputs = replay.winograd_outputs(tile, patches, kernels)
    value: Scalar = outputs[y % tile, x % tile]
    return value


def _replay_weight(op: Conv2d, view: View, index: Index, tile: int) -> Array:
    """Return the parts of a weight gradient, one for each chunk of tiles."""
    o, i, ky, kx = index
    image, grads = view.input()[:, i], view.grad_output[:, o]
    rows, columns = (tiles_of(extent, tile) for extent in grads.shape[1:])
    tops, lefts = (tile * places.ravel() for places in np.indices((rows, columns)))
    top, left = padding_of(op, "weight.gradient", view.input().shape)
    size = tile + 2
    patches = _patches(image, tops - top, lefts - left, size, size).swapaxes(0, 1)
    tiles = _patches(grads, tops, lefts, tile, size).swapaxes(0, 1)
    patches, tiles = patches.reshape(-1, size * size), tiles.reshape(-1, size * size)
    chunks, total = chunk_count(op), len(patches)
    tap = (2 - ky, 2 - kx) if op.flip_kernel else (ky, kx)
    parts = []
    for chunk in range(chunks):
        taken = slice(chunk * total // chunks, (chunk + 1) * total // chunks)
        parts.append(replay.winograd_kernel(tile, patches[taken], tiles[taken])[tap])
    return np.array(parts, image.dtype)


def ulps(a: Scalar, b: Scalar) -> int:
    """Return how many floating-point numbers lie between two of one type; 0 if they are equal."""
    words: list[int] = np.array([a, b]).view(f"i{a.dtype.itemsize}").tolist()
    lowest = -(2 ** (8 * a.dtype.itemsize - 1))
    first, second = (word if word >= 0 else lowest - word for word in words)
    return int(abs(first - second))


def explain(op: Conv2d, view: View, result: str, index: Index, direct: Explanation) -> Explanation:
    """Return the explanation of a number that Winograd's method made, from that of the direct sum.

    The terms stay those of the direct sum: they are what the number means. The stages say how it
    came about, the value has the stored bits, and a note tells the distance of the two.
    """
    tile = tile_for(op, view.convolution, result, view.input().shape)
    if not tile:
        return direct
    size, count = f"{tile} × {tile}", (tile + 2) ** 2
    stages = [Stage("direct sum", direct.stages[0].value, f"{len(direct.terms)} products")]
    value: Scalar
    if result == "weight.gradient":
        parts = _replay_weight(op, view, index, tile)
        value = accumulated(parts)[-1]
        shown = " + ".join(number(part) for part in parts)
        stages.append(Stage("Winograd sum", float(value), shown))
        order = (
            f"tiles of {size} output gradients and their patches are transformed; {count} sums of "
            f"products over tiles (sample, row, column) in {len(parts)} chunks, transformed back; "
            "then the chunks"
        )
    else:
        value = _replay_image(op, view, result, index, tile)
        row, column = index[2] // tile, index[3] // tile
        where = f"place ({index[2] % tile}, {index[3] % tile}) of tile ({row}, {column})"
        stages.append(Stage("Winograd sum", float(value), where))
        channels = "output" if result == "input.gradient" else "input"
        order = (
            f"patches for tiles of {size} and kernels are transformed; {count} sums of products "
            f"over {channels} channels, transformed back" + ("; bias last" * (result == "output"))
        )
        if result == "output" and op.bias:
            bias = view.array("bias")[index[1]]
            with np.errstate(all="ignore"):
                value = value + bias
            stages.append(Stage("+ bias", float(bias), place(view.tensor_name("bias"), index[1:2])))
    last = direct.stages[-1]
    stages.append(Stage(last.label, float(value), "Winograd sum" + " + bias" * (len(stages) == 3)))
    name = place(view.tensor_name(result), index)
    explanation = replace(
        direct,
        value=value,
        order=order,
        stages=tuple(stages),
        notes=(*direct.notes, _note(size, value, direct.value)),
        sentence=f"{name} is {number(value)}, by Winograd's method. {strongest(direct.terms)}",
        sources=(*direct.sources, *_read_by_tiles(op, view, result, index, tile)),
    )
    return retold(explanation)


def _note(size: str, value: Scalar, direct: Scalar) -> str:
    """Say how far the number lies from the direct sum's."""
    distance = ""
    if np.isfinite(value) and np.isfinite(direct):
        apart = ulps(value, direct)
        relative = abs(float(value) - float(direct)) / max(abs(float(direct)), 1e-300)
        distance = f", {apart} ulp away" + (f" (relative {relative:.1e})" if apart else "")
    return (
        f"Winograd's method with tiles of {size}; direct convolution would give "
        f"{float(direct):.9g}{distance}; the terms are those of the direct sum"
    )


def _read_by_tiles(
    op: Conv2d, view: View, result: str, index: Index, tile: int
) -> tuple[Operand, ...]:
    """Return what a number's tiles read, if it is NaN or infinite; of a finite one, nothing.

    A tile mixes all its pixels, so a bad one among them reaches numbers whose window it is not in.
    """
    if np.isfinite(view.array(result)[index]):
        return ()
    if result == "weight.gradient":
        sides = (("input", index[1]), ("grad_output", index[0]))
        planes = [np.zeros(view.array(name).shape, np.bool_) for name, _ in sides]
        for plane, (_, channel) in zip(planes, sides, strict=True):
            plane[:, channel] = True
        return tuple(
            gather(view, name, np.argwhere(plane))
            for (name, _), plane in zip(sides, planes, strict=True)
        )
    n, channel, y, x = index
    turned = result == "input.gradient"
    name = "grad_output" if turned else "input"
    top, left = padding_of(op, result, view.input().shape)
    first = y // tile * tile - top, x // tile * tile - left
    rows, columns = (slice(max(at, 0), max(at + tile + 2, 0)) for at in first)
    patch = np.zeros(view.array(name).shape, np.bool_)
    patch[n, :, rows, columns] = True
    kernels = np.zeros(view.array("weight").shape, np.bool_)
    kernels[(slice(None), channel) if turned else channel] = True
    return (
        gather(view, name, np.argwhere(patch)),
        gather(view, "weight", np.argwhere(kernels)),
    )


__all__ = [
    "CONVOLUTIONS",
    "backward_input",
    "backward_weight",
    "check_convolution",
    "chunk_count",
    "explain",
    "forward",
    "tile_for",
    "ulps",
]
