"""Model: names, shapes, branches, reading and writing numbers, prediction in pieces."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from engine import Input, Model
from engine.errors import ConfigurationError, EngineError
from engine.layers import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    ReLU,
    Tanh,
)
from tests import reference as ref
from tests.building import DTYPES, bits_of, randomise
from tests.strategies import values
from tests.tolerances import assert_close, assert_same_bits


def lenet(shape: tuple[int, int, int] = (1, 32, 32)) -> list[Any]:
    return [
        Conv2d(1, 6, 5, name="conv1"),
        Tanh(),
        AvgPool2d(2),
        Conv2d(6, 16, 5, name="conv2"),
        Tanh(),
        AvgPool2d(2),
        Flatten(),
        Dense(400, 120),
        Tanh(),
        Dense(120, 84),
        Tanh(),
        Dense(84, 10, name="logits"),
    ]


# ---------------------------------------------------------------------------- published figures

NETS: dict[str, tuple[Any, tuple[int, int, int], int, float]] = {
    "lenet-5": (lenet, (1, 32, 32), 61_706, 0.000417),
    "pytorch/examples mnist": (
        lambda: [
            Conv2d(1, 32, 3),
            ReLU(),
            Conv2d(32, 64, 3),
            ReLU(),
            MaxPool2d(2),
            Dropout(0.25),
            Flatten(),
            Dense(9216, 128),
            ReLU(),
            Dropout(0.5),
            Dense(128, 10),
        ],
        (1, 28, 28),
        1_199_882,
        0.0120,
    ),
    "keras mnist_convnet": (
        lambda: [
            Conv2d(1, 32, 3),
            ReLU(),
            MaxPool2d(2),
            Conv2d(32, 64, 3),
            ReLU(),
            MaxPool2d(2),
            Flatten(),
            Dropout(0.5),
            Dense(1600, 10),
        ],
        (1, 28, 28),
        34_826,
        0.00244,
    ),
    "tinygrad beautiful_mnist": (
        lambda: [
            Conv2d(1, 32, 5),
            ReLU(),
            Conv2d(32, 32, 5),
            ReLU(),
            BatchNorm2d(32),
            MaxPool2d(2),
            Conv2d(32, 64, 3),
            ReLU(),
            Conv2d(64, 64, 3),
            ReLU(),
            BatchNorm2d(64),
            MaxPool2d(2),
            Flatten(),
            Dense(576, 10),
        ],
        (1, 28, 28),
        87_850,
        0.0132,
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_parameters_and_multiply_adds_are_the_published_ones(name: str) -> None:
    build, shape, parameters, giga = NETS[name]
    model = Model(build(), input_shape=shape, device="cpu")
    assert sum(p.value.size for p in model.parameters.values()) == parameters
    summary = model.summary()
    assert f"{parameters:,} parameters" in summary
    millions = float(summary.splitlines()[-1].split(" M multiply-adds")[0].split()[-1])
    assert millions / 1000 == pytest.approx(giga, rel=5e-3)


def test_the_summary_has_a_line_for_each_layer() -> None:
    model = Model(lenet(), input_shape=(1, 32, 32), device="cpu")
    lines = model.summary().splitlines()
    for node in model.nodes:
        (line,) = [line for line in lines if line.split()[0] == node.name]
        shape = "(n, " + ", ".join(map(str, node.output_shape)) + ")"
        assert shape in line
    conv2 = next(line for line in lines if line.startswith("conv2"))
    assert "2,416" in conv2
    assert "240,000" in conv2


# --------------------------------------------------------------------------------- names, shapes


def test_layers_without_a_name_are_numbered_by_type() -> None:
    model = Model(
        [Conv2d(1, 2, 3), ReLU(), Conv2d(2, 2, 3), ReLU(name="last"), Flatten(), Dense(32, 2)],
        input_shape=(1, 8, 8),
    )
    names = [node.name for node in model.nodes]
    assert names == ["input", "conv2d1", "relu1", "conv2d2", "last", "flatten1", "dense1"]
    assert model.nodes[1].inputs == ("input",)
    assert model.nodes[1].output_shape == (2, 6, 6)
    assert list(model.parameters) == [
        "conv2d1.weight",
        "conv2d1.bias",
        "conv2d2.weight",
        "conv2d2.bias",
        "dense1.weight",
        "dense1.bias",
    ]


def test_a_list_is_the_simplest_graph() -> None:
    chain = Model(lenet(), input_shape=(1, 32, 32), seed=4, device="cpu")
    x = node = Input((1, 32, 32))
    for layer in lenet():
        node = layer(node)
    graph = Model(inputs=x, outputs=node, seed=4, device="cpu")
    assert [n.name for n in graph.nodes] == [n.name for n in chain.nodes]
    assert bits_of(chain) == bits_of(graph)
    images = values((2, 1, 32, 32), 0, "float32")
    assert_same_bits(chain(images), graph(images))


def test_branches_compute_what_they_say() -> None:
    x = Input((2, 5, 5))
    h = ReLU()(Conv2d(2, 3, 3, padding=1, name="a")(x))
    y = Add()(h, Conv2d(2, 3, 1, name="b")(x))
    z = Concat()(y, x)
    net = Model(inputs=x, outputs=z, device="cpu", dtype="float64")
    randomise(net, 3)
    v = values((2, 2, 5, 5), 1)
    w = {name: p.value for name, p in net.parameters.items()}
    padded = ref.ConvSettings(padding=ref.pads(1))
    left = ref.relu(ref.conv2d(v, w["a.weight"], w["a.bias"], padded))
    right = ref.conv2d(v, w["b.weight"], w["b.bias"])
    assert_close(net(v), np.concatenate([left + right, v], axis=1))


def test_several_inputs_and_outputs() -> None:
    a, b = Input((2, 4, 4)), Input((3, 4, 4))
    both = Concat()(a, b)
    total = Conv2d(5, 1, 1, name="mix")(both)
    net = Model(inputs=(a, b), outputs=(total, both), device="cpu", dtype="float64")
    u, v = values((2, 2, 4, 4), 1), values((2, 3, 4, 4), 2)
    mixed, joined = net(u, v)
    assert_same_bits(joined, np.concatenate([u, v], axis=1))
    w = net["mix"]
    assert_close(mixed, ref.conv2d(joined, w.weight.value, w.bias.value))
    gradients = net.gradients((u, v), (np.ones_like(mixed), np.zeros_like(joined)))
    assert [g.shape for g in gradients.inputs] == [u.shape, v.shape]
    expected = np.broadcast_to(w.weight.value[0], joined.shape)
    assert_close(np.concatenate(gradients.inputs, axis=1), expected)


def test_gradients_of_two_outputs_add_up() -> None:
    x = Input((3,))
    h = Tanh()(Dense(3, 4, name="first")(x))
    net = Model(
        inputs=x, outputs=(Dense(4, 2, name="l")(h), h), device="cpu", dtype="float64", seed=1
    )
    v = values((2, 3), 1)
    out, hidden = net(v)
    g1, g2 = values(out.shape, 2), values(hidden.shape, 3)
    both = net.gradients(v, (g1, g2)).inputs[0]
    one = net.gradients(v, (g1, np.zeros_like(g2))).inputs[0]
    other = net.gradients(v, (np.zeros_like(g1), g2)).inputs[0]
    assert_close(both, one + other)


def test_an_input_that_meets_itself() -> None:
    x = Input((2, 3, 3))
    net = Model(inputs=x, outputs=Add()(x, x), device="cpu", dtype="float64")
    v = values((2, 2, 3, 3), 1)
    assert_same_bits(net(v), v + v)
    assert_close(net.gradients(v, np.ones_like(v)).inputs[0], np.full_like(v, 2.0))


def test_a_shared_layer_has_one_set_of_parameters() -> None:
    a, b = Input((3,)), Input((3,))
    shared = Dense(3, 2, name="shared")
    net = Model(inputs=(a, b), outputs=Add()(shared(a), shared(b)), device="cpu", dtype="float64")
    assert list(net.parameters) == ["shared.weight", "shared.bias"]
    u, v = values((2, 3), 1), values((2, 3), 2)
    w, bias = net["shared"].weight.value, net["shared"].bias.value
    assert_close(net(u, v), ref.dense(u, w, bias) + ref.dense(v, w, bias))
    g = values((2, 2), 5)
    expected = ref.dense_backward(u, w, g)[1] + ref.dense_backward(v, w, g)[1]
    assert_close(net.gradients((u, v), g).parameters["shared.weight"], expected)


def test_a_graph_without_its_input_is_refused() -> None:
    x, other = Input((2,)), Input((2,))
    with pytest.raises(ConfigurationError, match="inputs="):
        Model(inputs=x, outputs=Add()(x, other))
    with pytest.raises(ConfigurationError):
        Model(inputs=x, outputs="here")  # type: ignore[arg-type, unused-ignore]
    with pytest.raises(ConfigurationError):
        ReLU()(np.zeros((1, 2)))  # type: ignore[arg-type, unused-ignore]


# --------------------------------------------------------------------------- reading and writing


def small(dtype: str = "float64", **options: Any) -> Model:
    layers = [
        Conv2d(1, 2, 3, name="conv"),
        BatchNorm2d(2, name="bn"),
        Dropout(0.5, name="drop"),
        Flatten(),
        Dense(32, 3, name="fc"),
    ]
    return Model(layers, input_shape=(1, 6, 6), device="cpu", dtype=dtype, **options)


def test_parameters_are_read_only_copies_and_assignment_writes() -> None:
    model = small()
    value = model["conv"].weight.value
    assert value.shape == (2, 1, 3, 3)
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 1
    new = values((2, 1, 3, 3), 3)
    model["conv"].weight.value = new
    assert_same_bits(model["conv"].weight.value, new)
    assert_same_bits(model.parameters["conv.weight"].value, new)
    new[:] = 0
    assert model["conv"].weight.value.any(), "a copy was taken"
    assert value.any(), "what was read before stays"


def test_a_write_reaches_the_next_prediction() -> None:
    model, x = small(), values((2, 1, 6, 6), 1)
    before = model(x)
    model["fc"].bias.value = model["fc"].bias.value + 1
    assert_close(model(x), before + 1)
    model.state["bn.running_mean"] = np.array([1.0, -1.0])
    assert np.abs(model(x) - before - 1).max() > 0.1


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_of_any_number_type_are_taken(dtype: str) -> None:
    model = small(dtype)
    x = np.random.default_rng(0).integers(0, 9, (2, 1, 6, 6))
    expected = model(x.astype(dtype))
    assert str(expected.dtype) == dtype
    for kind in ("int64", "uint8", "int16", "float16", "float32", "float64", ">f4", ">f8"):
        assert_same_bits(model(x.astype(kind)), expected, kind)
    assert_same_bits(model(x.astype(bool).tolist()), model(x.astype(bool)), "lists")


def test_inputs_in_any_memory_order_are_taken_and_left_alone() -> None:
    model = small()
    x = values((3, 1, 6, 6), 2)
    expected, kept = model(x), x.copy()
    for given in (
        np.asfortranarray(x),
        x.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0),
        np.repeat(x, 2, axis=3)[..., ::2],
        np.broadcast_to(x, x.shape),
        x[::-1].copy()[::-1],
    ):
        given.flags.writeable = False
        assert_same_bits(model(given), expected)
    np.testing.assert_array_equal(x, kept)


def test_a_result_belongs_to_the_caller() -> None:
    model, x = small(), values((2, 1, 6, 6), 2)
    first = model(x)
    kept = first.copy()
    model(values((2, 1, 6, 6), 3))
    assert_same_bits(first, kept)
    first[:] = 0
    assert_same_bits(model(x), kept)


# ------------------------------------------------------------------------------------- running


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 600])
def test_any_number_of_samples(count: int) -> None:
    """Long inputs go through in pieces; a sample's result does not depend on its neighbours."""
    model = small("float32")
    x = values((count, 1, 6, 6), 2, "float32")
    whole = model(x)
    assert whole.shape == (count, 3)
    for n in {0, count // 2, count - 1}:
        assert_same_bits(whole[n], model(x[n : n + 1])[0], f"sample {n}")


def test_no_samples_give_no_predictions_or_an_error() -> None:
    try:
        assert small()(np.zeros((0, 1, 6, 6))).shape == (0, 3)
    except EngineError as error:
        assert "sample" in str(error)


def test_activations_give_named_layers_in_public_order() -> None:
    model, x = small(), values((2, 1, 6, 6), 2)
    found = model.activations(x, ["conv", "fc"])
    assert set(found) == {"conv", "fc"}
    w = model["conv"]
    assert_close(found["conv"], ref.conv2d(x, w.weight.value, w.bias.value))
    assert_same_bits(found["fc"], model(x))


def test_activations_and_gradients_leave_the_model_alone() -> None:
    model, x = small(), values((4, 1, 6, 6), 2)
    before = bits_of(model)
    for training in (True, False):
        model.activations(x, ["fc"], training=training)
        model.gradients(x, np.ones((4, 3)), training=training)
        assert bits_of(model) == before


def test_models_of_both_kinds_side_by_side() -> None:
    """Kernels of one dtype stay alive while those of the other are compiled and collected."""
    x = values((2, 1, 6, 6), 2)
    one, other = small("float32"), small("float64")
    first, second = one(x), other(x)
    for _ in range(3):
        del other
        gc.collect()
        other = small("float64")
        assert_same_bits(one(x), first)
        assert_same_bits(other(x), second)
    assert_close(first, second, {"float32": 1e-5})


def test_float64_really_is_float64() -> None:
    model = Model(
        [Dense(1, 1, bias=False, name="fc")], input_shape=(1,), device="cpu", dtype="float64"
    )
    model["fc"].weight.value = np.array([[1 + 2.0**-40]])
    assert model(np.array([[1.0]]))[0, 0] == 1 + 2.0**-40


# ---------------------------------------------------------------------------- receptive fields


@pytest.mark.parametrize("seed", range(6))
def test_receptive_fields_are_the_pixels_that_matter(seed: int) -> None:
    """With positive weights, the gradient of one output pixel is positive just where it looks."""
    from engine.debug import Session

    rng = np.random.default_rng(seed)
    size = 17
    layers: list[Any] = []
    for number in range(3):
        kernel, stride = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        padding = int(rng.integers(0, kernel // 2 + 1))
        if number == 1:
            layers.append(AvgPool2d(kernel, stride=stride, padding=padding))
        else:
            layers.append(Conv2d(1, 1, kernel, stride=stride, padding=padding))
    model = Model(layers, input_shape=(1, size, size), device="cpu", dtype="float64")
    for parameter in model.parameters.values():
        parameter.value = np.ones(parameter.value.shape)
    last = model.nodes[-1]
    session = Session(model, np.zeros((1, 1, size, size)))
    for y, x in ((0, 0), (last.output_shape[1] - 1, 0), (last.output_shape[1] // 2,) * 2):
        grad_output = np.zeros((1, *last.output_shape))
        grad_output[0, 0, y, x] = 1
        seen = np.argwhere(
            model.gradients(np.ones((1, 1, size, size)), grad_output).inputs[0][0, 0]
        )
        box = session.receptive_field(last.name, (0, 0, y, x))
        rows = (max(box.top, 0), min(box.bottom, size))
        columns = (max(box.left, 0), min(box.right, size))
        assert (seen[:, 0].min(), seen[:, 0].max() + 1) == rows
        assert (seen[:, 1].min(), seen[:, 1].max() + 1) == columns
