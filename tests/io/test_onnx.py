"""`export_onnx`: onnxruntime, and ONNX's own reference in float64, compute what the model does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from engine import Input, Model, Scheduler
from engine.errors import ConfigurationError, FormatError, StateError, UnsupportedOperator
from engine.io import export_onnx
from engine.io.onnx import export, operators
from engine.io.onnx.graph import LEAST_OPSET, graph_of
from engine.layers import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    Layer,
    MaxPool2d,
    ReLU,
)
from engine.losses import CrossEntropyLoss
from engine.ops import REGISTRY
from engine.optimizers import SGD
from engine.zoo import BUILDERS, build
from tests.building import DTYPES, randomise, unsettle
from tests.gallery import IMAGE, LAYERS, branching, chain

NEAR = 1e-5
"""Of the largest output."""
NEWEST = 21
DOCUMENT = Path(__file__).parents[2] / "docs" / "onnx.md"

# What the gallery does not have: forms whose conventions differ between frameworks.
MORE: dict[str, tuple[tuple[int, ...], Layer]] = {
    "same padding at stride 2": ((2, 7, 6), Conv2d(2, 3, 4, stride=2, padding="same")),
    "same padding of a pool": ((2, 7, 6), MaxPool2d(3, stride=2, padding="same")),
    "uneven padding of a pool": ((2, 7, 6), MaxPool2d(3, stride=1, padding=(1, 0, 0, 1))),
    "ceil, last window dropped": ((2, 5, 4), MaxPool2d(2, stride=3, padding=1, ceil_mode=True)),
    "ceil, window outside": ((2, 8, 5), MaxPool2d(3, stride=3, ceil_mode=True)),
    "ceil, dilated far outside": ((2, 9, 9), MaxPool2d(2, stride=3, dilation=4, ceil_mode=True)),
    "average, ceil with padding": ((2, 8, 5), AvgPool2d(3, stride=3, padding=1, ceil_mode=True)),
    "average, ceil, padding left out": (
        (2, 8, 5),
        AvgPool2d(3, stride=3, padding=1, ceil_mode=True, count_include_pad=False),
    ),
    "average, ceil without padding": ((2, 8, 5), AvgPool2d(3, stride=3, ceil_mode=True)),
    "average, ceil, last window dropped": (
        (2, 5, 4),
        AvgPool2d(2, stride=3, padding=1, ceil_mode=True),
    ),
    "average, uneven padding": ((2, 7, 6), AvgPool2d(3, stride=2, padding=(1, 0, 0, 1))),
    "average, dilated": ((2, 7, 6), AvgPool2d(2, stride=1, dilation=2, padding=1)),
    "average, dilated, padding left out": (
        (2, 7, 6),
        AvgPool2d(2, stride=1, dilation=2, padding=1, count_include_pad=False),
    ),
    "average, divisor and padding": ((2, 7, 6), AvgPool2d(3, padding=1, divisor_override=5)),
    "adaptive, even": ((2, 6, 8), AdaptiveAvgPool2d((3, 2))),
    "adaptive, one axis": ((2, 6, 7), AdaptiveAvgPool2d((None, 3))),
    "dense of rows without bias": ((3, 4, 6), Dense(6, 2, bias=False)),
    "batch norm with a large eps": ((3, 4, 4), BatchNorm2d(3, eps=0.3, momentum=0.4)),
}


def filled(model: Model, seed: int = 0) -> Model:
    """Return the model with random weights and running statistics."""
    randomise(model, seed)
    draws = np.random.default_rng(seed + 1)
    for name in list(model.state):
        model.state[name] = draws.uniform(0.5, 2, model.state[name].shape)
    return model


def inputs_of(model: Model, batch: int, seed: int = 0) -> list[Any]:
    draws = np.random.default_rng(seed)
    return [
        draws.standard_normal((batch, *model.node(name).output_shape)).astype(model.dtype)
        for name in model.inputs
    ]


def results(graph: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """Run a graph in onnxruntime; what it has no float64 kernels for, in ONNX's reference."""
    onnx.checker.check_model(graph, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        assert "NOT_IMPLEMENTED" in str(error)
        assert next(iter(feeds.values())).dtype == np.float64
        return list(ReferenceEvaluator(graph).run(None, feeds))
    return list(session.run(None, feeds))


def compare(model: Model, graph: onnx.ModelProto, batch: int = 3) -> None:
    """Demand that graph and model have the same outputs, in order, shape, dtype and value."""
    arrays = inputs_of(model, batch)
    mine = model(*arrays)
    expected = mine if isinstance(mine, tuple) else (mine,)
    assert [value.name for value in graph.graph.input] == list(model.inputs)
    received = results(graph, dict(zip(model.inputs, arrays, strict=True)))
    assert len(received) == len(expected)
    for got, want in zip(received, expected, strict=True):
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        assert want.std() > 0
        distance = np.abs(got - want).max()
        assert distance <= NEAR * np.abs(want).max(), f"off by {distance}"


def test_every_op_has_an_onnx_form() -> None:
    missing = set(REGISTRY) - set(operators.WRITERS)
    assert not missing, f"add a writer to engine/io/onnx/operators.py for {missing}"
    assert set(operators.WRITERS) <= set(REGISTRY)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_every_form_of_every_layer(name: str, dtype: str) -> None:
    model = filled(chain(name, dtype))
    compare(model, graph_of(model, export.OPSET, "dynamic"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MORE)
def test_conventions_that_differ(name: str, dtype: str) -> None:
    shape, layer = MORE[name]
    layer = type(layer)(**layer.config())  # a layer belongs to the models of one dtype
    model = filled(Model([layer], input_shape=shape, device="cpu", dtype=dtype))
    compare(model, graph_of(model, export.OPSET, "dynamic"))


@pytest.mark.parametrize("opset", [LEAST_OPSET, NEWEST])
def test_oldest_and_newer_operators(opset: int) -> None:
    for name in LAYERS:
        model = filled(chain(name, "float32"))
        graph = graph_of(model, opset, "dynamic")
        assert [(one.domain, one.version) for one in graph.opset_import] == [("", opset)]
        compare(model, graph)


@pytest.mark.parametrize("dtype", DTYPES)
def test_branches(dtype: str) -> None:
    model = filled(branching(dtype))
    compare(model, graph_of(model, export.OPSET, "dynamic"))


def several() -> Model:
    """Return a net with two inputs, four outputs and layers used twice."""
    left, right = Input((2, 6, 5), name="left"), Input((2, 6, 5), name="right")
    shared = Conv2d(2, 3, 3, padding=1, flip_kernel=True, name="shared")
    plain = Conv2d(3, 3, 1, name="plain")
    norm = BatchNorm2d(3, name="norm")
    a, b = norm(shared(left)), norm(shared(right))
    joined = Concat(axis=-1, name="joined")(plain(a), plain(b))
    total = Add(name="total")(a, b, a)
    scores = Dense(90, 4, name="scores")(Flatten()(total))
    return Model(inputs=[left, right], outputs=[scores, joined, scores, right], device="cpu")


def test_several_inputs_and_outputs_and_shared_layers() -> None:
    model = filled(several())
    graph = graph_of(model, export.OPSET, "dynamic")
    compare(model, graph)
    names = [value.name for value in graph.graph.output]
    assert names == ["scores", "joined", "scores.output3", "right.output4"]
    held = [tensor.name for tensor in graph.graph.initializer]
    assert len(held) == len(set(held))
    assert held.count("plain.weight") == 1
    assert "shared.weight" not in held  # only the turned kernel is needed


@pytest.mark.parametrize("name", BUILDERS)
def test_nets_of_the_zoo(name: str, tmp_path: Path) -> None:
    model = build(name, seed=3, device="cpu")
    unsettle(model)
    path = export_onnx(model, tmp_path / "net.onnx")
    compare(model, onnx.load(path), batch=2)


def test_any_batch_or_one() -> None:
    model = filled(chain("conv", "float32"))
    dynamic, fixed = graph_of(model, 17, "dynamic"), graph_of(model, 17, 3)
    for batch in (1, 2, 7):
        compare(model, dynamic, batch)
    compare(model, fixed, 3)
    first = dynamic.graph.input[0].type.tensor_type.shape.dim[0]
    assert (first.dim_param, first.dim_value) == ("batch", 0)
    assert fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 3
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        results(fixed, {"input": inputs_of(model, 2)[0]})


def test_weights_bear_their_names_and_layout() -> None:
    model = filled(build("lenet5_bn", device="cpu"))
    graph = graph_of(model, export.OPSET, "dynamic").graph
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    wanted = {name: p.value for name, p in model.parameters.items()} | dict(model.state)
    assert set(held) == set(wanted)
    for name, values in wanted.items():
        assert held[name].dtype == values.dtype
        assert np.array_equal(held[name], values)
    layers = [node.name for node in model.nodes if node.layer is not None]
    assert [node.name for node in graph.node] == layers


def test_training_is_not_exported() -> None:
    layers = [BatchNorm2d(4, name="it"), Flatten(), Dense(168, 2)]
    model = Model(layers, input_shape=IMAGE, device="cpu")
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(0.1))
    x = np.random.default_rng(0).standard_normal((8, *IMAGE)).astype(np.float32) * 3 + 1
    for _ in range(3):
        scheduler.step(x, np.arange(8) % 2)
    assert np.abs(model.state["it.running_mean"]).max() > 0.1
    compare(model, graph_of(model, export.OPSET, "dynamic"))


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        assert export_onnx(build("digits_cnn", seed=5), tmp_path / name) == tmp_path / name
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_failed_export_leaves_the_old_file(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "net.onnx"
    export_onnx(build("digits_cnn", seed=5), path)
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FormatError, match=r"net.onnx: cannot be written \(No space left"):
        export_onnx(build("digits_cnn", seed=6), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = chain("relu"), tmp_path / "net.onnx"
    with pytest.raises(StateError, match=r"expected a Model, received.*Scheduler"):
        export_onnx(Scheduler(model, CrossEntropyLoss(), SGD()), path)  # type: ignore[arg-type]
    for batch in (0, -1, True, 2.0, "any"):
        with pytest.raises(
            ConfigurationError, match="batch: expected a whole number of at least 1, or"
        ):
            export_onnx(model, path, batch=batch)  # type: ignore[arg-type]
    for opset in (LEAST_OPSET - 1, 1000, True, "17"):
        with pytest.raises(ConfigurationError, match=f"opset: expected {LEAST_OPSET} to "):
            export_onnx(model, path, opset=opset)  # type: ignore[arg-type]
    monkeypatch.delitem(operators.WRITERS, "relu")
    with pytest.raises(UnsupportedOperator, match="it: ReLU has no ONNX form; there are forms of"):
        export_onnx(model, path)
    monkeypatch.setattr(export, "LARGEST_BYTES", 10)
    with pytest.raises(ConfigurationError, match=r"at most 10 bytes of weights.*received 6,760"):
        export_onnx(chain("dense"), path)
    with pytest.raises(FormatError, match="cannot be written"):
        monkeypatch.undo()
        export_onnx(model, tmp_path / "none" / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_the_table_of_the_manual_tells_which_operators_are_written() -> None:
    """docs/onnx.md lists every layer with all operators that the forms tested here come to."""
    found: dict[str, set[str]] = {}
    models = [chain(name) for name in LAYERS] + [branching()]
    models += [
        Model([type(layer)(**layer.config())], input_shape=shape, device="cpu")
        for shape, layer in MORE.values()
    ]
    for model in models:
        graph = graph_of(model, export.OPSET, "dynamic").graph
        for node in graph.node:
            layer = type(model[node.name.partition(".step")[0]]).__name__
            found.setdefault(layer, set()).add(node.op_type)
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    listed = {layer: set(re.findall(r"`(\w+)`", cell)) for layer, cell in rows}
    assert listed == found


def test_relu_after_export_is_the_same_layer() -> None:
    """The names of intermediate results cannot meet those of layers."""
    model = Model([Dense(4, 3, name="it"), ReLU(name="it_step1")], input_shape=(2, 4), device="cpu")
    compare(filled(model), graph_of(model, export.OPSET, "dynamic"))
