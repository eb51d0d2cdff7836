"""Winograd convolution with the micro-kernel: blocks of tiles that stay in the second-level cache.

Every block of tiles is transformed, multiplied (one matrix product for each of a tile's numbers)
and transformed back in memory of the thread's own. `plain_winograd.py` has the same kernels as
plain loops, with the order of the sums; how tiles are grouped into blocks changes no bit.
"""

from __future__ import annotations

from typing import Any

from engine.kernels import winograd
from engine.kernels.cpu import plain_winograd as plain
from engine.kernels.cpu._jit import WORK_BYTES, inline
from engine.kernels.cpu._memory import zero_bytes
from engine.kernels.cpu._microkernel import PANEL_BYTES, SLACK_BYTES, fast, multiply
from engine.kernels.cpu._share import share
from engine.kernels.cpu._winograd import expect, gather, provide_transforms, put, transform_lanes
from engine.kernels.settings import FusedTiles, WinogradChunks, WinogradKernels, WinogradTiles
from engine.kernels.types import Flat, Real1, Real4

tiles_of = winograd.tiles_of
GRADIENT, INPUT, OUTPUT = winograd.GRADIENT, winograd.INPUT, winograd.OUTPUT
WEIGHT, WEIGHT_GRADIENT = winograd.WEIGHT, winograd.WEIGHT_GRADIENT

TABLE_BYTES = 8 * 64
"""A table of addresses: one for each number of a tile, at most 37."""
BLOCK_BYTES = 640 * 1024
"""Transformed inputs and sums of a block of tiles (measured: flat between half and twice that)."""
MOST_TILES = 64
SLICE = 128
"""Channels of either side whose sums a weight gradient keeps at hand."""


@inline
def padded(size: int) -> int:
    """Return the bytes of a plane: whole cache lines, and one more, so that planes spread out."""
    return (size + 63) // 64 * 64 + 64


@inline
def point_inside(table: int, image: Any, edge: int) -> None:
    """Fill a table with the places of `edge` x `edge` pixels, seen from the first of them."""
    pixel = image.shape[3] * image.itemsize
    for entry in range(edge * edge):
        put(table, entry, (entry // edge * image.shape[2] + entry % edge) * pixel)


@inline
def look_at(
    inner: int,
    border: int,
    image: Any,
    corner: tuple[int, int, int, int],
    edge: int,
    outside: int,
) -> tuple[int, int]:
    """Return a table of the addresses of `edge` x `edge` pixels, and what to add to each.

    The table `inner` is the same for all squares within the image, `border` is filled for others.
    """
    n, top, left, channel = corner
    height, width, channels = image.shape[1], image.shape[2], image.shape[3]
    if top >= 0 and left >= 0 and top + edge <= height and left + edge <= width:
        place = ((n * height + top) * width + left) * channels + channel
        return inner, image.ctypes.data + place * image.itemsize
    point_at(border, image, corner, edge, outside)
    return border, 0


@inline
def point_at(
    table: int, image: Any, corner: tuple[int, int, int, int], edge: int, outside: int
) -> None:
    """Fill a table with the addresses of `edge` x `edge` pixels from corner (n, y, x, channel)."""
    n, top, left, channel = corner
    height, width, channels = image.shape[1], image.shape[2], image.shape[3]
    pixel, entry = channels * image.itemsize, 0
    for y in range(top, top + edge):
        row = image.ctypes.data + (n * height + y) * width * pixel + channel * image.itemsize
        for x in range(left, left + edge):
            inside = y >= 0 and y < height and x >= 0 and x < width
            put(table, entry, row + x * pixel if inside else outside)
            entry += 1


@inline
def point_along(table: int, count: int, first: int, step: int) -> None:
    """Fill a table with addresses `step` bytes apart."""
    for entry in range(count):
        put(table, entry, first + entry * step)


@inline
def corner_of(number: int, rows: int, columns: int, tile: int) -> tuple[int, int, int]:
    """Return sample, row and column of the first output of a tile."""
    n, place = number // (rows * columns), number % (rows * columns)
    return n, place // columns * tile, place % columns * tile


@fast(plain.winograd_weight, provide_transforms(WEIGHT))
def winograd_weight(
    weight: Flat, transformed: Flat, s: WinogradKernels, work: int, thread: int, threads: int
) -> None:
    """Kernels of one panel of outputs at a time; see `plain_winograd.winograd_weight`."""
    one, item = weight.dtype.type(1), weight.itemsize
    width, numbers = PANEL_BYTES // item, (s.tile + 2) * (s.tile + 2)
    sources, targets, kernels = work, work + TABLE_BYTES, work + 2 * TABLE_BYTES
    lanes, others = (s.inputs, s.outputs) if s.turned else (s.outputs, s.inputs)
    start, stop = share((lanes + width - 1) // width * others, thread, threads)
    for task in range(start, stop):
        panel, other = task // others, task % others
        count = min(width, lanes - panel * width)
        for tap in range(9):
            taken = 8 - tap if s.flip else tap
            if s.turned:
                # Outputs are lanes in `weight`, here inputs shall be: so they are collected.
                row = (other // width * 9 + taken) * s.inputs + panel * width
                source = weight.ctypes.data + row * PANEL_BYTES + other % width * item
                gather(one, source, PANEL_BYTES, count, kernels + tap * PANEL_BYTES)
                put(sources, tap, kernels + tap * PANEL_BYTES)
            else:
                row = (panel * 9 + taken) * s.inputs + other
                put(sources, tap, weight.ctypes.data + row * PANEL_BYTES)
        row = panel * numbers * others + other
        first = transformed.ctypes.data + row * PANEL_BYTES
        point_along(targets, numbers, first, others * PANEL_BYTES)
        if s.tile == 2:
            transform_lanes(one, WEIGHT, 2, False, sources, 0, targets, 0, count)
        else:
            transform_lanes(one, WEIGHT, 4, False, sources, 0, targets, 0, count)


@inline
def transform_input(
    one: Any, tile: int, sources: int, offset: int, targets: int, place: int, count: int
) -> None:
    """Transform the patch of one tile, all channels."""
    if tile == 2:
        transform_lanes(one, INPUT, 2, False, sources, offset, targets, place, count)
    else:
        transform_lanes(one, INPUT, 4, False, sources, offset, targets, place, count)


@inline
def transform_output(
    one: Any,
    tile: int,
    biased: bool,
    sources: int,
    offset: int,
    targets: int,
    place: int,
    count: int,
) -> None:
    """Transform the sums of one tile back, all channels."""
    if tile == 2 and biased:
        transform_lanes(one, OUTPUT, 2, True, sources, offset, targets, place, count)
    elif tile == 2:
        transform_lanes(one, OUTPUT, 2, False, sources, offset, targets, place, count)
    elif biased:
        transform_lanes(one, OUTPUT, 4, True, sources, offset, targets, place, count)
    else:
        transform_lanes(one, OUTPUT, 4, False, sources, offset, targets, place, count)


@inline
def plan_blocks(
    x: Real4, output: Real4, tile: int, work: int
) -> tuple[int, int, int, int, int, int, int, int, int, int]:
    """Lay out the scratch for blocks of tiles: return how many a block has, and where things lie.

    In this order: the block's tiles, tables of the places of pixels within an image, of those at
    its border, of outputs, of transformed inputs and of sums, a line of zeros, a line of waste, and
    the sizes of a plane of transformed inputs and of sums. The planes follow the line of waste.
    """
    channels, outputs, item = x.shape[3], output.shape[3], x.itemsize
    size, numbers = tile + 2, (tile + 2) * (tile + 2)
    # What lies outside the image is read from a line of zeros and written to a line of waste.
    border, pixels, targets = work, work + TABLE_BYTES, work + 2 * TABLE_BYTES
    seen_table, sums_table = work + 3 * TABLE_BYTES, work + 4 * TABLE_BYTES
    zeros = work + 5 * TABLE_BYTES
    waste = zeros + padded(channels * item)
    seen = waste + padded(outputs * item)
    zero_bytes(zeros, channels * item)
    each = numbers * (channels + outputs) * item
    room = work + WORK_BYTES - seen - numbers * 4 * 64 - SLACK_BYTES
    block = max(1, min(room // each, max(BLOCK_BYTES // each, 12), MOST_TILES))
    seen_plane, sums_plane = padded(block * channels * item), padded(block * outputs * item)
    point_inside(pixels, x, size)
    point_inside(targets, output, tile)
    point_along(seen_table, numbers, seen, seen_plane)
    point_along(sums_table, numbers, seen + numbers * seen_plane, sums_plane)
    tables = (pixels, border, targets, seen_table, sums_table)
    return (block, *tables, zeros, waste, seen_plane, sums_plane)


@inline
def expect_tiles(output: Real4, tile: int, first: int, last: int) -> None:
    """Ask for the memory of the outputs of some tiles, before they are stored row by row."""
    out_h, out_w, outputs = output.shape[1:]
    rows, columns, pixel = tiles_of(out_h, tile), tiles_of(out_w, tile), outputs * output.itemsize
    for number in range(first, last):
        n, top, left = corner_of(number, rows, columns, tile)
        for y in range(top, min(top + tile, out_h)):
            place = ((n * out_h + y) * out_w + left) * pixel
            expect(output.ctypes.data + place, min(tile, out_w - left) * pixel)


@inline
def sum_block(
    x: Real4,
    transformed: Flat,
    output: Real4,
    s: WinogradTiles | FusedTiles,
    places: tuple[int, int, int, int, int, int, int, int, int, int],
    first: int,
    count: int,
) -> None:
    """Make the sums of `count` tiles from `first` on, one for each of a tile's numbers."""
    out_h, out_w, outputs = output.shape[1:]
    channels, size = x.shape[3], s.tile + 2
    one, item, numbers = x.dtype.type(1), x.itemsize, size * size
    rows, columns = tiles_of(out_h, s.tile), tiles_of(out_w, s.tile)
    _, pixels, border, _, seen_table, _, zeros, waste, seen_plane, sums_plane = places
    seen = waste + padded(outputs * item)
    sums = seen + numbers * seen_plane
    fetching = output.size * item > BLOCK_BYTES
    for t in range(count):
        n, top, left = corner_of(first + t, rows, columns, s.tile)
        corner = (n, top - s.top, left - s.left, 0)
        table, place = look_at(pixels, border, x, corner, size, zeros)
        transform_input(one, s.tile, table, place, seen_table, t * channels * item, channels)
    for k in range(numbers):
        if fetching:
            # Beside the products there is time for it.
            low, high = k * count // numbers, (k + 1) * count // numbers
            expect_tiles(output, s.tile, first + low, first + high)
        multiply(
            one,
            item,
            (count, outputs),
            (sums + k * sums_plane, outputs * item, PANEL_BYTES),
            (seen + k * seen_plane, channels * item, 0, 0, item),
            (
                transformed.ctypes.data + k * channels * PANEL_BYTES,
                0,
                0,
                PANEL_BYTES,
                numbers * channels * PANEL_BYTES,
            ),
            (1, 1, channels),
            0,
            0,
        )


@inline
def put_tiles(
    bias: Real1,
    output: Real4,
    s: WinogradTiles | FusedTiles,
    places: tuple[int, int, int, int, int, int, int, int, int, int],
    first: int,
    start: int,
    stop: int,
) -> None:
    """Transform the sums of tiles `start` to `stop` back; the block begins with tile `first`."""
    out_h, out_w, outputs = output.shape[1:]
    one, item, numbers = bias.dtype.type(1), output.itemsize, (s.tile + 2) * (s.tile + 2)
    rows, columns = tiles_of(out_h, s.tile), tiles_of(out_w, s.tile)
    _, _, border, targets, _, sums_table, _, waste, _, _ = places
    for t in range(start, stop):
        n, top, left = corner_of(first + t, rows, columns, s.tile)
        table, place = look_at(targets, border, output, (n, top, left, 0), s.tile, waste)
        offset = t * outputs * item
        put(sums_table, numbers, bias.ctypes.data - offset)
        biased = s.has_bias != 0
        transform_output(one, s.tile, biased, sums_table, offset, table, place, outputs)


@fast(plain.winograd_convolve, provide_transforms(INPUT, OUTPUT), parts=3)
def winograd_convolve(
    x: Real4,
    transformed: Flat,
    bias: Real1,
    output: Real4,
    s: WinogradTiles,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Blocks of tiles; see `plain_winograd.winograd_convolve`."""
    samples, out_h, out_w = output.shape[:3]
    tiles = samples * tiles_of(out_h, s.tile) * tiles_of(out_w, s.tile)
    start, stop = share(tiles, thread, threads)
    places = plan_blocks(x, output, s.tile, work)
    for first in range(start, stop, places[0]):
        count = min(places[0], stop - first)
        sum_block(x, transformed, output, s, places, first, count)
        put_tiles(bias, output, s, places, first, 0, count)


@inline
def slices(tile: int, channels: int, outputs: int, item: int) -> tuple[int, int]:
    """Return how many channels and outputs one task of a weight gradient takes."""
    numbers, width = (tile + 2) * (tile + 2), PANEL_BYTES // item
    inner, outer = min(channels, SLICE), min(outputs, SLICE)
    while numbers * inner * outer * item > WORK_BYTES * 5 // 8:
        if inner >= outer:
            inner = (inner + 1) // 2
        else:
            outer = (outer // 2 + width - 1) // width * width
    return inner, outer


@fast(plain.winograd_backward_weight, provide_transforms(INPUT, GRADIENT, WEIGHT_GRADIENT))
def winograd_backward_weight(
    x: Real4,
    grad_output: Real4,
    partial: Flat,
    s: WinogradChunks,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Slices of channels by outputs; see `plain_winograd.winograd_backward_weight`."""
    samples, out_h, out_w, outputs = grad_output.shape
    channels, size = x.shape[3], s.tile + 2
    one, item, numbers = x.dtype.type(1), x.itemsize, size * size
    width = PANEL_BYTES // item
    rows, columns = tiles_of(out_h, s.tile), tiles_of(out_w, s.tile)
    total = samples * rows * columns
    inner, outer = slices(s.tile, channels, outputs, item)
    inners, outers = (channels + inner - 1) // inner, (outputs + outer - 1) // outer
    border, pixels, places = work, work + TABLE_BYTES, work + 2 * TABLE_BYTES
    seen_table, grad_table = work + 3 * TABLE_BYTES, work + 4 * TABLE_BYTES
    sums_table, taps = work + 5 * TABLE_BYTES, work + 6 * TABLE_BYTES
    zeros = work + 7 * TABLE_BYTES
    sums = zeros + padded(SLICE * item)
    zero_bytes(zeros, SLICE * item)
    sums_plane = padded(inner * outer * item)
    seen = sums + numbers * sums_plane
    each = numbers * (inner + outer) * item
    room = work + WORK_BYTES - seen - numbers * 4 * 64 - SLACK_BYTES
    block = max(1, min(room // each, MOST_TILES))
    seen_plane, grad_plane = padded(block * inner * item), padded(block * outer * item)
    grads = seen + numbers * seen_plane
    point_inside(pixels, x, size)
    point_inside(places, grad_output, s.tile)
    point_along(seen_table, numbers, seen, seen_plane)
    point_along(grad_table, numbers, grads, grad_plane)
    point_along(sums_table, numbers, sums, sums_plane)
    start, stop = share(s.chunks * inners * outers, thread, threads)
    for task in range(start, stop):
        chunk, low, lane = (
            task // outers // inners,
            task // outers % inners * inner,
            task % outers * outer,
        )
        many, lanes = min(inner, channels - low), min(outer, outputs - lane)
        begin, end = chunk * total // s.chunks, (chunk + 1) * total // s.chunks
        if begin == end:
            zero_bytes(sums, numbers * sums_plane)
        for first in range(begin, end, block):
            count = min(block, end - first)
            for t in range(count):
                n, top, left = corner_of(first + t, rows, columns, s.tile)
                corner = (n, top - s.top, left - s.left, low)
                table, place = look_at(pixels, border, x, corner, size, zeros)
                transform_input(one, s.tile, table, place, seen_table, t * inner * item, many)
                corner = (n, top, left, lane)
                table, place = look_at(places, border, grad_output, corner, s.tile, zeros)
                to = t * outer * item
                if s.tile == 2:
                    transform_lanes(one, GRADIENT, 2, False, table, place, grad_table, to, lanes)
                else:
                    transform_lanes(one, GRADIENT, 4, False, table, place, grad_table, to, lanes)
            for k in range(numbers):
                multiply(
                    one,
                    item,
                    (many, lanes),
                    (sums + k * sums_plane, outer * item, PANEL_BYTES),
                    (seen + k * seen_plane, item, 0, 0, inner * item),
                    (grads + k * grad_plane, 0, 0, outer * item, PANEL_BYTES),
                    (1, 1, count),
                    0,
                    0 if first == begin else 1,
                )
        panels = (outputs + width - 1) // width
        kernels = partial.ctypes.data + chunk * panels * 9 * channels * PANEL_BYTES
        for i in range(many):
            for offset in range(0, lanes, width):
                place = (i * outer + offset) * item
                row = (lane + offset) // width * 9 * channels + low + i
                count = min(width, lanes - offset)
                for tap in range(9):
                    taken = 8 - tap if s.flip else tap
                    target = kernels + (row + taken * channels) * PANEL_BYTES
                    put(taps, tap, target)
                    if count < width:
                        # Lanes beyond the last output stay zero.
                        zero_bytes(target, PANEL_BYTES)
                kind = WEIGHT_GRADIENT
                if s.tile == 2:
                    transform_lanes(one, kind, 2, False, sums_table, place, taps, 0, count)
                else:
                    transform_lanes(one, kind, 4, False, sums_table, place, taps, 0, count)
