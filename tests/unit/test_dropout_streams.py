"""A dropout mask belongs to the seed, the step and the layer's name, whatever else the net has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Input, Model, Scheduler, load, save
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.io.architecture import model_from_data, model_to_data
from engine.layers import Add, Conv2d, Dense, Dropout, Flatten, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from tests.kernels.bits import hashes, numbers

FIXTURE = Path(__file__).parents[1] / "io" / "fixtures" / "dropout_by_number.safetensors"
OLD = {
    "losses": "0610d7d25a2f",
    "parameters": "5812d67da315",
    "state": "256bfee27ea2",
    "outputs": "fbe3163975d6",
}
"""What the four steps after the file came to, with the program that wrote it."""
X = numbers(0, (6, 2, 6, 5), "float32")
LABELS = np.arange(6) % 5


def masks(model: Model, *names: str) -> dict[str, Any]:
    """Return which elements of ones each dropout layer keeps in the first step."""
    found = model.activations(np.ones((6, 2, 6, 5), np.float32), names, training=True)
    return {name: array != 0 for name, array in found.items()}


def plain(*before: Any, name: str = "drop", seed: int = 5) -> Model:
    """Return layers that pass ones on, then dropout."""
    layers = [*before, Dropout(0.4, name=name)]
    return Model(layers, input_shape=(2, 6, 5), seed=seed, device="cpu")


def shared() -> Model:
    """Return a net that uses one dropout layer twice, without a name."""
    x = Input((2, 6, 5))
    twice = Dropout(0.3)
    a = twice(ReLU()(Conv2d(2, 4, 3, padding=1, name="conv")(x)))
    b = twice(Conv2d(4, 4, 1, name="mix")(a))
    y = Dense(120, 5, name="fc")(Dropout(0.5)(Flatten()(Add()(a, b))))
    return Model(inputs=x, outputs=y, seed=11, device="cpu")


def went_on(run: Scheduler, steps: int = 3) -> dict[str, str]:
    return hashes(run, X, [run.step(X, LABELS) for _ in range(steps)])


def test_layers_around_a_dropout_do_not_change_its_mask() -> None:
    expected = masks(plain(), "drop")["drop"]
    assert expected.any() and not expected.all()
    for before in ([ReLU()], [ReLU(), ReLU()], [Dropout(0.0, name="other"), ReLU()]):
        np.testing.assert_array_equal(masks(plain(*before), "drop")["drop"], expected)
    x = Input((2, 6, 5))
    kept = Dropout(0.4, name="drop")(ReLU()(x))
    head = Dense(60, 3)(Flatten()(x))
    for outputs in ([head, kept], [kept, head]):
        model = Model(inputs=x, outputs=outputs, seed=5, device="cpu")
        np.testing.assert_array_equal(masks(model, "drop")["drop"], expected)


def test_names_seeds_and_uses_have_masks_of_their_own() -> None:
    expected = masks(plain(), "drop")["drop"]
    assert (masks(plain(name="other"), "other")["other"] != expected).any()
    assert (masks(plain(seed=6), "drop")["drop"] != expected).any()
    x, layer = Input((2, 6, 5)), Dropout(0.4, name="drop")
    model = Model(inputs=x, outputs=[layer(x), layer(ReLU()(x))], seed=5, device="cpu")
    first, second = masks(model, *model.outputs).values()
    np.testing.assert_array_equal(first, expected)
    assert (second != first).any()


@pytest.mark.parametrize("way", ["file", "data", "clone"])
def test_a_copy_drops_what_the_original_drops(way: str, tmp_path: Path) -> None:
    run = Scheduler(shared(), CrossEntropyLoss(), SGD(0.2))
    run.step(X, LABELS)
    if way == "file":
        again = load(save(run, tmp_path / "run.safetensors"), device="cpu")
    else:
        model = run.model.clone()
        if way == "data":
            model = model_from_data(model_to_data(run.model), "cpu")
            for name, parameter in run.model.parameters.items():
                model.parameters[name].value = parameter.value
        again = Scheduler(model, CrossEntropyLoss(), SGD(0.2))
        again.global_step = run.global_step
    assert went_on(again) == went_on(run)


def test_a_session_drops_what_a_run_drops() -> None:
    loader = DataLoader(Dataset(X, LABELS), batch_size=6)
    run, stepped = (Scheduler(shared(), CrossEntropyLoss(), SGD(0.2)) for _ in range(2))
    run.fit(loader, steps=1)
    session = Session(stepped, loader=loader, epochs=1)
    while session.step_over().reason != "end":
        pass
    for name, parameter in run.model.parameters.items():
        np.testing.assert_array_equal(stepped.model.parameters[name].value, parameter.value)


def test_an_old_run_goes_on_with_the_masks_it_began_with(tmp_path: Path) -> None:
    assert went_on(load(FIXTURE, device="cpu"), 4) == OLD
    saved = save(load(FIXTURE, device="cpu"), tmp_path / "again.safetensors")
    assert went_on(load(saved, device="cpu"), 4) == OLD
    run = load(FIXTURE, device="cpu")
    for number, node in enumerate(run.model.nodes):
        assert node.layer is None or node.layer.stream(node.name) == number
