"""Explanations: the replayed number has the stored bits, everywhere, for every kind of layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine import Input, Model, Scheduler
from engine.data import DataLoader, Dataset, load_mnist
from engine.debug import Session
from engine.explanation import Explanation
from engine.layers import (
    BatchNorm2d,
    Conv2d,
    Dense,
    Flatten,
    MaxPool2d,
    Tanh,
)
from engine.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from engine.optimizers import SGD, Adam, AdamW
from engine.regularizers import L1, L2
from engine.zoo import lenet5
from tests.gallery import CONVOLUTIONS, IMAGE, LAYERS, branching
from tests.tolerances import assert_same_bits

BATCH = 10
"""More than the eight chunks in which sums over a batch run, and no multiple of them."""

PENALISED: dict[str, Callable[[], list[Any]]] = {
    "conv with penalty": lambda: [Conv2d(4, 3, 3, regularizer=L2(0.1), name="it")],
    "conv 1x1 with penalty": lambda: [Conv2d(4, 3, 1, regularizer=L1(0.1), name="it")],
}
FORMS = LAYERS | PENALISED

OPTIMISERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: SGD(learning_rate=0.05),
    "momentum": lambda: SGD(learning_rate=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda: SGD(learning_rate=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda: Adam(learning_rate=1e-3, weight_decay=0.01),
    "adamw": lambda: AdamW(learning_rate=1e-3),
}


def around(layers: list[Any], dtype: str, convolution: str = "direct") -> Model:
    """Put layers to be looked at between two that have parameters, so that gradients flow."""
    first = Conv2d(4, 4, 1, name="before")
    return Model(
        [first, *layers, Flatten(name="flat")],
        input_shape=IMAGE,
        seed=1,
        device="cpu",
        dtype=dtype,
        convolution=convolution,
    )


def training(model: Model, loss: Any = None, optimizer: Any = None, classes: bool = False) -> Any:
    """Return a session over three batches of random data, the last one smaller."""
    rng = np.random.default_rng(3)
    count = 2 * BATCH + 3
    x = rng.standard_normal((count, *model.input_shape)).astype(model.dtype)
    shape = (count, *model.output_shape)
    if classes:
        y = rng.integers(0, model.output_shape[0], count)
    else:
        y = rng.random(shape).astype(model.dtype)
    optimizer = optimizer or SGD(learning_rate=0.05, momentum=0.9, weight_decay=0.01)
    scheduler = Scheduler(model, loss or MSELoss(reduction="sum"), optimizer)
    return Session(scheduler, loader=DataLoader(Dataset(x, y), batch_size=BATCH))


def check(session: Any, layer: str, tensor: str, index: tuple[int, ...]) -> Explanation:
    """Explain one element: same bits, and terms and stages that lead there."""
    why: Explanation = session.explain(layer=layer, index=index, tensor=tensor)
    assert_same_bits(why.value, why.stored, f"{layer} {tensor} {index}")
    assert why.exact
    assert why.index == tuple(index)
    assert why.sentence
    assert why.formula
    assert "\n" not in why.sentence
    if len(why.terms):
        last = why.terms[len(why.terms) - 1]
        assert np.isfinite(last.total)
    else:
        assert why.stages
    for patch in why.patches:
        assert patch.values.shape == patch.terms.shape
        used = patch.terms[patch.terms >= 0]
        assert used.size == 0 or used.max() < max(len(why.terms), 1)
    return why


def check_operation(session: Any, row: Any, places: int, rng: Any) -> int:
    """Explain random elements of everything the operation just run has computed."""
    count = 0
    for result in row.results:
        if row.phase == "load":
            continue
        values = session.read(f"{row.layer}.{result}")
        assert values is not None, (row.layer, result)
        for _ in range(places):
            index = tuple(int(rng.integers(size)) for size in values.shape)
            why = check(session, row.layer, result, index)
            assert_same_bits(why.stored, values[index], f"{row.layer} {result} {index}")
            count += 1
    return count


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMS)
def test_layer(name: str, dtype: str) -> None:
    """Every result of every operation, right after it ran, over two batches."""
    session = training(around(FORMS[name](), dtype, CONVOLUTIONS.get(name, "direct")))
    rng = np.random.default_rng(0)
    while session.position.batch < 2:
        row = session.program.operations[session.position.operation]
        session.step_over()
        looked = row.layer == "it" or row.phase != "forward"
        if session.position.batch == 2 or not looked:
            continue
        check_operation(session, row, 4, rng)


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_update(name: str, dtype: str) -> None:
    model = around([Conv2d(4, 2, 3, name="it"), BatchNorm2d(2)], dtype)
    session = training(model, optimizer=OPTIMISERS[name]())
    rng = np.random.default_rng(0)
    seen = set()
    while session.position.batch < 2 or session.position.phase != "update":
        session.step_over()
    rows = [row for row in session.program.operations if row.phase == "update"]
    for row in rows[:-1]:
        session.step_over()
        check_operation(session, row, 6, rng)
        seen.update(f"{row.layer}.{result}" for result in row.results)
    assert "it.weight" in seen
    # The last update ends the batch: its explanation is that of the newest execution.
    session.step_over()
    last = rows[-1]
    for result in last.results:
        values = session.model.parameters[f"{last.layer}.{result}"].value
        for index in np.ndindex(values.shape):
            why = check(session, last.layer, result, index)
            assert_same_bits(why.value, values[index])


LOSSES: dict[str, tuple[Callable[[], Any], bool]] = {
    "cross-entropy": (lambda: CrossEntropyLoss(), True),
    "cross-entropy with everything": (
        lambda: CrossEntropyLoss(
            weight=np.linspace(0.5, 2, 5), ignore_index=1, label_smoothing=0.1
        ),
        True,
    ),
    "mean squared error": (lambda: MSELoss(), False),
    "binary cross-entropy": (lambda: BCEWithLogitsLoss(pos_weight=np.full(5, 2.0)), False),
}


@pytest.mark.parametrize("penalty", [None, L1(0.01), L2(0.01)])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str, penalty: Any) -> None:
    build, classes = LOSSES[name]
    model = Model(
        [Flatten(), Dense(168, 5, regularizer=penalty, name="fc")],
        input_shape=IMAGE,
        seed=1,
        device="cpu",
    )
    session = training(model, loss=build(), classes=classes)
    rng = np.random.default_rng(0)
    while session.position.phase != "loss":
        session.step_over()
    session.step_over()
    why = check(session, "loss", "output", (0,))
    assert_same_bits(why.stored, session.read("loss.output")[0])
    row = session.program.operations[session.position.operation]
    session.step_over()
    assert row.layer == "loss"
    check_operation(session, row, 20, rng)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_branches(dtype: str) -> None:
    session = training(branching(dtype), loss=CrossEntropyLoss(), classes=True)
    rng = np.random.default_rng(0)
    while session.position.batch == 0:
        row = session.program.operations[session.position.operation]
        session.step_over()
        if session.position.batch == 0:
            check_operation(session, row, 12, rng)
    for layer in ("stem", "left", "joined"):
        session.run_to(session.position)
        shape = (BATCH, *session.model.node(layer).output_shape)
        for _ in range(30):
            index = tuple(int(rng.integers(size)) for size in shape)
            check(session, layer, "grad_output", index)


def test_a_shared_layer() -> None:
    x = Input(IMAGE)
    shared = Conv2d(4, 4, 3, padding=1, name="shared")
    y = Flatten(name="flat")(shared(Tanh(name="tanh")(shared(x))))
    model = Model(inputs=x, outputs=y, seed=2, device="cpu")
    session = training(model)
    rng = np.random.default_rng(0)
    while session.position.batch == 0:
        row = session.program.operations[session.position.operation]
        session.step_over()
        if session.position.batch == 0:
            check_operation(session, row, 6, rng)
    # The update ends the batch; it reads the sum of the gradients of both uses.
    for _ in range(6):
        index = tuple(int(rng.integers(size)) for size in (4, 4, 3, 3))
        check(session, "shared", "weight", index)


def test_a_penalty_is_in_the_sentence_as_it_is_in_the_number() -> None:
    session = training(around([Dense(6, 5, regularizer=L2(10.0), name="it")], "float64"))
    while session.position.phase != "update":
        session.step_over()
    why = check(session, "it", "weight.gradient", (1, 2))
    shown = f"{float(why.stored):.4g}".replace("-", "\N{MINUS SIGN}")
    assert f"it.weight.gradient[1, 2] is {shown}: " in why.sentence
    assert "penalty" in why.sentence


def test_an_old_forward_value_is_explained_with_the_weights_it_saw() -> None:
    """After the update the weights are others; the output of this batch came from the old ones."""
    session = training(around([Conv2d(4, 3, 3, name="it")], "float32"))
    seen: dict[tuple[int, ...], Any] = {}
    rng = np.random.default_rng(4)
    while session.position.phase != "loss":
        session.step_over()
    values = session.read("it.output")
    for _ in range(20):
        index = tuple(int(rng.integers(size)) for size in values.shape)
        seen[index] = values[index]
    while session.position.batch == 0:
        session.step_over()
    here = session.position
    for index, value in seen.items():
        assert_same_bits(check(session, "it", "output", index).value, value)
    assert session.position == here


def test_within_the_update_phase_the_passes_are_explained_with_the_weights_they_saw() -> None:
    """The first layer is updated already, the last one not yet."""
    layers = [Conv2d(4, 3, 3, name="it"), Flatten(), Dense(60, 2, name="last")]
    model = Model(layers, input_shape=IMAGE, seed=1, device="cpu")
    session = training(model)
    while session.position.phase != "update":
        session.step_over()
    session.step_over()
    assert session.program.operations[session.position.operation].layer == "last"
    rng = np.random.default_rng(4)
    for layer, tensor in (("it", "output"), ("last", "input.gradient"), ("it", "weight")):
        values = session.read(f"{layer}.{tensor}")
        for _ in range(10):
            index = tuple(int(rng.integers(size)) for size in values.shape)
            assert_same_bits(check(session, layer, tensor, index).value, values[index])


def test_an_explanation_does_not_move_the_session() -> None:
    session = training(around([Conv2d(4, 3, 3, name="it")], "float32"))
    while session.position.batch < 1:
        session.step_over()
    before = {name: p.value.tobytes() for name, p in session.model.parameters.items()}
    position, stop = session.position, session.stop
    for tensor, index in (("output", (0, 0, 0, 0)), ("weight", (0, 0, 0, 0)), ("bias", (1,))):
        check(session, "it", tensor, index)
    assert (session.position, session.stop) == (position, stop)
    assert {n: p.value.tobytes() for n, p in session.model.parameters.items()} == before
    assert session.read("it.output") is None


def test_the_terms_of_a_convolution_are_in_the_documented_order() -> None:
    model = Model(
        [Conv2d(2, 1, 2, padding=(1, 0, 0, 0), name="it")],
        input_shape=(2, 3, 3),
        device="cpu",
        dtype="float64",
    )
    x = np.arange(18, dtype=np.float64).reshape(1, 2, 3, 3)
    model["it"].weight.value = np.arange(1, 9).reshape(1, 2, 2, 2)
    model["it"].bias.value = np.array([0.5])
    session = Session(model, x)
    session.resume()
    why = session.explain(layer="it", index=(0, 0, 0, 1))
    order = [(ky, kx, i) for ky in range(2) for kx in range(2) for i in range(2)]
    assert len(why.terms) == 8
    for number, (ky, kx, i) in enumerate(order):
        term = why.terms[number]
        y = ky - 1
        assert term.indices[1] == (0, i, ky, kx)
        assert term.indices[0] == ((0, i, y, 1 + kx) if y >= 0 else None)
        assert term.contribution == (
            x[0, i, y, 1 + kx] * model["it"].weight.value[0, i, ky, kx] if y >= 0 else 0
        )
    assert why.value == why.terms[7].total + 0.5
    assert [stage.value for stage in why.stages][-1] == why.value
    (inputs, weights) = why.patches
    assert inputs.values.shape == weights.values.shape == (2, 2, 2)
    np.testing.assert_array_equal(inputs.inside, [[False, False], [True, True]])
    np.testing.assert_array_equal(inputs.rows, [-1, 0])
    np.testing.assert_array_equal(inputs.columns, [1, 2])


def test_the_largest_value_decides_a_maximum() -> None:
    model = Model([MaxPool2d(2, name="it")], input_shape=(1, 2, 2), device="cpu")
    session = Session(model, np.array([[[[1.0, 7.0], [7.0, 3.0]]]], np.float32))
    session.resume()
    why = session.explain(layer="it", index=(0, 0, 0, 0))
    assert (why.kind, why.decisive, float(why.value)) == ("max", 1, 7.0)
    assert why.terms[1].indices[0] == (0, 0, 0, 1)


def test_nan_is_explained_too() -> None:
    model = Model([Conv2d(1, 1, 2, name="it")], input_shape=(1, 2, 2), device="cpu")
    session = Session(model, np.array([[[[1.0, np.nan], [np.inf, 3.0]]]], np.float32))
    session.resume()
    why = session.explain(layer="it", index=(0, 0, 0, 0))
    assert np.isnan(why.value)
    assert np.isnan(why.stored)


# ---------------------------------------------------------------------------- the acceptance test


@pytest.mark.slow
def test_a_thousand_random_places_of_lenet_on_mnist() -> None:
    """Forward, backward and update on real batches: every replayed number has the stored bits."""
    train, _ = load_mnist()
    scheduler = Scheduler(
        lenet5(device="cpu"),
        CrossEntropyLoss(),
        SGD(learning_rate=0.05, momentum=0.9, weight_decay=1e-4),
    )
    session = Session(scheduler, loader=DataLoader(train, batch_size=64, shuffle=True, seed=0))
    rng = np.random.default_rng(20)
    counts = dict.fromkeys(("forward", "loss", "backward", "update"), 0)
    for _ in range(5):
        session.step_over()
        session.resume(batches=1)
    batches = 0
    while sum(counts.values()) < 1000 or batches < 3:
        rows = session.program.operations
        for row in rows:
            session.step_over()
            if row.index + 1 < len(rows) and row.phase != "load":
                counts[row.phase] += check_operation(session, row, 10, rng)
        batches += 1
    assert min(counts[phase] for phase in ("forward", "backward", "update")) >= 200
