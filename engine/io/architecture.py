"""A model's graph as plain data, and back."""

from __future__ import annotations

from typing import Any

from engine.config import decode, encode
from engine.errors import FormatError
from engine.layers.base import Layer
from engine.layers.graph import Input, Node
from engine.model import Model


def model_to_data(model: Model) -> dict[str, Any]:
    """Return the graph, seed and dtype as JSON-able data; a shared layer is written once."""
    layers: dict[int, int] = {}
    written: list[Any] = []
    nodes: list[dict[str, Any]] = []
    for node in model.nodes:
        if node.layer is None:
            nodes.append({"name": node.name, "shape": list(node.output_shape)})
            continue
        if id(node.layer) not in layers:
            layers[id(node.layer)] = len(written)
            entry = encode(node.layer)
            entry["config"]["name"] = node.name
            frozen = [name for name, p in node.layer.parameters.items() if not p.trainable]
            written.append({**entry, "frozen": frozen})
        nodes.append(
            {
                "name": node.name,
                "layer": layers[id(node.layer)],
                "inputs": list(node.inputs),
                "stream": node.layer.stream(node.name),
            }
        )
    return {
        "layers": written,
        "nodes": nodes,
        "inputs": list(model.inputs),
        "outputs": list(model.outputs),
        "seed": model.seed,
        "dtype": model.dtype,
        "convolution": model.convolution,
    }


def model_from_data(
    data: dict[str, Any], device: str = "auto", threads: int | None = None
) -> Model:
    """Return the model that `model_to_data` described, with fresh parameters.

    Raises
    ------
    FormatError
        If the description does not make sense.
    """
    layers: list[Layer] = []
    for entry in data["layers"]:
        layer = decode({"type": entry["type"], "config": entry["config"]})
        if not isinstance(layer, Layer):
            raise FormatError(f"run file: expected a layer, received {entry['type']}")
        for name in entry.get("frozen", ()):
            layer.parameters[name].trainable = False
        layers.append(layer)
    nodes: dict[str, Node] = {}
    for entry in data["nodes"]:
        name = entry["name"]
        if "shape" in entry:
            nodes[name] = Input(tuple(entry["shape"]), name=name)
        elif not 0 <= entry["layer"] < len(layers):
            raise FormatError(
                f"run file: node {name} names layer {entry['layer']} of {len(layers)}"
            )
        else:
            nodes[name] = layers[entry["layer"]](*(nodes[source] for source in entry["inputs"]))
    model = Model(
        inputs=[nodes[name] for name in data["inputs"]],
        outputs=[nodes[name] for name in data["outputs"]],
        seed=data["seed"],
        dtype=data["dtype"],
        convolution=data.get("convolution", "direct"),
        device=device,
        threads=threads,
    )
    _restore_streams(model, data["nodes"])
    return model


def _restore_streams(model: Model, entries: list[dict[str, Any]]) -> None:
    """Let every node draw from the random stream that it had when the file was written.

    Names may have changed since, but not the order. Runs that were written before streams belonged
    to names go on as they began: there, the number of a node was its stream.
    """
    if len(model.nodes) != len(entries):
        raise FormatError(
            f"run file: expected the {len(model.nodes)} nodes that the outputs need, "
            f"received {len(entries)}"
        )
    for number, (node, entry) in enumerate(zip(model.nodes, entries, strict=True)):
        stream = entry.get("stream", number)
        if not isinstance(stream, int) or not 0 <= stream < 2**32:
            raise FormatError(
                f"run file: node {node.name}: expected a stream from 0 to {2**32 - 1}, "
                f"received {stream!r}"
            )
        if node.layer is not None:
            node.layer.keep_stream(node.name, stream)
