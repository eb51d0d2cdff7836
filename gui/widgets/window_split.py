"""Where the grids stand if they can't all be readable: small tiles and one channel enlarged."""

from __future__ import annotations

import math
from dataclasses import replace

from gui.widgets.window_layout import (
    CAPTION,
    COORDINATE,
    LABEL,
    LEGIBLE_HEIGHT,
    NAME,
    ROW_COORDINATE,
    SIGN,
    SKIP,
    Box,
    Overview,
    Plan,
    Sign,
    aligned,
    closed,
    is_vector,
    legible_row,
    offsets,
    operator_before,
    skips,
    vector_sign,
)
from gui.widgets.window_stacks import Layer

_SPACE = 12
"""Pixels between the overview and the enlarged channel."""
_MOST_TILE_CELL = 18
TIGHT_WIDTH = 21
"""Cells this narrow still show three characters: better than leaving out a column of a kernel."""

Cell = tuple[int, int, int]
Focus = tuple[list[Box], list[Sign], int]
"""Boxes and operators of the enlarged channel, and the height they use."""


def split_plan(
    layers: list[Layer], width: int, height: int, centre: Cell, before: Plan | None = None
) -> Plan:
    """Lay out all channels as small tiles and the one that matters enlarged below.

    Parameters
    ----------
    layers : list of Layer
    width, height : int
    centre : (channel, row, column)
        The cell to keep in view in the enlarged part.
    before : Plan, optional
        The plan for another centre of the same layers and size: what can stay, stays, so that a
        step neither moves the picture nor costs a new search.
    """
    focus = _focus_vector if layers[0].shape[1] == 1 else _focus_grids
    kept = before.boxes[0] if before is not None else None
    if before is not None and before.overview is not None:
        overview = before.overview
        overview = replace(overview, first=centre[0] // overview.shown * overview.shown)
    else:
        boxes, signs, needed = focus(layers, width, int(height * 0.58), centre, kept)
        rest = height - needed - _SPACE
        alone = layers[0].shape[0] == 1 and _shows_all(boxes, layers[0])
        if rest < 16 + CAPTION or alone:
            boxes, signs, _ = focus(layers, width, height, centre, kept)
            return closed(boxes, tuple(signs))
        overview = _overview(layers, width, rest - CAPTION, centre[0])
    caption = CAPTION if overview.shown < layers[0].shape[0] else 0
    used = overview.top + overview.height + caption + _SPACE
    boxes, signs, _ = focus(layers, width, height - used, centre, kept)
    boxes = [replace(box, tops=tuple(top + used for top in box.tops)) for box in boxes]
    signs = [replace(sign, y=sign.y + used) for sign in signs]
    plan = closed(boxes, tuple(signs))
    return replace(plan, overview=overview, width=max(plan.width, overview.left + overview.width))


def _shows_all(boxes: list[Box], layer: Layer) -> bool:
    """Return True if the enlarged grid is all there is to see."""
    return len(boxes[0].rows) == layer.shape[1] and len(boxes[0].columns) == layer.shape[2]


def _window(size: int, most: int, centre: int, kept: range | None) -> range:
    """Return at most `most` of `size` indices around a centre; the kept ones if they will do."""
    most = max(min(most, size), 1)
    if kept is not None and len(kept) == most and centre in kept and kept.stop <= size:
        return kept
    start = min(max(centre - most // 2, 0), size - most)
    return range(start, start + most)


# --- the enlarged channel ----------------------------------------------------------------------


def _focus_grids(
    layers: list[Layer], width: int, height: int, centre: Cell, kept: Box | None
) -> Focus:
    """Enlarge one channel: operands and products in a row if possible.

    Tried in turn: all in one row; operands in a row and the products below; operands alone. If
    not even those show the whole kernel, the neighbourhood of the centre is shown.
    """
    count = aligned(layers)
    operands = sum(not layer.product for layer in layers[:count])
    _, rows, columns = layers[0].shape
    options = [(count, count), (count, operands), (operands, operands)]
    for shown, per_row in dict.fromkeys(options):
        found = _grid_size(layers, width, height, shown, per_row)
        if found[0] >= columns and found[1] >= rows:
            break
    return _place_grids(layers, centre, shown, per_row, found, kept)


def _grid_size(
    layers: list[Layer], width: int, height: int, shown: int, per_row: int
) -> tuple[int, int, int, int]:
    """Return (columns, rows, cell width, cell height) for an arrangement of the grids."""
    _, rows, columns = layers[0].shape
    skip_rows, skip_columns = skips(layers[0])
    lines = -(-shown // per_row)
    room = (width - ROW_COORDINATE - (per_row - 1) * SIGN) / per_row
    room -= sum(map(bool, skip_columns)) * SKIP
    tall = height / lines - LABEL - COORDINATE - sum(map(bool, skip_rows)) * SKIP
    across = max(min(int(room / TIGHT_WIDTH), columns), 1)
    down = max(min(int(tall / LEGIBLE_HEIGHT), rows), min(rows, 3))
    cell_width = int(min(room / across, 46))
    cell_height = max(int(min(tall / down, cell_width, 30)), LEGIBLE_HEIGHT)
    return across, down, min(cell_width, int(cell_height * 1.8)), cell_height


def _place_grids(
    layers: list[Layer],
    centre: Cell,
    shown: int,
    per_row: int,
    size: tuple[int, int, int, int],
    kept: Box | None,
) -> Focus:
    skip_rows, skip_columns = skips(layers[0])
    across = _window(layers[0].shape[2], size[0], centre[2], kept.columns if kept else None)
    down = _window(layers[0].shape[1], size[1], centre[1], kept.rows if kept else None)
    boxes: list[Box] = []
    signs: list[Sign] = []
    left, top = ROW_COORDINATE, COORDINATE
    for section in range(shown):
        layer = layers[section]
        if section and section % per_row == 0:
            left, top = ROW_COORDINATE, boxes[-1].bottom + LABEL + COORDINATE
        box = Box(
            layer=section,
            channel=centre[0],
            rows=down,
            columns=across,
            lefts=offsets(left, size[2], [skip_columns[i] if i > across[0] else 0 for i in across]),
            tops=offsets(top, size[3], [skip_rows[i] if i > down[0] else 0 for i in down]),
            cell=size[2:],
            coordinates=section % per_row == 0,
            column_numbers=True,
            label=layer.label(centre[0]),
        )
        boxes.append(box)
        if section % per_row:
            signs.append(operator_before(layer, left, box))
        left = box.right + SIGN
    return boxes, signs, boxes[-1].bottom + LABEL


def _focus_vector(
    layers: list[Layer], width: int, height: int, centre: Cell, kept: Box | None
) -> Focus:
    """Enlarge the neighbourhood of one term of a dense layer: operands below each other."""
    sections = aligned(layers)
    columns = kept.columns if kept else None
    shown = _window(layers[0].shape[2], int((width - NAME) / 40), centre[2], columns)
    cell_width = int(min((width - NAME) / len(shown), 56))
    cell_height = int(min(max((height - COORDINATE) / sections - 2, legible_row(layers)), 28))
    boxes, signs = [], []
    for section in range(sections):
        top = COORDINATE + section * (cell_height + 2)
        signs.append(vector_sign(layers[section], section, top + cell_height / 2))
        boxes.append(
            Box(
                layer=section,
                channel=centre[0],
                rows=range(1),
                columns=shown,
                lefts=offsets(NAME, cell_width, [0] * len(shown)),
                tops=(top,),
                cell=(cell_width, cell_height),
                coordinates=False,
                column_numbers=section == 0,
                label="",
            )
        )
    return boxes, signs, boxes[-1].bottom + 6


# --- the overview ------------------------------------------------------------------------------


def _overview(layers: list[Layer], width: int, height: int, channel: int) -> Overview:
    """Find the largest tiles that show all channels, or else as many as stay recognisable."""
    channels, rows, columns = layers[0].shape
    sections = sum(not layer.product for layer in layers[: aligned(layers)])
    vector = is_vector(layers[0])
    smallest = 1 if vector or max(rows, columns) > 12 else 3 if max(rows, columns) > 5 else 4
    best: Overview | None = None
    for cell in range(_MOST_TILE_CELL, smallest - 1, -1):
        for across in (False, True) if sections > 1 else (False,):
            shape = (rows, columns)
            if vector:
                room = (width - NAME * sections) // sections - 4 if across else width - NAME
                shape = _wrapped(columns, room // cell)
            found = _filled(shape, sections, cell, across, (width - NAME, height), channels)
            if found.shown >= channels and found.height <= height:
                return found
            if best is None or found.shown > best.shown or best.height > height:
                best = found
    if best is None:  # there is always at least one cell size; this is for the type checker
        raise RuntimeError("no way to lay out the overview")
    return replace(best, first=channel // best.shown * best.shown)


def _filled(
    shape: tuple[int, int],
    sections: int,
    cell: int,
    across: bool,
    area: tuple[int, int],
    channels: int,
) -> Overview:
    """Return an overview with as many tiles as an area holds, at least one."""
    gap = 4
    room = (area[0] - (sections - 1) * (NAME + gap)) // sections if across else area[0]
    per_line = min(max((room + gap) // (shape[1] * cell + gap), 1), channels)
    tall = shape[0] * cell + gap
    step = tall if across else sections * tall + gap
    lines = min(math.ceil(channels / per_line), max((area[1] + 2 * gap) // step, 1))
    shown = min(per_line * lines, channels)
    per_line = math.ceil(shown / lines) if shown == channels else per_line
    return Overview(NAME, 0, per_line, lines, sections, cell, shape, gap, across, 0, shown)


def _wrapped(count: int, most: int) -> tuple[int, int]:
    """Return (rows, columns) of a vector wrapped into lines of at most `most` values."""
    rows = math.ceil(count / max(min(most, count), 1))
    return rows, math.ceil(count / rows)
