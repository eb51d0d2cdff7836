"""The tour: from a picture through every layer into one pixel, and into one multiply-add."""

from __future__ import annotations

import numpy as np

from engine.commands.drawing import picture_text
from engine.commands.explaining import show_explanation, strongest, terms_around, terms_table
from engine.commands.output import Output, place
from engine.commands.sessions import Material
from engine.commands.walking import headline, operations_table, show_prediction, show_stack
from engine.debug import Position, Session
from engine.errors import ConfigurationError
from engine.layers import Conv2d
from engine.typing import Index


def tour(
    session: Session, material: Material, layer: str, index: Index | None, out: Output
) -> None:
    """Walk through a forward pass and say what is seen.

    Parameters
    ----------
    session : Session
        A forward pass that has not begun.
    material : Material
    layer : str
        Whose pixel is looked into.
    index : tuple of int or None
        Which pixel; the strongest one by default.
    out : Output
    """
    _show_picture(material, out)
    _walk_layers(session, out)
    chosen = index if index is not None else _strongest_pixel(session, layer)
    _look_into(session, layer, chosen, out)
    _step_into(session, layer, chosen, out)


def default_layer(session: Session) -> str:
    """Return the last convolution, else the last layer.

    Raises
    ------
    ConfigurationError
        If the model has no layer at all.
    """
    layers = [node for node in session.model.nodes if node.layer is not None]
    convolutions = [node.name for node in layers if isinstance(node.layer, Conv2d)]
    if not layers:
        raise ConfigurationError("step: expected a model with at least one layer")
    return convolutions[-1] if convolutions else layers[-1].name


def _show_picture(material: Material, out: Output) -> None:
    label = "" if material.label is None else f", label {material.label}"
    out.line(f"1. The input: {material.title}{label}", "bold")
    for step in material.steps:
        out.line(f"   {step}", "dim")
    if material.x[0].ndim == 3:
        out.show(picture_text(material.x[0], out.console))


def _walk_layers(session: Session, out: Output) -> None:
    out.heading("2. Stepping over every operation of the forward pass")
    # Once before, so that the times below are those of the operations and not of the first start.
    start = session.position
    session.resume()
    session.run_to(start)
    while not session.at_end:
        session.step_over()
    out.show(operations_table(session, list(session.program.operations)))
    out.heading("3. What it says")
    show_prediction(session, out)


def _strongest_pixel(session: Session, layer: str) -> Index:
    """Return where the layer's output is largest in the first sample."""
    output = session.program.read(session.model.node(layer).tensor)[0]
    found = np.unravel_index(int(np.nanargmax(output)), output.shape)
    return (0, *(int(i) for i in found))


def _look_into(session: Session, layer: str, index: Index, out: Output) -> None:
    explanation = session.explain(layer=layer, index=index)
    out.heading(f"4. Where one of these numbers comes from: {place(f'{layer}.output', index)}")
    show_explanation(explanation, out)
    if len(index) == 4:
        seen = session.receptive_field(layer, index)
        out.line(
            f"of the input it sees rows {seen.top} to {seen.bottom - 1} and columns {seen.left} to "
            f"{seen.right - 1}",
            "dim",
        )


def _step_into(session: Session, layer: str, index: Index, out: Output) -> None:
    """Go back before the layer and step into the pixel, down to its strongest term."""
    out.heading("5. The same place, stepped into")
    row = session.program.producers[f"{layer}.output"]
    operation = session.program.operations[row]
    session.run_to(Position(0, 0, operation.phase, row))
    session.pick(layer, index)
    out.line(f"before the layer: {headline(session)}")
    session.step_into()
    out.line(f"step into:        {headline(session)}")
    explanation = session.explain_position()
    best = None if explanation is None else strongest(explanation)
    if explanation is not None and best is not None:
        session.step_into()
        for _ in range(best):
            session.step_over()
        out.line(f"into, {best:3} over:   {headline(session)}")
        out.line()
        out.show(terms_table(explanation, terms_around(explanation, best, 2), best))
    out.line()
    show_stack(session, out)
    session.step_back()
    out.line()
    out.line(f"step back:        {headline(session)}")
    out.line()
    out.line("Go your own way: convscope step, in a terminal, or convscope app.", "dim")
