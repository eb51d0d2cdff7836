"""Every op, through the public API, against the loops of tests/reference.py in both dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.layers import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    HardSwish,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from tests import reference as ref
from tests import strategies
from tests.building import DTYPES, joined, single, weights_of
from tests.reference import Array
from tests.tolerances import BACKWARD, FORWARD, assert_close, assert_same_bits

quick = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
both = pytest.mark.parametrize("dtype", DTYPES)


def check(model: Any, x: Array, forward: Array, backward: Callable[[Array], Any]) -> None:
    """Compare output, input gradient and parameter gradients of a one-layer model.

    `backward` maps the gradient of the output to (input gradient, {parameter: gradient}).
    """
    output = model(x)
    assert_close(output, forward, FORWARD, "output")
    # Twice: a buffer that is not cleared between passes shows the second time.
    for seed in (1, 2):
        grad_output = strategies.values(output.shape, seed, str(output.dtype))
        grad_input, grad_parameters = backward(grad_output)
        gradients = model.gradients(x, grad_output, training=False)
        assert_close(gradients.inputs[0], grad_input, BACKWARD, "input gradient")
        assert set(gradients.parameters) == set(grad_parameters)
        for name, expected in grad_parameters.items():
            assert_close(gradients.parameters[name], expected, BACKWARD, name)
    assert_same_bits(model(x), output, "output, once more")


# ------------------------------------------------------------------------------ convolution


def conv_layer(case: strategies.ConvCase) -> Any:
    return Conv2d(
        case.in_channels,
        case.out_channels,
        kernel_size=case.kernel,
        stride=case.settings.stride,
        padding=case.settings.padding,
        dilation=case.settings.dilation,
        groups=case.settings.groups,
        bias=case.bias,
        flip_kernel=case.settings.flip_kernel,
        name="conv",
    )


def check_conv(case: strategies.ConvCase, dtype: str) -> None:
    shape = (case.in_channels, *case.size)
    model = single(conv_layer(case), shape, dtype)
    x = strategies.values((case.batch, *shape), 5, dtype)
    w = weights_of(model)

    def backward(grad_output: Array) -> Any:
        gx, gw, gb = ref.conv2d_backward(x, w["conv.weight"], grad_output, case.settings)
        return gx, {"conv.weight": gw} | ({"conv.bias": gb} if case.bias else {})

    forward = ref.conv2d(x, w["conv.weight"], w.get("conv.bias"), case.settings)
    check(model, x, forward, backward)


@both
@quick
@given(case=strategies.conv_cases())
def test_conv2d_of_any_geometry(dtype: str, case: strategies.ConvCase) -> None:
    check_conv(case, dtype)


@both
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize(("size", "stride"), [((5, 7), 1), ((6, 5), 2), ((7, 4), 3)])
def test_conv2d_same_padding(dtype: str, kernel: int, size: ref.Pair, stride: int) -> None:
    padding = ref.same_pads(size, (kernel, kernel), (stride, stride), (1, 1))
    case = ref.ConvSettings(stride=(stride, stride), padding=padding)
    layer = Conv2d(2, 3, kernel_size=kernel, stride=stride, padding="same", name="conv")
    model = single(layer, (2, *size), dtype)
    x, w = strategies.values((2, 2, *size), 4, dtype), weights_of(model)
    expected = ref.conv2d(x, w["conv.weight"], w["conv.bias"], case)
    assert expected.shape[2:] == (-(-size[0] // stride), -(-size[1] // stride))
    assert_close(model(x), expected)


@pytest.mark.parametrize(("given_padding", "full"), [("valid", 0), (2, 2), ((1, 2), (1, 2))])
def test_conv2d_short_forms_of_padding(given_padding: Any, full: Any) -> None:
    model = single(Conv2d(1, 1, kernel_size=3, padding=given_padding, name="conv"), (1, 5, 6))
    x, w = strategies.values((1, 1, 5, 6), 4), weights_of(model)
    settings_ = ref.ConvSettings(padding=ref.pads(full))
    assert_close(model(x), ref.conv2d(x, w["conv.weight"], w["conv.bias"], settings_))


@pytest.mark.nojit
def test_the_articles_worked_example() -> None:
    x = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
    w = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 2, 2)
    expected = {
        (False, 0): [[37, 47], [67, 77]],
        (True, 0): [[23, 33], [53, 63]],
        (False, "same"): [[37, 47, 21], [67, 77, 33], [23, 26, 9]],
    }
    for (flip, padding), values in expected.items():
        layer = Conv2d(1, 1, 2, padding=padding, bias=False, flip_kernel=flip, name="conv")
        model = single(layer, (1, 3, 3), "float32")
        model["conv"].weight.value = w
        np.testing.assert_array_equal(model(x)[0, 0], values)


@both
def test_conv2d_of_many_channels(dtype: str) -> None:
    settings_ = ref.ConvSettings((1, 1), ref.pads(1))
    check_conv(strategies.ConvCase(2, 37, 17, (3, 4), (3, 3), settings_, True), dtype)


@both
def test_conv2d_depthwise(dtype: str) -> None:
    settings_ = ref.ConvSettings((2, 1), (1, 0, 2, 1), (1, 2), groups=11)
    check_conv(strategies.ConvCase(2, 11, 22, (7, 8), (3, 2), settings_, True), dtype)


# ---------------------------------------------------------------------------------- pooling


@both
@quick
@given(case=strategies.pool_cases(), ties=st.booleans())
def test_max_pool2d_of_any_geometry(dtype: str, case: strategies.PoolCase, ties: bool) -> None:
    shape = (case.channels, *case.size)
    s = case.settings
    layer = MaxPool2d(
        s.kernel,
        stride=s.stride,
        padding=s.padding,
        dilation=s.dilation,
        ceil_mode=s.ceil_mode,
    )
    x = strategies.values((case.batch, *shape), 6, dtype)
    if ties:
        x = np.round(x)
    forward = ref.max_pool2d(x, s)[0]
    check(
        single(layer, shape, dtype),
        x,
        forward,
        lambda g: (ref.max_pool2d_backward(x, g, s), {}),
    )


@both
@quick
@given(case=strategies.pool_cases(average=True))
def test_avg_pool2d_of_any_geometry(dtype: str, case: strategies.PoolCase) -> None:
    shape = (case.channels, *case.size)
    s = case.settings
    layer = AvgPool2d(
        s.kernel,
        stride=s.stride,
        padding=s.padding,
        ceil_mode=s.ceil_mode,
        count_include_pad=s.count_include_pad,
        divisor_override=s.divisor_override,
    )
    x = strategies.values((case.batch, *shape), 6, dtype)
    check(
        single(layer, shape, dtype),
        x,
        ref.avg_pool2d(x, s),
        lambda g: (ref.avg_pool2d_backward(x, g, s), {}),
    )


def test_the_stride_of_a_pool_is_its_kernel_unless_given() -> None:
    x = strategies.values((1, 2, 7, 9), 1)
    s = ref.PoolSettings((2, 3), (2, 3))
    assert_close(single(MaxPool2d((2, 3)), (2, 7, 9))(x), ref.max_pool2d(x, s)[0])
    assert_close(single(AvgPool2d((2, 3)), (2, 7, 9))(x), ref.avg_pool2d(x, s))


@both
def test_max_pool2d_lets_nan_and_infinities_through(dtype: str) -> None:
    x = np.array([[1, np.nan, -np.inf, -np.inf], [2, 3, -np.inf, -np.inf]], dtype)[None, None]
    output = single(MaxPool2d(2), (1, 2, 4), dtype)(x)
    np.testing.assert_array_equal(output[0, 0], [[np.nan, -np.inf]])


@both
@quick
@given(size=strategies.pairs(1, 9), output=strategies.pairs(1, 11))
def test_adaptive_avg_pool2d(dtype: str, size: ref.Pair, output: ref.Pair) -> None:
    x = strategies.values((2, 3, *size), 6, dtype)
    check(
        single(AdaptiveAvgPool2d(output), (3, *size), dtype),
        x,
        ref.adaptive_avg_pool2d(x, output),
        lambda g: (ref.adaptive_avg_pool2d_backward(x, g), {}),
    )


def test_adaptive_avg_pool2d_keeps_an_axis_given_as_none() -> None:
    x = strategies.values((2, 3, 5, 8), 6)
    model = single(AdaptiveAvgPool2d((None, 3)), (3, 5, 8))
    assert_close(model(x), ref.adaptive_avg_pool2d(x, (5, 3)))


@both
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (13, 1)])
def test_global_avg_pool2d(dtype: str, size: ref.Pair) -> None:
    x = strategies.values((3, 5, *size), 6, dtype)
    model = single(GlobalAvgPool2d(), (5, *size), dtype)
    shape = model(x).shape
    check(
        model,
        x,
        ref.global_avg_pool2d(x).reshape(shape),
        lambda g: (ref.global_avg_pool2d_backward(x, g), {}),
    )


# ------------------------------------------------------------------------- dense, batch norm


@both
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(1,), (7,), (3, 4)])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (17, 5), (64, 33)])
def test_dense(dtype: str, bias: bool, lead: tuple[int, ...], inputs: int, outputs: int) -> None:
    model = single(Dense(inputs, outputs, bias=bias, name="fc"), (*lead[1:], inputs), dtype)
    x, w = strategies.values((*lead, inputs), 7, dtype), weights_of(model)

    def backward(grad_output: Array) -> Any:
        gx, gw, gb = ref.dense_backward(x, w["fc.weight"], grad_output)
        return gx, {"fc.weight": gw} | ({"fc.bias": gb} if bias else {})

    check(model, x, ref.dense(x, w["fc.weight"], w.get("fc.bias")), backward)


@both
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("shape", "eps"), [((2, 3, 1, 1), 1e-5), ((4, 5, 3, 7), 1e-3)])
def test_batch_norm2d(dtype: str, training: bool, shape: tuple[int, ...], eps: float) -> None:
    channels = shape[1]
    model = single(BatchNorm2d(channels, eps=eps, name="bn"), shape[1:], dtype)
    rng = np.random.default_rng(2)
    state = ref.NormState(
        rng.standard_normal(channels).astype(dtype), rng.random(channels).astype(dtype) + 0.5
    )
    model.state["bn.running_mean"], model.state["bn.running_var"] = state
    x, w = strategies.values(shape, 7, dtype) * 2 + 1, weights_of(model)
    expected, _ = ref.batch_norm2d(x, w["bn.weight"], w["bn.bias"], state, training, eps)
    output = model.activations(x, ["bn"], training=training)["bn"]
    assert_close(output, expected, FORWARD, "output", 10)
    grad_output = strategies.values(shape, 8, dtype)
    gradients = model.gradients(x, grad_output, training=training)
    gx, gw, gb = ref.batch_norm2d_backward(x, w["bn.weight"], grad_output, state, training, eps)
    assert_close(gradients.inputs[0], gx, BACKWARD, "input gradient", 10)
    assert_close(gradients.parameters["bn.weight"], gw, BACKWARD, "weight gradient", 10)
    assert_close(gradients.parameters["bn.bias"], gb, BACKWARD, "bias gradient", 10)
    assert_same_bits(model.state["bn.running_mean"], state.mean, "mean is left alone")
    assert_same_bits(model.state["bn.running_var"], state.variance, "variance is left alone")


# ------------------------------------------------------------------------------ activations

ACTIVATIONS: dict[str, tuple[Callable[[], Any], Callable[..., Any], Callable[..., Any]]] = {
    "ReLU": (ReLU, ref.relu, ref.relu_backward),
    "LeakyReLU": (
        lambda: LeakyReLU(negative_slope=0.2),
        lambda x: ref.leaky_relu(x, 0.2),
        lambda x, g: ref.leaky_relu_backward(x, g, 0.2),
    ),
    "HardSwish": (HardSwish, ref.hard_swish, ref.hard_swish_backward),
    "Sigmoid": (Sigmoid, ref.sigmoid, ref.sigmoid_backward),
    "Tanh": (Tanh, ref.tanh, ref.tanh_backward),
}


@both
@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (2, 3, 5, 7), (2, 5, 4)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(dtype: str, name: str, shape: tuple[int, ...]) -> None:
    build, forward, backward = ACTIVATIONS[name]
    x = strategies.values(shape, 9, dtype) * 3
    model = single(build(), shape[1:], dtype)
    check(model, x, forward(x), lambda g: (backward(x, g), {}))


@both
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_at_special_values(dtype: str, name: str) -> None:
    build, forward, _ = ACTIVATIONS[name]
    x = np.array([[0.0, -0.0, 1e-40, -3.0, 3.0, 800.0, -800.0, np.nan]], dtype)
    assert_close(single(build(), (8,), dtype)(x), forward(x))


@both
@pytest.mark.parametrize(
    ("shape", "axis"), [((1, 1), 1), ((3, 17), -1), ((2, 3, 5, 7), 1), ((2, 3, 5, 7), 3)]
)
def test_softmax(dtype: str, shape: tuple[int, ...], axis: int) -> None:
    x = strategies.values(shape, 9, dtype) * 30
    check(
        single(Softmax(axis=axis), shape[1:], dtype),
        x,
        ref.softmax(x, axis),
        lambda g: (ref.softmax_backward(x, g, axis), {}),
    )


# ------------------------------------------------------------------ shapes, branches, dropout


@both
def test_flatten(dtype: str) -> None:
    x = strategies.values((3, 2, 5, 7), 9, dtype)
    model = single(Flatten(), (2, 5, 7), dtype)
    check(model, x, x.reshape(3, -1), lambda g: (g.reshape(x.shape), {}))


@both
@pytest.mark.parametrize("shape", [(3, 4, 5), (7,)])
def test_add(dtype: str, shape: tuple[int, ...]) -> None:
    parts = [strategies.values((2, *shape), seed, dtype) for seed in range(3)]
    model = joined(Add(), [shape] * 3, dtype)
    assert_close(model(*parts), parts[0].astype(np.float64) + parts[1] + parts[2])
    g = strategies.values((2, *shape), 9, dtype)
    for grad_input in model.gradients(tuple(parts), g).inputs:
        assert_same_bits(grad_input, g)


@both
@pytest.mark.parametrize(("axis", "shape"), [(1, (0, 3, 4)), (2, (3, 0, 4)), (3, (3, 4, 0))])
def test_concat(dtype: str, axis: int, shape: tuple[int, ...]) -> None:
    shapes = [tuple(s or size for s in shape) for size in (1, 2, 5)]
    parts = [strategies.values((2, *s), i, dtype) for i, s in enumerate(shapes)]
    model = joined(Concat() if axis == 1 else Concat(axis=axis), shapes, dtype)
    whole = np.concatenate(parts, axis=axis)
    assert_same_bits(model(*parts), whole)
    g = strategies.values(whole.shape, 9, dtype)
    expected = ref.concat_backward(parts, g, axis)
    for grad_input, part in zip(model.gradients(tuple(parts), g).inputs, expected, strict=True):
        assert_same_bits(grad_input, part.astype(dtype))


@both
@pytest.mark.parametrize("p", [0.0, 0.25, 0.5])
def test_dropout(dtype: str, p: float) -> None:
    model = single(Dropout(p, name="drop"), (5, 20, 20), dtype)
    x = np.abs(strategies.values((4, 5, 20, 20), 9, dtype)) + 1
    assert_same_bits(model(x), x, "prediction")
    output = model.activations(x, ["drop"], training=True)["drop"]
    mask = output != 0
    assert_close(output, ref.dropout(x, mask, p))
    # 2,000 draws: five standard deviations of the share of survivors.
    assert abs(mask.mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / mask.size) + 1e-12
    if p:
        assert len({mask[n].tobytes() for n in range(4)}) == 4, "samples have masks of their own"
