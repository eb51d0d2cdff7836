"""What users of other libraries try first: copies, arrays in place of loaders, callbacks, texts."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from engine import Input, Model, Scheduler
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.errors import ConfigurationError, DataError, EngineError, ShapeError, UnknownName
from engine.layers import Concat, Conv2d, Dense, Dropout, Flatten, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD, Adam
from engine.schedules import CosineDecay

RNG = np.random.default_rng(0)
XA = RNG.random((20, 1, 5, 5), dtype=np.float32)
XB = RNG.random((20, 4), dtype=np.float32)
Y = RNG.integers(0, 3, 20)


def one_input(seed: int = 0) -> Model:
    layers = [Conv2d(1, 2, 3, name="conv"), ReLU(), Dropout(0.2), Flatten(), Dense(18, 3)]
    return Model(layers, input_shape=(1, 5, 5), seed=seed, device="cpu")


def two_inputs() -> Model:
    a, b = Input((1, 5, 5), name="picture"), Input((4,), name="numbers")
    features = Flatten()(Conv2d(1, 2, 3, name="conv")(a))
    joined = Concat(name="joined")(features, Dense(4, 3, name="side")(b))
    return Model(inputs=[a, b], outputs=Dense(21, 3, name="head")(joined), device="cpu")


def run_of(model: Model) -> Scheduler:
    return Scheduler(model, CrossEntropyLoss(), SGD(0.1, momentum=0.9))


# -- copies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [Model.clone, copy.copy, copy.deepcopy])
def test_a_copy_of_a_model_is_a_model_of_its_own(copied: Any):
    model = one_input()
    model["conv"].trainable = False
    other = copied(model)
    np.testing.assert_array_equal(model(XA), other(XA))
    assert not other["conv"].trainable
    assert [node.name for node in other.nodes] == [node.name for node in model.nodes]
    before = model(XA)
    other["conv"].weight.value = np.ones((2, 1, 3, 3), np.float32)
    np.testing.assert_array_equal(model(XA), before)
    assert (other(XA) != before).any()


def test_a_copy_keeps_shared_layers_shared():
    x = Input((4,))
    shared = Dense(4, 4, name="shared")
    model = Model(inputs=x, outputs=Dense(4, 2, name="end")(shared(shared(x))), device="cpu")
    other = model.clone()
    assert list(other.parameters) == list(model.parameters)
    np.testing.assert_array_equal(model(XB), other(XB))


def test_a_copy_of_a_run_goes_on_alike_and_apart():
    run = Scheduler(one_input(), CrossEntropyLoss(), Adam(CosineDecay(0.1, 30)))
    loader = DataLoader(Dataset(XA, Y), batch_size=6, shuffle=True)
    run.fit(loader, steps=5)
    other = copy.deepcopy(run)
    position = run.epoch, run.batch, run.global_step
    assert (other.epoch, other.batch, other.global_step) == position
    other.fit(loader, steps=4)
    assert (run.epoch, run.batch, run.global_step) == position
    run.fit(loader, steps=4)
    assert run.history.steps == other.history.steps
    for name, parameter in run.model.parameters.items():
        np.testing.assert_array_equal(parameter.value, other.model.parameters[name].value)


# -- arrays, data sets, loaders --------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        (XA, Y),
        ((XA, Y),),
        ([XA, Y],),
        (Dataset(XA, Y),),
        (DataLoader(Dataset(XA, Y), 32, shuffle=True, seed=0),),
        (XA.tolist(), Y.tolist()),
    ],
    ids=["x, y", "(x, y)", "[x, y]", "Dataset", "DataLoader", "lists"],
)
def test_fit_takes_data_in_every_form(given: tuple[Any, ...]):
    run, expected = run_of(one_input()), run_of(one_input())
    expected.fit(DataLoader(Dataset(XA, Y), 32, shuffle=True, seed=0), epochs=3)
    run.fit(*given, epochs=3)
    np.testing.assert_allclose(run.history.loss, expected.history.loss, rtol=1e-6)


@pytest.mark.parametrize(
    "given",
    [(XA, Y), ((XA, Y),), (Dataset(XA, Y),), (DataLoader(Dataset(XA, Y), 7),)],
    ids=["x, y", "(x, y)", "Dataset", "DataLoader"],
)
def test_evaluate_and_validation_take_data_in_every_form(given: tuple[Any, ...]):
    run = run_of(one_input())
    expected = run.evaluate(Dataset(XA, Y))
    found = run.evaluate(*given)
    assert found.samples == expected.samples == 20
    assert found.accuracy == expected.accuracy
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)
    if len(given) == 1:
        run.fit(XA, Y, epochs=1, validation=given[0])
        assert len(run.history.validations) == 1


def test_the_batch_size_of_arrays_can_be_chosen():
    run = run_of(one_input())
    run.fit(XA, Y, epochs=2, batch_size=8)
    assert run.global_step == 6
    assert run.history.learning_rates.tolist() == [0.1] * 6


@pytest.mark.parametrize("bad", [5, None, "data", object(), (XA,), np.zeros(3)])
def test_what_has_no_samples_and_targets_is_refused(bad: Any):
    run = run_of(one_input())
    for call in (
        lambda: run.fit(bad, epochs=1),
        lambda: run.evaluate(bad),
        lambda: run.fit(XA, Y, epochs=1, validation=bad) if bad is not None else run.fit(bad),
    ):
        with pytest.raises(EngineError) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert run.global_step == 0


def test_steps_and_evaluations_that_cannot_be_are_one_sentence():
    run = run_of(one_input())
    with pytest.raises(ShapeError, match="first axis of samples"):
        run.step(XA, 3)
    run.loss = CrossEntropyLoss("none")
    with pytest.raises(ConfigurationError, match="none"):
        run.evaluate(XA, Y)
    with pytest.raises(ConfigurationError, match="none"):
        run.fit(XA, Y)


# -- several inputs --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x", [(XA, XB), {"numbers": XB, "picture": XA}], ids=["tuple", "dict by name"]
)
def test_several_inputs_go_everywhere(x: Any):
    model = two_inputs()
    expected = model(XA, XB)
    np.testing.assert_array_equal(model(x), expected)
    np.testing.assert_array_equal(model.activations(x, ["head"])["head"], expected)
    grad = np.ones((20, 3), np.float32)
    found, wanted = model.gradients(x, grad), model.gradients((XA, XB), grad)
    assert [g.shape for g in found.inputs] == [XA.shape, XB.shape]
    for one, other in zip(found.inputs, wanted.inputs, strict=True):
        np.testing.assert_array_equal(one, other)
    run, other = run_of(model), run_of(model.clone())
    assert run.step(x, Y) == other.step((XA, XB), Y)
    session = Session(model, x)
    while session.read("head.output") is None:
        session.step_over()
    np.testing.assert_array_equal(session.read("head.output"), model(XA, XB))
    for layer, index in (("joined", (2, 20)), ("side", (2, 1)), ("conv", (3, 1, 2, 2))):
        assert session.explain(layer=layer, index=index).exact


def test_several_inputs_in_a_data_set():
    data = Dataset((XA, XB), Y)
    run, by_hand = run_of(two_inputs()), run_of(two_inputs())
    loader = DataLoader(data, batch_size=8, shuffle=True, seed=3)
    run.fit(loader, epochs=2, validation=data)
    for epoch in range(2):
        for number in range(3):
            indices = loader.batch_indices(epoch, number)
            by_hand.step((XA[indices], XB[indices]), Y[indices])
    assert run.history.steps == by_hand.history.steps
    assert run.evaluate(data) == by_hand.evaluate((XA, XB), Y)
    session = Session(run, loader=loader)
    session.step_over()
    while session.position.phase != "update":
        session.step_over()
    assert session.explain(layer="side", index=(1, 2), tensor="weight.gradient").exact


def test_inputs_by_wrong_names_are_named():
    model = two_inputs()
    with pytest.raises(UnknownName, match="picture"):
        model({"pictures": XA, "numbers": XB})
    with pytest.raises(ShapeError, match="numbers is missing"):
        model({"picture": XA})
    with pytest.raises(ShapeError, match="2 inputs"):
        model(XA)


def test_nan_in_the_second_input_is_named():
    bad = XB.copy()
    bad[7, 2] = np.nan
    with pytest.raises(DataError, match="sample 7"):
        run_of(two_inputs()).fit((XA, bad), Y, epochs=1)


# -- callbacks, histories, texts -------------------------------------------------------------


def test_callbacks_hear_one_fit_only():
    run, first, second = run_of(one_input()), [], []
    run.fit(XA, Y, epochs=2, callbacks=[first.append, second.append])
    run.fit(XA, Y, epochs=1)
    names = [type(event).__name__ for event in first]
    assert first == second
    assert names.count("StepFinished") == 2
    assert names[-1] == "FitFinished"
    with pytest.raises(ConfigurationError, match="callbacks"):
        run.fit(XA, Y, callbacks=[3])
    run.fit(XA, Y, callbacks=first.append)


def test_learning_rates_are_in_the_history():
    schedule = CosineDecay(0.1, 6, 0.02)
    run = Scheduler(one_input(), CrossEntropyLoss(), SGD(schedule))
    run.fit(XA, Y, epochs=4, batch_size=10)
    assert run.history.learning_rates.tolist() == [schedule(step) for step in range(8)]
    session = Session(run, loader=DataLoader(Dataset(XA, Y), batch_size=10))
    session.resume()
    assert run.history.learning_rates.tolist() == [schedule(step) for step in range(10)]


def test_texts_of_models_and_runs_say_what_they_are():
    model = two_inputs()
    run = run_of(model)
    assert repr(model).startswith("Model(picture (1, 5, 5), numbers (4,) -> head (3,), ")
    assert "SGD" in repr(run)
    assert "CrossEntropyLoss" in repr(run)
    assert "epoch 0" in repr(run)
