"""Every public attribute, assigned after the first step: it acts from the next step on, the same in
every program and in the run file, or it refuses and nothing has changed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler, load, save
from engine import initializers as initializers_module
from engine import layers as layers_module
from engine import losses as losses_module
from engine import optimizers as optimizers_module
from engine import schedules as schedules_module
from engine.config import Configurable
from engine.data import DataLoader, Dataset
from engine.errors import ConfigurationError, EngineError
from engine.layers import BatchNorm2d, Conv2d, Dense, Dropout, Flatten, LeakyReLU
from engine.layers.base import Layer, Parameter
from engine.losses import BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss
from engine.optimizers import SGD, Adam, AdamW, Optimizer
from engine.regularizers import L1, L2
from engine.schedules import ConstantRate, CosineDecay, ExponentialDecay, StepDecay, WarmUp
from tests.gallery import LAYERS, chain

SHAPE, CLASSES = (2, 5, 5), 3
RNG = np.random.default_rng(0)
X = RNG.random((12, *SHAPE), dtype=np.float32)
LABELS = RNG.integers(0, CLASSES, 12)
VALUES = RNG.random((12, CLASSES), dtype=np.float32)

OTHER: dict[str, Any] = {
    "learning_rate": 0.5,
    "momentum": 0.3,
    "nesterov": True,
    "weight_decay": 0.25,
    "betas": (0.5, 0.9),
    "eps": 0.01,
    "reduction": "sum",
    "weight": (0.2, 1.0, 3.0),
    "ignore_index": 1,
    "label_smoothing": 0.3,
    "pos_weight": 2.5,
    "strength": 0.4,
    "start": 0.7,
    "every": 1,
    "factor": 0.3,
    "steps": 2,
    "end": 0.2,
    "then": ConstantRate(0.4),
}
"""Another value for every setting of optimisers, losses, penalties and schedules."""


def net() -> Model:
    return Model(
        [
            Conv2d(2, 3, 3, regularizer=L2(0.1), name="conv"),
            BatchNorm2d(3, name="bn"),
            LeakyReLU(0.1, name="leaky"),
            Dropout(0.3, name="drop"),
            Flatten(),
            Dense(27, CLASSES, regularizer=L1(0.05), name="head"),
        ],
        input_shape=SHAPE,
        seed=0,
        device="cpu",
    )


def targets(loss: Loss) -> np.ndarray:
    return LABELS if isinstance(loss, CrossEntropyLoss) else VALUES


def trained(loss: Loss, optimizer: Optimizer) -> Scheduler:
    """Return a run after two steps of each of two batch sizes: four programs' worth of settings."""
    run = Scheduler(net(), loss, optimizer)
    for count in (8, 12, 8):
        run.step(X[:count], targets(loss)[:count])
    return run


def numbers(run: Scheduler) -> dict[str, np.ndarray]:
    """Return what the next steps make of a run, with programs that exist and with a new one."""
    y = targets(run.loss)
    for count in (8, 12, 5):
        run.step(X[:count], y[:count])
    found = {name: np.array(p.value) for name, p in run.model.parameters.items()}
    found["loss"] = run.history.loss
    found["rates"] = run.history.learning_rates
    return found


def check_acts(run: Scheduler, control: Scheduler, folder: Path) -> None:
    """Demand that a changed run goes on as its file does, and not as an unchanged run does."""
    again = load(save(run, folder / "changed.safetensors"), device="cpu")
    fresh = copy.deepcopy(run)
    live, loaded, copied, old = map(numbers, (run, again, fresh, control))
    assert any((live[name] != old[name]).any() for name in live), "the assignment changed nothing"
    for name, value in live.items():
        np.testing.assert_array_equal(value, loaded[name], err_msg=f"{name} after load")
        np.testing.assert_array_equal(value, copied[name], err_msg=f"{name} in a copy")


OPTIMIZERS = {
    "SGD": lambda: SGD(0.1, momentum=0.9, weight_decay=0.01),
    "Adam": lambda: Adam(0.01, weight_decay=0.01),
    "AdamW": lambda: AdamW(0.01),
}
LOSSES = {
    "CrossEntropyLoss": lambda: CrossEntropyLoss(weight=(1.0, 2.0, 1.0)),
    "MSELoss": lambda: MSELoss(),
    "BCEWithLogitsLoss": lambda: BCEWithLogitsLoss(),
}
SCHEDULES = {
    "ConstantRate": lambda: ConstantRate(0.1),
    "StepDecay": lambda: StepDecay(0.1, 2, 0.5),
    "ExponentialDecay": lambda: ExponentialDecay(0.1, 0.9, 2),
    "CosineDecay": lambda: CosineDecay(0.1, 20, 0.01),
    "WarmUp": lambda: WarmUp(20, ConstantRate(0.1)),
}


def settings(made: dict[str, Any]) -> list[tuple[str, str]]:
    return [(kind, name) for kind, make in made.items() for name in type(make()).setting_names()]


def test_the_tables_know_every_class():
    for module, base, table in (
        (optimizers_module, Optimizer, OPTIMIZERS),
        (losses_module, Loss, LOSSES),
        (schedules_module, schedules_module.Schedule, SCHEDULES),
    ):
        kinds = {
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, base) and not name.startswith("_")
        }
        assert kinds - {base.__name__, "Schedule"} == set(table)


@pytest.mark.parametrize(("kind", "name"), settings(OPTIMIZERS))
def test_optimizer_settings_act(kind: str, name: str, tmp_path: Path):
    run, control = (trained(CrossEntropyLoss(), OPTIMIZERS[kind]()) for _ in range(2))
    setattr(run.optimizer, name, OTHER[name])
    assert getattr(run.optimizer, name) == OTHER[name]
    check_acts(run, control, tmp_path)


@pytest.mark.parametrize(("kind", "name"), settings(LOSSES))
def test_loss_settings_act(kind: str, name: str, tmp_path: Path):
    run, control = (trained(LOSSES[kind](), SGD(0.05)) for _ in range(2))
    setattr(run.loss, name, OTHER[name])
    check_acts(run, control, tmp_path)


@pytest.mark.parametrize(("kind", "name"), settings(SCHEDULES))
def test_schedule_settings_act(kind: str, name: str, tmp_path: Path):
    run, control = (
        trained(CrossEntropyLoss(), SGD(SCHEDULES[kind](), momentum=0.5)) for _ in range(2)
    )
    setattr(run.optimizer.learning_rate, name, OTHER[name])
    check_acts(run, control, tmp_path)


@pytest.mark.parametrize("name", ["conv", "head"])
def test_penalty_settings_act(name: str, tmp_path: Path):
    run, control = (trained(CrossEntropyLoss(), SGD(0.05)) for _ in range(2))
    run.model[name].weight.regularizer.strength = OTHER["strength"]
    check_acts(run, control, tmp_path)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("loss", CrossEntropyLoss("sum", label_smoothing=0.1)),
        ("optimizer", SGD(0.3)),
        ("optimizer", Adam(0.02)),
    ],
)
def test_another_loss_or_optimizer_acts(attribute: str, value: Any, tmp_path: Path):
    run, control = (trained(CrossEntropyLoss(), SGD(0.05, momentum=0.9)) for _ in range(2))
    setattr(run, attribute, value)
    check_acts(run, control, tmp_path)


def test_another_optimizer_starts_like_a_new_one():
    run = trained(CrossEntropyLoss(), Adam(0.01))
    run.optimizer = Adam(0.01)
    fresh = Scheduler(run.model.clone(), CrossEntropyLoss(), Adam(0.01))
    fresh.global_step = run.global_step  # the same dropout masks
    fresh.moments_since = run.global_step
    assert run.step(X, LABELS) == fresh.step(X, LABELS)
    for name, parameter in run.model.parameters.items():
        np.testing.assert_array_equal(parameter.value, fresh.model.parameters[name].value)


def test_betas_changed_in_a_run_act_as_in_pytorch():
    # w = 1, loss w^2: two steps with (0.9, 0.999), then (0.5, 0.9). Values of torch.optim.Adam.
    model = Model([Dense(1, 1, bias=False, name="w")], input_shape=(1,), dtype="float64")
    model["w"].weight.value = [[1.0]]
    run = Scheduler(model, MSELoss(), Adam(0.1))
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    for _ in range(2):
        run.step(one, zero)
    run.optimizer.betas = (0.5, 0.9)
    found = []
    for _ in range(2):
        run.step(one, zero)
        found.append(float(model["w"].weight.value[0, 0]))
    np.testing.assert_allclose(found, [0.686625, 0.573717], atol=1e-6)


def test_a_frozen_layer_and_the_smaller_last_batch_see_the_same_settings():
    data = Dataset(X[:11], LABELS[:11])
    loader = DataLoader(data, batch_size=4)
    run, expected = (Scheduler(net(), CrossEntropyLoss(), SGD(0.1, momentum=0.9)) for _ in range(2))
    for one in (run, expected):
        one.fit(loader, steps=2)
    run.optimizer.momentum = 0.5
    expected.optimizer = run.optimizer  # its moments start anew, so both are compared below
    run.model["conv"].trainable = False
    before = run.model["conv"].weight.value
    run.fit(loader, steps=4)
    assert (run.model["conv"].weight.value == before).all()
    run.model["conv"].trainable = True
    run.fit(loader, steps=1)
    assert (run.model["conv"].weight.value != before).any()


# -- layers, parameters and models ---------------------------------------------------------------

ACTING = {
    ("conv", "regularizer"): L1(0.7),
    ("head", "regularizer"): None,
    ("bn", "eps"): 0.3,
    ("bn", "momentum"): 0.7,
    ("leaky", "negative_slope"): -0.9,
    ("drop", "p"): 0.8,
    ("conv", "trainable"): False,
}
"""Settings of layers that act, on the net of this module."""


@pytest.mark.parametrize(("layer", "name"), list(ACTING))
def test_layer_settings_act(layer: str, name: str, tmp_path: Path):
    run, control = (trained(CrossEntropyLoss(), SGD(0.05)) for _ in range(2))
    run.model.gradients(X[:3], np.ones((3, CLASSES), np.float32))
    setattr(run.model[layer], name, ACTING[layer, name])
    check_acts_or_statistics(run, control, tmp_path)
    for one in (run.model, load(save(run, tmp_path / "again.safetensors"), device="cpu").model):
        assert getattr(one[layer], name) == ACTING[layer, name]


def check_acts_or_statistics(run: Scheduler, control: Scheduler, folder: Path) -> None:
    """As `check_acts`; a momentum of statistics shows in predictions only."""
    again = load(save(run, folder / "changed.safetensors"), device="cpu")
    live, loaded, old = map(numbers, (run, again, control))
    for one, found in ((run, live), (again, loaded), (control, old)):
        found["prediction"] = one.model(X)
        found |= {name: one.model.state[name] for name in one.model.state}
    assert any((live[name] != old[name]).any() for name in live), "the assignment changed nothing"
    for name, value in live.items():
        np.testing.assert_array_equal(value, loaded[name], err_msg=name)


def test_layer_settings_act_in_predictions_and_gradients():
    model = net()
    fresh = Model(
        [
            *(layer.twin(None) for layer in (model["conv"],)),
            BatchNorm2d(3, eps=0.3, name="bn"),
            LeakyReLU(-0.9, name="leaky"),
            Dropout(0.3, name="drop"),
            Flatten(),
            model["head"].twin(None),
        ],
        input_shape=SHAPE,
        seed=0,
        device="cpu",
    )
    for new, old in zip(fresh.parameters.values(), model.parameters.values(), strict=True):
        new.value = old.value
    grad = np.ones((12, CLASSES), np.float32)
    model(X), model.gradients(X, grad), model.activations(X, ["bn"])
    model["bn"].eps, model["leaky"].negative_slope = 0.3, -0.9
    np.testing.assert_array_equal(model(X), fresh(X))
    ours, theirs = model.gradients(X, grad), fresh.gradients(X, grad)
    np.testing.assert_array_equal(ours.inputs[0], theirs.inputs[0])


def public(thing: Any) -> list[str]:
    """Return the names of public data of an object: attributes and properties."""
    names = {name for name in vars(thing) if not name.startswith("_")}
    for kind in type(thing).__mro__:
        names |= {n for n, value in vars(kind).items() if isinstance(value, property)}
    return sorted(name for name in names if not name.startswith("_"))


REFUSING = {
    **{f"layer {name}": (lambda n=name: chain(n)["it"]) for name in LAYERS},
    "model": net,
    "data set": lambda: Dataset(X, LABELS),
    "loader": lambda: DataLoader(Dataset(X, LABELS), batch_size=4),
    "parameter": lambda: net()["conv"].weight,
    **OPTIMIZERS,
    **LOSSES,
    **SCHEDULES,
    "penalty": lambda: net()["conv"].weight.regularizer,
    **{
        name: (lambda kind=kind: kind())
        for name, kind in vars(initializers_module).items()
        if isinstance(kind, type) and issubclass(kind, Configurable) and not name.startswith("_")
        and name != "Initializer"
    },
}  # fmt: skip
INTERNAL = {
    "parameter": {"buffer", "gradient_buffer", "guard"},  # what the model gives it
    "model": {"convolution"},  # acts; tested with the convolutions
    "loader": {"epoch"},  # acts; tested with the loader
}


@pytest.mark.parametrize("name", list(REFUSING))
def test_what_is_no_setting_refuses_assignment(name: str):
    """Walk over all public data: nonsense is refused everywhere, by name, and changes nothing."""
    thing = REFUSING[name]()
    checked = 0
    for attribute in public(thing):
        if attribute in INTERNAL.get(name, ()):
            continue
        before, nonsense = getattr(thing, attribute), object()
        with pytest.raises(EngineError) as caught:
            setattr(thing, attribute, nonsense)
        assert attribute in str(caught.value) or attribute in ("buffers",), caught.value
        assert str(caught.value).count("\n") == 0
        after = getattr(thing, attribute)
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(before, after)
        else:
            assert after is before or after == before
        checked += 1
    assert checked or not public(thing)
    with pytest.raises(EngineError):
        thing.misspelt = 1


@pytest.mark.parametrize("name", list(LAYERS))
def test_every_setting_of_a_layer_acts_or_refuses(name: str):
    layer = chain(name)["it"]
    assert set(layer.acting) <= set(layer.setting_names())
    for setting in layer.setting_names():
        if setting in layer.acting:
            continue
        with pytest.raises(ConfigurationError, match=setting):
            setattr(layer, setting, getattr(layer, setting))


def test_every_layer_that_acts_is_tried():
    kinds = {kind for kind in vars(layers_module).values() if isinstance(kind, type)}
    acting = {(kind, name) for kind in kinds if issubclass(kind, Layer) for name in kind.acting}
    tried = {(type(net()[layer]), name) for layer, name in ACTING}
    assert acting <= tried


def test_a_parameter_is_written_not_replaced():
    model = net()
    with pytest.raises(ConfigurationError, match=r'model\["head"\]\.weight\.value'):
        model["head"].weight = np.zeros((CLASSES, 27), np.float32)
    assert isinstance(model["head"].weight, Parameter)
    model["head"].weight.value = np.zeros((CLASSES, 27), np.float32)
    assert (model(X) == model["head"].bias.value).all()


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf"), "fast", None, [0.1]])
def test_a_bad_learning_rate_raises_at_the_assignment(rate: Any):
    optimizer = SGD(0.1)
    with pytest.raises(ConfigurationError, match="learning_rate"):
        optimizer.learning_rate = rate
    assert optimizer.learning_rate == 0.1


def test_settings_assigned_by_another_thread_belong_to_one_step():
    """Adam's moments and corrections use the same betas, whenever they are assigned."""
    import threading

    run = Scheduler(net(), CrossEntropyLoss(), Adam(0.01))
    stop = threading.Event()
    pairs = [(0.9, 0.999), (0.1, 0.2)]

    def assign() -> None:
        turn = 0
        while not stop.is_set():
            run.optimizer.betas = pairs[turn % 2]
            turn += 1

    thread = threading.Thread(target=assign)
    thread.start()
    wrong = []
    try:
        for _ in range(200):
            run.step(X, LABELS)
            program = run.program(len(X))
            launch = next(one for one in program._launches if one.kernel == "adam_update")
            if launch.settings[:2] not in pairs or program.optimizer is None:
                wrong.append(launch.settings)
    finally:
        stop.set()
        thread.join()
    assert not wrong


def test_a_scheduler_takes_no_unknown_settings_and_no_other_model():
    run = trained(CrossEntropyLoss(), SGD(0.1))
    for name in ("optimiser", "model", "lr"):
        with pytest.raises(ConfigurationError, match=name):
            setattr(run, name, SGD(0.3))
    for name in ("loss", "optimizer"):
        with pytest.raises(ConfigurationError, match=name):
            setattr(run, name, "sgd")
