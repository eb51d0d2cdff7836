"""What a call makes of what it is given: numbers of NumPy, names, and the cases people met."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from engine import Input, Model, Scheduler, load
from engine.arguments import Named
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.errors import ConfigurationError, EngineError, ShapeError, UnknownName, shown
from engine.initializers import NAMES, HeNormal, Initializer
from engine.io import export_onnx
from engine.layers import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    ReLU,
)
from engine.layers.norm import single_value_norms, single_value_problem
from engine.losses import CrossEntropyLoss, MSELoss
from engine.optimizers import SGD, Adam
from engine.regularizers import L2
from engine.scheduler import EarlyStopping
from engine.schedules import ExponentialDecay, StepDecay


def small(*layers: Any, shape: tuple[int, ...] = (2, 5, 6), **options: Any) -> Model:
    return Model(list(layers), input_shape=shape, device="cpu", seed=1, **options)


def session() -> Session:
    one = Session(small(Conv2d(2, 3, 3, name="conv")), np.ones((1, 2, 5, 6), np.float32))
    one.resume()
    return one


# What practitioners met: the call, and what its text has to say.
MET = {
    "an activation as a bias": (lambda: Dense(4, 2, "relu"), "Dense bias.*True or False.*ReLU()"),  # type: ignore[arg-type]
    "a bias that is no": (lambda: Conv2d(1, 1, 3, bias="no"), "Conv2d bias.*'no'"),  # type: ignore[arg-type]
    "half a pixel": (
        lambda: session().explain(layer="conv", index=(0, 0, 0, 0.5)),  # type: ignore[arg-type]
        r"explain index.*whole numbers.*\(0, 0, 0, 0.5\)",
    ),
    "a number as index": (lambda: session().explain(layer="conv", index=3), "explain index.*3"),  # type: ignore[arg-type]
    "an unknown initialiser": (
        lambda: Dense(4, 2, initializer="he"),
        'Dense initializer.*"he_normal".*"glorot_uniform".*received \'he\'',
    ),
    "the class of an initialiser": (
        lambda: Dense(4, 2, initializer=HeNormal),  # type: ignore[arg-type]
        r"Dense initializer.*call the class: HeNormal\(\.\.\.\)",
    ),
    "a number as penalty": (
        lambda: Dense(4, 2, regularizer=0.1),  # type: ignore[arg-type]
        r"Dense regularizer.*received 0.1; write L2\(0.1\)",
    ),
    "a text as probability": (lambda: Dropout("a"), "Dropout p.*at least 0 and at most 1.*'a'"),  # type: ignore[arg-type]
    "a text as strength": (lambda: L2("a"), "L2 strength.*at least 0.*'a'"),  # type: ignore[arg-type]
    "a text as momentum": (lambda: SGD(0.1, "a"), "SGD momentum.*'a'"),  # type: ignore[arg-type]
    "a number as path": (lambda: load(5), "load path.*received 5"),  # type: ignore[arg-type]
    "a text as least change": (
        lambda: EarlyStopping(min_delta="a"),  # type: ignore[arg-type]
        "EarlyStopping min_delta.*'a'",
    ),
    "an unknown parameter": (
        lambda: small(Conv2d(2, 3, 3, name="conv")).parameters["x"],
        "unknown parameter 'x'; there are: conv.weight, conv.bias",
    ),
    "truth as a number of channels": (lambda: Conv2d(True, 1, 3), "Conv2d in_channels.*True"),
    "bytes as two numbers": (lambda: Conv2d(1, 1, b"ab"), "Conv2d kernel_size.*b'ab'"),  # type: ignore[arg-type]
    "an endless learning rate": (lambda: SGD(float("inf")), "SGD learning_rate.*inf"),
    "one beta": (lambda: Adam(betas=(0.9,)), r"Adam betas.*two numbers.*\(0.9,\)"),
    "the output of a layer as input": (
        lambda: Model(inputs=ReLU()(Input(3)), outputs=Input(3)),
        "Model inputs.*made by Input.*ReLU",
    ),
    "one input twice": (
        lambda: Model(inputs=[NODE, NODE], outputs=ReLU()(NODE)),
        "Model inputs.*every node once",
    ),
    "more memory than there is": (lambda: BatchNorm2d(10**12), "channels.*at most 2147483647"),
}
NODE = Input(3)


@pytest.mark.parametrize("name", MET)
def test_what_people_met_is_refused_at_the_call(name: str) -> None:
    call, text = MET[name]
    with pytest.raises(EngineError, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_unknown_parameter_is_a_key_error_too() -> None:
    parameters = small(Conv2d(2, 3, 3, name="conv")).parameters
    with pytest.raises(KeyError):
        parameters["x"]
    with pytest.raises(UnknownName):
        parameters[[]]  # type: ignore[index]
    assert parameters.get("x") is None
    assert "x" not in parameters
    assert dict(parameters) == parameters
    assert Named("thing", {"a": 1})["a"] == 1


def test_numbers_of_numpy_are_numbers() -> None:
    """As loops over arrays, `np.prod` and `np.unravel_index` give them."""
    two = np.int64(2)
    layer = Conv2d(two, np.int32(4), np.array([3, 3]), padding=(two, two), groups=two)
    for value in (layer.in_channels, layer.groups, *layer.kernel_size, *layer.padding):  # type: ignore[misc]
        assert type(value) is int
    assert layer.weight.shape == (4, 1, 3, 3)
    assert type(Dropout(np.float32(0.5)).p) is float
    assert SGD(np.float64(0.5), momentum=np.float32(0.5)).momentum == 0.5
    assert small(MaxPool2d(np.int64(2))).output_shape == (2, 2, 3)
    assert Input((np.int64(3), np.uint8(4))).output_shape == (3, 4)
    why = session().explain(layer="conv", index=np.unravel_index(7, (1, 3, 3, 4)))
    assert why.index == (0, 0, 1, 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"epoch": "a"},
        {"batch": 0.5},
        {"operation": None},
        {"operation": True},
        {"sample": [1]},
        {"term": np.zeros(3)},
        {"phase": 3},
        {"tensor": b"a"},
        {"epoch": 10**30},
        {"operation": 10**5000},
        {"operation": -1},
    ],
)
def test_a_position_of_nonsense_is_refused(fields: dict[str, Any]) -> None:
    one = session()
    with pytest.raises(EngineError, match="run_to") as caught:
        one.run_to(replace(one.position, **fields))
    assert "\n" not in str(caught.value)


# -- initialisers by name --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_initialiser_by_name_is_the_one_of_the_class(name: str) -> None:
    layer = Dense(4, 3, initializer=name)
    assert isinstance(layer.initializer, Initializer)
    by_name = small(layer, shape=(4,))
    by_class = small(Dense(4, 3, initializer=NAMES[name]()), shape=(4,))
    np.testing.assert_array_equal(
        by_name.parameters["dense1.weight"].value, by_class.parameters["dense1.weight"].value
    )
    assert layer.config()["initializer"] == {
        "type": NAMES[name].__name__,
        "config": {key: getattr(layer.initializer, key) for key in layer.initializer.config()},
    }


# -- dropping everything ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [1, 1.0, np.float32(1)])
def test_dropping_everything_gives_zeros(p: Any, dtype: str) -> None:
    model = small(Conv2d(2, 2, 1, name="conv"), Dropout(p, name="drop"), dtype=dtype)
    x = np.random.default_rng(0).standard_normal((3, 2, 5, 6))
    trained = model.activations(x, ["drop", "conv"], training=True)
    assert trained["conv"].any()
    assert not trained["drop"].any()
    gradients = model.gradients(x, np.ones((3, 2, 5, 6)), training=True)
    assert not gradients.inputs[0].any()
    assert not gradients.parameters["conv.weight"].any()
    np.testing.assert_array_equal(model(x), model.activations(x, ["conv"])["conv"])


def test_dropping_everything_is_explained() -> None:
    model = small(Dropout(1, name="drop"), Flatten(), Dense(60, 1))
    data = Dataset(np.ones((4, 2, 5, 6), np.float32), np.zeros((4, 1), np.float32))
    run = Session(Scheduler(model, MSELoss(), SGD()), loader=DataLoader(data, 2), epochs=1)
    run.resume(batches=1)
    run.step_back()
    run.run_to(run.position)
    run.resume(batches=2)
    why = run.explain(layer="drop", index=(0, 1, 2, 3))
    assert why.exact
    assert why.value == 0
    assert "all are dropped" in why.formula


def test_dropping_everything_leaves_a_file_that_runs(tmp_path: Path) -> None:
    model = small(Dropout(1), Conv2d(2, 1, 3))
    path = export_onnx(model, tmp_path / "drop.onnx")
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 6)).astype(np.float32)
    (given,) = onnxruntime.InferenceSession(str(path)).run(None, {"input": x})
    np.testing.assert_allclose(given, model(x), atol=1e-6)


# -- pools -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dilation", [2, 3, (3, 1), (1, 4)])
@pytest.mark.parametrize("kernel", [2, 3, (2, 3)])
@pytest.mark.parametrize("kind", ["max", "mean", "mean of pixels"])
def test_dilated_pools_may_keep_the_size(
    kind: str, kernel: Any, dilation: Any, tmp_path: Path
) -> None:
    keywords = {"stride": 1, "padding": "same", "dilation": dilation, "name": "pool"}
    layer: Any = (
        MaxPool2d(kernel, **keywords)
        if kind == "max"
        else AvgPool2d(kernel, count_include_pad=kind == "mean", **keywords)
    )
    model = small(layer, shape=(2, 8, 9))
    assert model.output_shape == (2, 8, 9)
    x = np.random.default_rng(0).standard_normal((2, 2, 8, 9)).astype(np.float32)
    expected = plain_pool(x, layer, kind)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5)
    path = export_onnx(model, tmp_path / "pool.onnx")
    (given,) = onnxruntime.InferenceSession(str(path)).run(None, {"input": x})
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-6)


def plain_pool(x: Any, layer: Any, kind: str) -> Any:
    """Return what the layer is meant to give, pixel by pixel; odd padding comes last."""
    (ky, kx), (dy, dx) = layer.kernel_size, layer.dilation
    height, width = x.shape[2:]
    top, left = (ky - 1) * dy // 2, (kx - 1) * dx // 2
    result = np.empty_like(x)
    for y in range(height):
        for z in range(width):
            rows = [y - top + i * dy for i in range(ky)]
            columns = [z - left + i * dx for i in range(kx)]
            cells = [
                x[:, :, r, c] for r in rows for c in columns if 0 <= r < height and 0 <= c < width
            ]
            if kind == "max":
                result[:, :, y, z] = np.max(cells, axis=0)
            else:
                count = len(cells) if kind == "mean of pixels" else ky * kx
                result[:, :, y, z] = np.sum(cells, axis=0) / count
    return result


def test_padding_of_a_dilated_pool_is_measured_by_what_its_window_spans() -> None:
    """PyTorch's rule: at most half of dilation * (kernel - 1) + 1."""
    assert small(MaxPool2d(3, 1, padding=3, dilation=3)).output_shape == (2, 5, 6)
    with pytest.raises(ShapeError, match=r"more than half of the 7x7 pixels.*at most \(3, 3\)"):
        small(MaxPool2d(3, 1, padding=4, dilation=3))
    with pytest.raises(ShapeError, match="meets only padding"):
        small(MaxPool2d((1, 2), 1, padding=(0, 0, 3, 3), dilation=(1, 6)), shape=(2, 9, 2))


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "conv.weight",
        "conv.output",
        "a b",
        "1",
        "",
        "loss",
        "epoch",
        "step",
        "rates",
        "counters",
        "batch",
        "a\n",
        3,
        b"a",
    ],
)
def test_an_input_is_named_like_a_layer_and_like_no_other_tensor(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="Input name"):
        Input((1, 8, 8), name=name)


@pytest.mark.parametrize("name", ["loss", "a.output", "loss.output", "a b", ""])
def test_a_layers_name_is_refused_where_it_is_given(name: str) -> None:
    with pytest.raises(ConfigurationError, match="ReLU name"):
        ReLU(name=name)


def test_every_name_of_a_tensor_means_one_thing(tmp_path: Path) -> None:
    """All names there are, on a graph that makes a point of being confusing."""
    left, right = Input((2, 5, 6), name="input"), Input((2, 5, 6), name="weight")
    convolution = Conv2d(2, 2, 1, name="bias")
    bottom = Add(name="output")(convolution(left), BatchNorm2d(2, name="gradient")(right))
    model = Model(inputs=[left, right], outputs=Flatten(name="input1")(bottom), device="cpu")
    names = [*model.inputs, *(f"{n.name}.output" for n in model.nodes if n.layer)]
    names += [*model.parameters, *model.state]
    assert len(set(names)) == len(names)
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 6)).astype(np.float32)
    outputs = onnxruntime.InferenceSession(str(export_onnx(model, tmp_path / "a.onnx"))).run(
        None, {"input": x, "weight": 2 * x}
    )
    np.testing.assert_allclose(outputs[0], model(x, 2 * x), rtol=1e-5, atol=1e-5)


# -- batch normalisation of single values ----------------------------------------------------------


def test_batches_of_one_value_per_channel_are_found() -> None:
    model = small(
        Conv2d(2, 3, 3, name="conv"),
        BatchNorm2d(3, name="wide"),
        Conv2d(3, 3, (3, 4), name="all"),
        BatchNorm2d(3, name="bn"),
    )
    assert single_value_norms(model.nodes, 1) == ["bn"]
    assert single_value_norms(model.nodes, 2) == []
    problem = single_value_problem(model.nodes, samples=65, batch_size=64)
    assert problem is not None
    for word in ("65", "64", "bn", "drop_last=True", "last batch"):
        assert word in problem
    assert "wide" not in problem
    assert single_value_problem(model.nodes, 65, 64, drop_last=True) is None
    assert single_value_problem(model.nodes, 66, 64) is None
    assert "every batch" in str(single_value_problem(model.nodes, 5, 1))
    assert "at least 2" in str(single_value_problem(model.nodes, 5, 1, drop_last=True))
    assert single_value_problem(small(BatchNorm2d(2)).nodes, 65, 64) is None


# -- schedules that run away -----------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [StepDecay(0.1, 1, factor=10), ExponentialDecay(0.1, 10.0)])
def test_a_rate_beyond_all_numbers_is_told_at_its_step(schedule: Any) -> None:
    assert schedule(2) == pytest.approx(10.0)
    with pytest.raises(ConfigurationError, match="step 400 is beyond all numbers"):
        schedule(400)


# -- labels in foreign byte order ------------------------------------------------------------------


def test_labels_in_the_other_byte_order_are_the_same_labels() -> None:
    scores, labels = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 2, 1, 2])
    loss = CrossEntropyLoss()
    assert loss(scores, labels.astype(">i8")) == loss(scores, labels.astype("<i8"))
    with pytest.raises(EngineError, match="labels 0 to 2"):
        loss(scores, np.array([0, 2**56, 1, 2], ">i8"))


# -- how objects look ------------------------------------------------------------------------------


def test_texts_show_every_setting_that_was_given() -> None:
    assert repr(Adam()) == (
        "Adam(learning_rate=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)"
    )
    assert repr(SGD(StepDecay(0.1, 5), 0.9)) == (
        "SGD(learning_rate=StepDecay(start=0.1, every=5, factor=0.1), momentum=0.9, "
        "nesterov=False, weight_decay=0.0)"
    )
    assert repr(
        Dense(3, 2, bias=False, initializer="he_normal", regularizer=L2(0.5), name="fc")
    ) == (
        "Dense(in_features=3, out_features=2, bias=False, initializer=HeNormal(), "
        "regularizer=L2(strength=0.5), name='fc')"
    )
    assert repr(CrossEntropyLoss(weight=[1, 2])) == (
        "CrossEntropyLoss(reduction='mean', weight=(1.0, 2.0), ignore_index=-100, "
        "label_smoothing=0.0)"
    )
    assert len(repr(CrossEntropyLoss(weight=np.ones(10_000)))) < 200
    assert shown(L2(0.5)) == "L2(strength=0.5)"
