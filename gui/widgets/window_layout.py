"""Where the grids of the window view stand: sizes that fit, in whole pixels. No painting here."""

from __future__ import annotations

from dataclasses import dataclass

from gui.widgets.window_stacks import Layer, steps_between

GAP = 12
"""Pixels between the grids of neighbouring channels."""
LABEL = 15
"""Pixels below a grid for its name."""
COORDINATE = 12
"""Pixels above a grid for its column numbers."""
ROW_COORDINATE = 20
"""Pixels left of a grid for its row numbers."""
SKIP = 7
"""Pixels between taps that dilation separates."""
SIGN = 22
"""Pixels between grids for an operator."""
NAME = 40
"""Pixels left of the overview for the names of its rows."""
CAPTION = 14
"""Pixels below an overview that does not show all channels."""
LEGIBLE_WIDTH, LEGIBLE_HEIGHT = 25, 15
"""Smallest cell in which a number of four characters is readable."""
UNIT_HEIGHT = 24
"""Smallest height of a row that has a power of ten below its name."""
MOST_CELLS = 1500
"""More cells than these are never all shown with numbers."""


@dataclass(frozen=True, slots=True)
class Box:
    """One grid, or a part of one, on screen.

    Parameters
    ----------
    layer : int
        Index into the prepared layers.
    channel : int
        Index of the grid in its layer.
    rows, columns : range
        The part of the grid that is drawn.
    lefts, tops : tuple of int
        Left pixel of each drawn column and top pixel of each drawn row.
    cell : (width, height)
    coordinates : bool
        Whether row numbers stand at the left.
    column_numbers : bool
        Whether column numbers stand above.
    label : str
    """

    layer: int
    channel: int
    rows: range
    columns: range
    lefts: tuple[int, ...]
    tops: tuple[int, ...]
    cell: tuple[int, int]
    coordinates: bool
    column_numbers: bool
    label: str

    @property
    def left(self) -> int:
        """Left edge."""
        return self.lefts[0]

    @property
    def top(self) -> int:
        """Top edge."""
        return self.tops[0]

    @property
    def right(self) -> int:
        """Right edge."""
        return self.lefts[-1] + self.cell[0]

    @property
    def bottom(self) -> int:
        """Bottom edge."""
        return self.tops[-1] + self.cell[1]

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Return (row, column) of the grid at a pixel."""
        width, height = self.cell
        for column, left in zip(self.columns, self.lefts, strict=True):
            if left <= x < left + width:
                for row, top in zip(self.rows, self.tops, strict=True):
                    if top <= y < top + height:
                        return row, column
        return None


@dataclass(frozen=True, slots=True)
class Sign:
    """An operator or a name between grids: its text, where its middle is, its power of ten."""

    text: str
    x: float
    y: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """All channels as small coloured tiles, one block of tiles for each aligned layer.

    Parameters
    ----------
    left, top : int
    per_line, lines : int
        Tiles per line, and lines of tiles.
    sections : int
        Number of blocks.
    cell : int
        Pixels per value.
    shape : (h, w)
        Values per tile; a vector is wrapped into this shape.
    gap : int
        Pixels between tiles.
    across : bool
        Blocks stand side by side; otherwise their lines alternate.
    first, shown : int
        The channels that are shown, where not all fit.
    """

    left: int
    top: int
    per_line: int
    lines: int
    sections: int
    cell: int
    shape: tuple[int, int]
    gap: int
    across: bool
    first: int = 0
    shown: int = 0

    @property
    def tile(self) -> tuple[int, int]:
        """Width and height of a tile in pixels."""
        return self.shape[1] * self.cell, self.shape[0] * self.cell

    @property
    def line_step(self) -> int:
        """Pixels from one line of a block to its next."""
        height = self.tile[1] + self.gap
        return (
            height if self.across else self.sections * height + (self.gap if self.lines > 1 else 0)
        )

    @property
    def section_step(self) -> tuple[int, int]:
        """Pixels from one block to the next, across and down."""
        if self.across:
            return self.per_line * (self.tile[0] + self.gap) + NAME, 0
        return 0, self.tile[1] + self.gap

    @property
    def width(self) -> int:
        """Width in pixels."""
        block = self.per_line * (self.tile[0] + self.gap) - self.gap
        return block + (self.sections - 1) * self.section_step[0]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return (
            (self.lines - 1) * self.line_step
            + (self.sections - 1) * self.section_step[1]
            + self.tile[1]
        )

    def corner(self, section: int, channel: int) -> tuple[int, int]:
        """Return the left and top pixel of the tile of a shown channel."""
        line, place = divmod(channel - self.first, self.per_line)
        across, down = self.section_step
        return (
            self.left + section * across + place * (self.tile[0] + self.gap),
            self.top + section * down + line * self.line_step,
        )

    def cell_at(self, x: float, y: float) -> tuple[int, int, int, int] | None:
        """Return (section, channel, row, column) at a pixel; the channel may not exist."""
        width, height = self.tile
        for section in range(self.sections):
            left, top = self.corner(section, self.first)
            place, dx = divmod(x - left, width + self.gap)
            line, dy = divmod(y - top, self.line_step)
            if 0 <= place < self.per_line and dx < width and 0 <= line < self.lines and dy < height:
                channel = self.first + int(line) * self.per_line + int(place)
                return section, channel, int(dy // self.cell), int(dx // self.cell)
        return None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the pane of grids draws."""

    boxes: tuple[Box, ...] = ()
    signs: tuple[Sign, ...] = ()
    overview: Overview | None = None
    width: int = 0
    height: int = 0


def offsets(start: int, cell: int, skipped: list[int]) -> tuple[int, ...]:
    """Return the first pixel of each cell of a row; skipped coordinates leave a space."""
    places, at = [], start
    for i, skip in enumerate(skipped):
        at += (cell if i else 0) + (SKIP if skip else 0)
        places.append(at)
    return tuple(places)


def skips(layer: Layer) -> tuple[list[int], list[int]]:
    """Return the skipped coordinates before each row and before each column."""
    return steps_between(layer.rows).tolist(), steps_between(layer.columns).tolist()


def aligned(layers: list[Layer]) -> int:
    """Return how many of the first layers share the first one's shape."""
    return sum(layer.shape == layers[0].shape for layer in layers)


def is_vector(layer: Layer) -> bool:
    """Return True for one row of values, as a dense layer has."""
    channels, height, _ = layer.shape
    return channels == 1 and height == 1


def full_plan(layers: list[Layer], width: int, height: int) -> Plan | None:
    """Lay out all grids with readable numbers, or return None if they can't all be readable."""
    if sum(layer.values.size for layer in layers) > MOST_CELLS:
        return None
    if is_vector(layers[0]) and layers[0].shape[2] > 1:
        return _full_vector(layers, width, height)
    return _full_grids(layers, width, height)


@dataclass(frozen=True, slots=True)
class _Block:
    """The grids of one channel: all layers below each other, or side by side with operators.

    Parameters
    ----------
    across, down : int
        Grids per block in each direction.
    lines, per_line : int
        Blocks below and beside each other.
    cell : (width, height)
    """

    across: int
    down: int
    lines: int
    per_line: int
    cell: tuple[int, int]

    def score(self) -> float:
        """Return how readable the cells are; a row reads as an equation, a column less so."""
        return min(self.cell[0], self.cell[1] * 1.5) * (1.25 if self.across > 1 else 1.0)


def _block(
    layer: Layer, sections: int, lines: int, side_by_side: bool, width: int, height: int
) -> _Block:
    """Return the largest block for an arrangement; its cells may be too small to read."""
    channels, rows, columns = layer.shape
    skip_rows, skip_columns = skips(layer)
    per_line = -(-channels // lines)
    across, down = (sections, 1) if side_by_side else (1, sections)
    grids_x, grids_y = per_line * across, lines * down
    free_x = width - ROW_COORDINATE * (per_line if side_by_side else 1)
    free_x -= grids_x * sum(map(bool, skip_columns)) * SKIP
    free_x -= (per_line - 1) * GAP + per_line * (across - 1) * SIGN
    free_y = height - grids_y * (LABEL + COORDINATE + sum(map(bool, skip_rows)) * SKIP + 2)
    most = 64 if layer.values.size > 16 else 96
    cell_width = int(min(free_x / (grids_x * columns), most))
    cell_height = int(min(free_y / (grids_y * rows), most * 0.7, cell_width))
    return _Block(
        across, down, lines, per_line, (min(cell_width, int(cell_height * 1.7)), cell_height)
    )


def _full_grids(layers: list[Layer], width: int, height: int) -> Plan | None:
    channels, rows, columns = layers[0].shape
    sections = aligned(layers)
    arrangements = (True, False) if sections > 1 else (False,)
    block = max(
        (
            _block(layers[0], sections, lines, beside, width, height)
            for beside in arrangements
            for lines in range(1, channels + 1)
        ),
        key=_Block.score,
    )
    cell_width, cell_height = block.cell
    if cell_width < LEGIBLE_WIDTH or cell_height < LEGIBLE_HEIGHT:
        return None
    skip_rows, skip_columns = skips(layers[0])
    grid_width = columns * cell_width + sum(map(bool, skip_columns)) * SKIP
    grid_height = rows * cell_height + sum(map(bool, skip_rows)) * SKIP + LABEL + COORDINATE + 2
    beside = block.across > 1
    margin = ROW_COORDINATE if beside else 0
    block_width = margin + block.across * (grid_width + SIGN) - SIGN
    boxes: list[Box] = []
    signs: list[Sign] = []
    for channel in range(channels):
        line, place = divmod(channel, block.per_line)
        start = (0 if beside else ROW_COORDINATE) + margin + place * (block_width + GAP)
        for section in range(sections):
            x, y = (section, 0) if beside else (0, section)
            left = start + x * (grid_width + SIGN)
            top = COORDINATE + (line * block.down + y) * grid_height
            layer = layers[section]
            box = Box(
                layer=section,
                channel=channel,
                rows=range(rows),
                columns=range(columns),
                lefts=offsets(left, cell_width, skip_columns),
                tops=offsets(top, cell_height, skip_rows),
                cell=block.cell,
                coordinates=section == 0 if beside else place == 0,
                column_numbers=True,
                label=layer.label(channel),
            )
            boxes.append(box)
            if beside and section:
                signs.append(operator_before(layer, left, box))
    return closed(boxes, tuple(signs))


def vector_sign(layer: Layer, section: int, middle: float) -> Sign:
    """Return what stands left of a row of a vector: operator, name and power of ten."""
    name = "=" if layer.product else layer.name if section == 0 else f"× {layer.name}"
    return Sign(name, NAME / 2, middle, layer.unit)


def legible_row(layers: list[Layer]) -> int:
    """Return the smallest height of a row of a vector."""
    return UNIT_HEIGHT if any(layer.unit for layer in layers) else LEGIBLE_HEIGHT


def operator_before(layer: Layer, left: int, box: Box) -> Sign:
    """Return the operator that stands left of a grid."""
    return Sign("=" if layer.product else "×", left - SIGN / 2, (box.top + box.bottom) / 2)


def closed(boxes: list[Box], signs: tuple[Sign, ...]) -> Plan:
    """Return the plan of some grids with its size."""
    return Plan(
        boxes=tuple(boxes),
        signs=signs,
        width=max(box.right for box in boxes),
        height=max(box.bottom + (LABEL if box.label else 0) for box in boxes),
    )


def _full_vector(layers: list[Layer], width: int, height: int) -> Plan | None:
    count = layers[0].shape[2]
    sections = aligned(layers)
    room = width - NAME
    best: tuple[float, int, int, int] | None = None
    for lines in range(1, count + 1):
        per_line = -(-count // lines)
        cell_width = int(min(room / per_line, 48))
        cell_height = int(min((height / lines - COORDINATE - 8) / sections, 28))
        score = min(cell_width, cell_height * 1.6)
        if best is None or score > best[0]:
            best = (score, per_line, cell_width, cell_height)
        if cell_height < 8:
            break
    if best is None or best[2] < LEGIBLE_WIDTH + 3 or best[3] < legible_row(layers):
        return None
    _, per_line, cell_width, cell_height = best
    boxes, signs = [], []
    for line in range(-(-count // per_line)):
        span = range(line * per_line, min((line + 1) * per_line, count))
        for section in range(sections):
            top = (
                COORDINATE
                + line * (sections * cell_height + COORDINATE + 8)
                + section * cell_height
            )
            signs.append(vector_sign(layers[section], section, top + cell_height / 2))
            boxes.append(
                Box(
                    layer=section,
                    channel=0,
                    rows=range(1),
                    columns=span,
                    lefts=offsets(NAME, cell_width, [0] * len(span)),
                    tops=(top,),
                    cell=(cell_width, cell_height),
                    coordinates=False,
                    column_numbers=section == 0,
                    label="",
                )
            )
    return closed(boxes, tuple(signs))
