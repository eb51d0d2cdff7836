"""Where the boxes of the network strip stand and how its edges run. No painting here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StripNode:
    """One box of the strip.

    Parameters
    ----------
    name, kind : str
        ``"conv2"``, ``"Conv2d"``.
    shape_text : str
        ``"16×10×10"``.
    note : str
        Small text at the lower right: time, ``"fused"``, parameters.
    badge : str
        ``""`` not run, ``"ok"``, or a letter with a count: ``"D 2"`` dead, ``"N"`` NaN, ``"S"``
        saturated.
    inputs : tuple of str
        Names of the nodes it reads.
    """

    name: str
    kind: str = ""
    shape_text: str = ""
    note: str = ""
    badge: str = ""
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """A connection: from node to node, and which way round it goes.

    Parameters
    ----------
    source, target : str
    detour : int
        0 for a direct line; otherwise the number of the track below the boxes.
    """

    source: str
    target: str
    detour: int


@dataclass(frozen=True, slots=True)
class GraphLayout:
    """Columns and lanes of all nodes.

    Parameters
    ----------
    places : dict of name -> (column, lane)
    edges : tuple of Edge
    columns, lanes, tracks : int
        Tracks are the detours below the boxes.
    """

    places: dict[str, tuple[int, int]]
    edges: tuple[Edge, ...]
    columns: int
    lanes: int
    tracks: int


def lay_out(nodes: Sequence[StripNode]) -> GraphLayout:
    """Give each node a column (its longest path from an input) and a lane.

    Nodes whose inputs are unknown count as inputs. A chain gets a single lane; branches get their
    own, and an edge that would run behind boxes takes a track below them.
    """
    names = {node.name for node in nodes}
    columns: dict[str, int] = {}
    for node in nodes:  # topological order is the order given
        known = [columns[name] for name in node.inputs if name in columns]
        columns[node.name] = max(known) + 1 if known else 0
    lanes = _lanes(nodes, columns)
    places = {name: (columns[name], lanes[name]) for name in columns}
    taken = set(places.values())
    edges: list[Edge] = []
    tracks: list[list[tuple[int, int]]] = []
    for node in nodes:
        for source in node.inputs:
            if source not in names or source == node.name:
                continue
            edges.append(Edge(source, node.name, _track(places, taken, tracks, source, node.name)))
    return GraphLayout(
        places=places,
        edges=tuple(edges),
        columns=max(columns.values(), default=-1) + 1,
        lanes=max(lanes.values(), default=-1) + 1,
        tracks=len(tracks),
    )


def _lanes(nodes: Sequence[StripNode], columns: dict[str, int]) -> dict[str, int]:
    lanes: dict[str, int] = {}
    used: set[tuple[int, int]] = set()
    for node in nodes:
        column = columns[node.name]
        wish = min((lanes[name] for name in node.inputs if name in lanes), default=0)
        lane = wish
        while (column, lane) in used:
            lane += 1
        lanes[node.name] = lane
        used.add((column, lane))
    return lanes


def _track(
    places: dict[str, tuple[int, int]],
    taken: set[tuple[int, int]],
    tracks: list[list[tuple[int, int]]],
    source: str,
    target: str,
) -> int:
    """Return 0 if the way is free, else the first track that is free between the two columns."""
    (start, lane), (end, other) = places[source], places[target]
    if not any((column, row) in taken for column in range(start + 1, end) for row in (lane, other)):
        return 0
    for number, spans in enumerate(tracks, 1):
        if all(end <= first or start >= last for first, last in spans):
            spans.append((start, end))
            return number
    tracks.append([(start, end)])
    return len(tracks)
