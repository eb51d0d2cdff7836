"""Twenty training steps side by side: the engine against a network built from the references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler
from engine.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    MaxPool2d,
    ReLU,
    Tanh,
)
from engine.losses import CrossEntropyLoss, MSELoss
from engine.optimizers import SGD, Adam, AdamW
from tests import reference as ref
from tests.building import DTYPES, weights_of
from tests.reference import Array
from tests.tolerances import TRACE, assert_close

STEPS = 20
SAMES = ref.ConvSettings(padding=ref.pads(1))
HALF = ref.PoolSettings((2, 2), (2, 2))


def digits(count: int = 4, size: int = 8) -> tuple[Array, Array]:
    rng = np.random.default_rng(7)
    return rng.standard_normal((STEPS, count, 1, size, size)), rng.integers(0, 4, (STEPS, count))


def conv_net() -> list[Any]:
    return [
        Conv2d(1, 2, 3, padding=1, name="c1"),
        ReLU(),
        MaxPool2d(2),
        Conv2d(2, 3, 3, padding=1, name="c2"),
        Tanh(),
        AvgPool2d(2),
        Flatten(),
        Dense(12, 4, name="f"),
    ]


def conv_net_reference(w: dict[str, Array], x: Array, y: Array) -> tuple[float, dict[str, Array]]:
    """Return loss and gradients of `conv_net`, forward and backward written out."""
    a1 = ref.conv2d(x, w["c1.weight"], w["c1.bias"], SAMES)
    r1 = ref.relu(a1)
    p1, _ = ref.max_pool2d(r1, HALF)
    a2 = ref.conv2d(p1, w["c2.weight"], w["c2.bias"], SAMES)
    t2 = ref.tanh(a2)
    p2 = ref.avg_pool2d(t2, HALF)
    flat = p2.reshape(len(x), -1)
    logits = ref.dense(flat, w["f.weight"], w["f.bias"])
    g = ref.cross_entropy_backward(logits, y)
    g_flat, g_fw, g_fb = ref.dense_backward(flat, w["f.weight"], g)
    g_t2 = ref.avg_pool2d_backward(t2, g_flat.reshape(p2.shape), HALF)
    g_p1, g_w2, g_b2 = ref.conv2d_backward(p1, w["c2.weight"], ref.tanh_backward(a2, g_t2), SAMES)
    g_r1 = ref.max_pool2d_backward(r1, g_p1, HALF)
    _, g_w1, g_b1 = ref.conv2d_backward(x, w["c1.weight"], ref.relu_backward(a1, g_r1), SAMES)
    gradients = {
        "c1.weight": g_w1,
        "c1.bias": g_b1,
        "c2.weight": g_w2,
        "c2.bias": g_b2,
        "f.weight": g_fw,
        "f.bias": g_fb,
    }
    return float(ref.cross_entropy(logits, y)), gradients


OPTIMISERS: dict[str, tuple[Any, Any, float]] = {
    "sgd": (lambda: SGD(learning_rate=0.05), ref.SGDReference, 0.05),
    "momentum": (
        lambda: SGD(learning_rate=0.05, momentum=0.9, weight_decay=1e-2),
        lambda: ref.SGDReference(0.9, weight_decay=1e-2),
        0.05,
    ),
    "nesterov": (
        lambda: SGD(learning_rate=0.02, momentum=0.9, nesterov=True),
        lambda: ref.SGDReference(0.9, nesterov=True),
        0.02,
    ),
    "adam": (lambda: Adam(learning_rate=1e-3), ref.AdamReference, 1e-3),
    "adamw": (
        lambda: AdamW(learning_rate=1e-3, weight_decay=0.1),
        lambda: ref.AdamReference(weight_decay=0.1, decoupled=True),
        1e-3,
    ),
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, "float64") for name in OPTIMISERS), ("momentum", "float32"), ("adam", "float32")],
)
def test_a_network_follows_its_reference(name: str, dtype: str) -> None:
    build, build_reference, rate = OPTIMISERS[name]
    xs, ys = digits()
    xs = xs.astype(dtype)
    model = Model(conv_net(), input_shape=(1, 8, 8), seed=0, device="cpu", dtype=dtype)
    scheduler = Scheduler(model, CrossEntropyLoss(), build())
    w, optimiser = weights_of(model), build_reference()
    # Adam divides by the root of tiny squares: one rounding there is one of the step's size.
    factor = 10.0 if name.startswith("adam") else 1.0
    for step, (x, y) in enumerate(zip(xs, ys, strict=True)):
        loss, gradients = conv_net_reference(w, x, y)
        optimiser.step(w, gradients, rate)
        found = np.asarray(scheduler.step(x, y), dtype)
        assert_close(found, loss, TRACE, f"loss of step {step}", factor)
    for parameter, value in weights_of(model).items():
        assert_close(value.astype(dtype), w[parameter], TRACE, parameter, factor)


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_norm_follows_its_reference_with_its_statistics(dtype: str) -> None:
    xs, _ = digits()
    xs = xs.astype(dtype)
    targets = np.random.default_rng(8).standard_normal((STEPS, 4, 3, 1, 1)).astype(dtype)
    model = Model(
        [Conv2d(1, 3, 3, name="c"), BatchNorm2d(3, name="bn"), ReLU(), GlobalAvgPool2d()],
        input_shape=(1, 8, 8),
        seed=0,
        device="cpu",
        dtype=dtype,
    )
    scheduler = Scheduler(model, MSELoss(), SGD(learning_rate=0.1, momentum=0.5))
    w, optimiser = weights_of(model), ref.SGDReference(0.5)
    state = ref.NormState(np.zeros(3), np.ones(3))
    for step, (x, target) in enumerate(zip(xs, targets, strict=True)):
        target = target.reshape(len(x), *model.nodes[-1].output_shape)
        a = ref.conv2d(x, w["c.weight"], w["c.bias"])
        n, after = ref.batch_norm2d(a, w["bn.weight"], w["bn.bias"], state, training=True)
        r = ref.relu(n)
        out = ref.global_avg_pool2d(r).reshape(target.shape)
        g = ref.mse_backward(out, target)
        g = ref.relu_backward(n, ref.global_avg_pool2d_backward(r, g))
        g, g_gain, g_shift = ref.batch_norm2d_backward(a, w["bn.weight"], g, state, training=True)
        _, g_w, g_b = ref.conv2d_backward(x, w["c.weight"], g)
        gradients = {"c.weight": g_w, "c.bias": g_b, "bn.weight": g_gain, "bn.bias": g_shift}
        optimiser.step(w, gradients, 0.1)
        state = after
        loss = np.asarray(scheduler.step(x, target), dtype)
        assert_close(loss, ref.mse(out, target), TRACE, f"loss of step {step}")
    for name, value in weights_of(model).items():
        assert_close(value.astype(dtype), w[name], TRACE, name)
    assert_close(model.state["bn.running_mean"], state.mean, TRACE, "running mean")
    assert_close(model.state["bn.running_var"], state.variance, TRACE, "running variance")
