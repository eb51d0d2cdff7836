"""What the window says at a stop, read from its widgets, and what the engine says of the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import unescape
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.debug.wording import batch_words
from gui.models.layout import TensorLayout
from gui.widgets.numbers import compact, format_number

if TYPE_CHECKING:
    from engine.debug import Session
    from gui.app import Application

TOTALS = ("output", "items", "scales")


@dataclass
class Seen:
    """Everything the panels show at one stop: texts, and arrays as bytes."""

    texts: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, bytes] = field(default_factory=dict)


def look(app: Application) -> Seen:
    """Read all panels: the widgets themselves, not the snapshot that they were given."""
    panels, status = app.window.panels, app.window.status
    seen = Seen()
    content = panels.window.view.content()
    for name in ("mosaic", "map", "window", "explanation", "kernels"):
        head = getattr(panels, name).head
        seen.texts[f"{name} head"] = (head.title(), head.detail())
    seen.texts["explanation"] = unescape(panels.explanation.view.toPlainText())
    seen.texts["place"] = status.place.text()
    seen.texts["facts"] = status.facts.text()
    seen.texts["message"] = panels.window.message.text()
    seen.texts["stack"] = [
        (row.title, row.detail, row.state, row.depth) for row in panels.stack.view._rows
    ]
    seen.texts["picked"] = (panels.mosaic.view.selected_channel(), panels.map.view.pick())
    seen.texts["cursors"] = (panels.mosaic.view._cursor, panels.map.view._cursor)
    seen.texts["strip"] = (panels.network.view._cursor, panels.network.view._selected)
    if content is not None:
        seen.texts["window"] = (content.title, content.formula, content.cursor_term, content.exact)
        seen.texts["stages"] = [tuple(stage) for stage in content.stages]
        seen.arrays["totals"] = np.asarray(content.totals).tobytes()
        seen.arrays["result"] = np.float64(content.result).tobytes()
    for name, array in (
        ("mosaic", panels.mosaic.view._maps),
        ("map", panels.map.view._map),
        ("kernels", panels.kernels.view._sheet.kernels),
    ):
        if array is not None:
            seen.arrays[name] = np.ascontiguousarray(array).tobytes()
    return seen


def current(seen: Seen) -> list[str]:
    """Return the titles of the stack's current frames, outermost first."""
    return [title for title, _, state, _ in seen.texts["stack"] if state == "current"]


def check_operation(app: Application, reference: Session) -> Seen:
    """Check that every panel speaks of the operation at the cursor and holds its numbers.

    Parameters
    ----------
    app : Application
        Paused before an operation.
    reference : Session
        Another session of the same run, right behind that operation.
    """
    snapshot = app.controller.desk.session.snapshot
    cursor, seen = snapshot.cursor, look(app)
    row = reference.program.operations[cursor.operation]
    layer, tensor, index = row.layer, snapshot.tensor, snapshot.index
    name = f"{layer}.{tensor}"
    assert (cursor.layer, cursor.phase, cursor.level) == (layer, row.phase, "operation")
    assert snapshot.layer == layer
    assert tensor in row.results
    assert tensor == ("input.gradient" if "input.gradient" in row.results else row.results[0])
    # The numbers: bit for bit those of the engine behind the operation.
    array = reference.read(layer if row.phase == "load" else name)
    batched = layer != "loss" and tensor in ("output", "input.gradient")
    batched = batched or (layer == "loss" and tensor not in TOTALS)
    layout = TensorLayout(array.shape, batched)
    maps, place = layout.maps(array), layout.place(index)
    assert seen.arrays["mosaic"] == maps.tobytes(), name
    assert seen.arrays["map"] == np.ascontiguousarray(maps[place[0]]).tobytes(), name
    assert seen.texts["picked"] == (place[0], place[1:])
    value = maps[place]
    assert seen.arrays["result"] == np.float64(value).tobytes()
    # The heads.
    count = len(maps)
    kernels = not batched and array.ndim >= 3
    noun = "kernel" if kernels else "map"
    assert seen.texts["mosaic head"][0] == f"{layer} · {count} {noun}{'s' * (count != 1)}"
    number = f"({index[0]}, {index[1]})" if kernels else place[0]
    assert seen.texts["map head"][0] == f"{noun} {number}"
    assert seen.texts["map head"][1].startswith(f"{tensor} · ahead")
    # Window and explanation.
    inner = list(index[1:] if tensor == "output" and batched else index)
    title = f"{layer if tensor == 'output' else name}{inner}"
    if layer == "loss" and tensor == "output":
        title = f"loss{list(index)}"
    assert seen.texts["window"][0] == title
    assert seen.texts["explanation head"][1] == title
    assert seen.texts["window"][2:] == (None, None if row.phase == "load" else True)
    words = seen.texts["explanation"]
    if row.phase == "load":
        assert f"{title} is {compact(float(value), 6)}: loaded" in words
    else:
        why = reference.explain(layer=layer, tensor=tensor, index=index)
        assert why.stored.tobytes() == value.tobytes()
        assert why.exact
        assert why.sentence in words
        assert seen.arrays["totals"] == np.asarray(why.terms.totals).tobytes()
        assert seen.texts["stages"] == [(s.label, s.value, s.formula) for s in why.stages]
    doing = row.phase if row.phase == layer else f"{row.phase} · {layer}"
    assert f"Next step: {doing}." in words
    assert "not computed" not in words
    # Status line, stack, network.
    shown = ",".join(str(i) for i in (index[1:] if batched else index))
    ahead = " (ahead)"
    assert seen.texts["place"] == f"{name}[{shown}] = {format_number(float(value), 6)}{ahead}"
    frames = current(seen)
    assert frames[1] == batch_words(cursor.epoch, cursor.batch)
    assert frames[2] == row.phase
    assert frames[3:] == ([] if row.phase in ("load", "loss") else [layer])
    assert seen.texts["strip"] == ((layer, layer) if layer != "loss" else (None, None))
    check_kernels(reference, row, seen)
    return seen


def check_kernels(reference: Session, row: Any, seen: Seen) -> None:
    """Check that the kernels of an operation with weights are its gradients, or its weights."""
    weights = [r for r in row.results if r.removesuffix(".gradient") == "weight"]
    if row.phase not in ("backward", "update") or not weights:
        return
    expected = reference.read(f"{row.layer}.{weights[0]}")
    assert seen.arrays["kernels"] == expected.tobytes()
    gradient = " · gradient" if row.phase == "backward" else ""
    assert seen.texts["kernels head"][0] == f"Kernels · {row.layer}{gradient}"
