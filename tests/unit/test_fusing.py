"""Plans that run several operations at once: the same bits in every tensor as one by one."""

from __future__ import annotations

import functools
import threading
import time
from typing import Any

import numpy as np
import pytest

from engine import Input, Model, Scheduler
from engine.debug import Session
from engine.device import Launch, backend_for
from engine.fusing import UPDATES, merged, whole_run
from engine.layers import Add, BatchNorm2d, Conv2d, Dense, Flatten, GlobalAvgPool2d, ReLU
from engine.losses import CrossEntropyLoss, MSELoss
from engine.optimizers import SGD, Adam
from engine.regularizers import L2
from tests.building import bits_of
from tests.debug.runs import tiny_loader
from tests.gallery import IMAGE, LAYERS, branching, chain
from tests.tolerances import assert_same_bits

BATCH = 3


def residual(dtype: str = "float32", convolution: str = "direct") -> Model:
    """Everything that plans look for: normalised residual blocks, shared and repeated layers."""
    x = Input(IMAGE)
    stem = ReLU()(BatchNorm2d(5)(Conv2d(4, 5, 3, padding=1, bias=False, name="stem")(x)))
    inner = ReLU()(BatchNorm2d(5)(Conv2d(5, 5, 3, padding=1, regularizer=L2(1e-2))(stem)))
    block = ReLU()(Add()(BatchNorm2d(5)(Conv2d(5, 5, 3, padding=1)(inner)), stem))
    shared = Conv2d(5, 5, 1, name="shared")
    other = Add()(ReLU()(shared(block)), ReLU()(shared(stem)))
    fc = Dense(5, 4, name="fc")(Flatten()(GlobalAvgPool2d()(other)))
    y = Dense(4, 4, bias=False, name="last")(ReLU()(fc))
    return Model(inputs=x, outputs=y, seed=4, device="cpu", dtype=dtype, convolution=convolution)


def rectified(dtype: str = "float32", convolution: str = "winograd2") -> Model:
    """Convolutions of 3 x 3 with a ReLU at once, with and without a bias, one of them shared."""
    x = Input(IMAGE)
    stem = ReLU()(Conv2d(4, 11, 3, padding=2, bias=False, name="stem")(x))
    shared = Conv2d(11, 11, 3, padding=1, name="shared")
    y = Dense(11, 4)(
        Flatten()(GlobalAvgPool2d()(Add()(ReLU()(shared(ReLU()(shared(stem)))), stem)))
    )
    return Model(inputs=x, outputs=y, seed=6, device="cpu", dtype=dtype, convolution=convolution)


NETS: dict[str, Any] = {
    **{name: lambda dtype, name=name: chain(name, dtype) for name in LAYERS},
    "branching": branching,
    "residual": residual,
    **{
        f"{make.__name__} by {way}": functools.partial(make, convolution=way)
        for make in (residual, rectified)
        for way in ("winograd2", "winograd4")
    },
}


def batch_for(model: Model, seed: int = 0, bad: bool = False) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((BATCH, *model.input_shape)).astype(model.dtype)
    if bad:
        x[0, 0, 0, 0], x[1, 1, 2, 3], x[2, 2, 4, 4] = np.nan, np.inf, -np.inf
    return x, rng.standard_normal((BATCH, *model.output_shape))


def one_by_one(scheduler: Scheduler, x: Any, y: Any) -> None:
    """Make a step as the debugger does: every operation by itself."""
    program = scheduler.program(len(x))
    scheduler.load_batch(program, x, y)
    for number in range(len(program.operations)):
        program.run(number, number + 1)
    scheduler.global_step += 1


def tensors_of(scheduler: Scheduler) -> dict[str, Any]:
    program = scheduler.program(BATCH)
    saved = [f"{n}.saved.{s}" for n, site in program.sites.items() for s in site.saved]
    found = {name: program.read(name) for name in [*program.tensor_names(), *saved]}
    for name, moments in scheduler.moments.items():
        found |= {f"{name} moment {i}": moment.read() for i, moment in enumerate(moments)}
    return found


@pytest.mark.parametrize("bad", [False, True], ids=["numbers", "nan"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_a_whole_step_fills_every_tensor_as_single_operations_do(
    name: str, dtype: str, bad: bool
) -> None:
    made = [
        Scheduler(NETS[name](dtype), MSELoss(), SGD(learning_rate=0.05, momentum=0.9))
        for _ in range(2)
    ]
    for number in range(2):
        x, y = batch_for(made[0].model, number, bad)
        made[0].step(x, y)
        one_by_one(made[1], x, y)
    whole, single = (tensors_of(scheduler) for scheduler in made)
    assert whole.keys() == single.keys()
    for tensor, values in whole.items():
        assert_same_bits(values, single[tensor], tensor)


@pytest.mark.parametrize("frozen", ["", "stem", "fc"])
def test_parameters_that_lie_side_by_side_are_updated_together(frozen: str) -> None:
    schedulers = []
    for _ in range(2):
        model = residual()
        if frozen:
            model[frozen].trainable = False
        schedulers.append(Scheduler(model, MSELoss(), Adam(learning_rate=0.01, weight_decay=0.1)))
    x, y = batch_for(schedulers[0].model)
    schedulers[0].step(x, y)
    one_by_one(schedulers[1], x, y)
    assert bits_of(schedulers[0].model) == bits_of(schedulers[1].model)
    launches = schedulers[0].program(BATCH)._plan.launches
    updates = [launch for launch in launches if launch.kernel in UPDATES]
    # A frozen layer has no update and parts what lies around it, unless it comes first.
    assert len(updates) == (2 if frozen == "fc" else 1)


def test_only_neighbours_with_equal_settings_are_merged() -> None:
    backend = backend_for("cpu")
    arena, rates = backend.arena(), backend.arena().request("rates", (4,), "float32")
    rows = [[arena.request(f"{c}{i}", (5,), "float32") for i in range(4)] for c in "wgv"]
    arena.commit()
    settings = [SGD(momentum=m).update(*(rows[k][i] for k in (0, 1)), [rows[2][i]], rates)
                for i, m in enumerate((0.5, 0.5, 0.25, 0.25))]  # fmt: skip
    sizes = [launch.buffers[0].size for launch in merged(settings, backend)]
    assert sizes == [21, 21], "16 numbers from one cache line to the next, then 5"
    apart = [settings[0], Launch(settings[1].kernel, settings[3].buffers, settings[0].settings)]
    assert merged(apart, backend) == apart


def test_a_plan_really_joins_operations() -> None:
    scheduler = Scheduler(residual(), MSELoss(), SGD(momentum=0.9))
    program = scheduler.program(BATCH)
    kernels = [launch.kernel for launch in program._plan.launches]
    single = [launch.kernel for launch in program._launches]
    assert kernels.count("conv2d_fused_forward") == 2, "both uses of the shared layer"
    assert kernels.count("dense_fused_forward") == 1
    assert kernels.count("relu_forward") == single.count("relu_forward") - 3
    assert kernels.count("sgd_update") == 1
    assert set(kernels[program._plan.harmless :]) == {"batch_norm_running", "sgd_update"}


@pytest.mark.parametrize("way", ["winograd2", "winograd4"])
def test_a_plan_joins_winograds_products_and_what_follows(way: str) -> None:
    program = Scheduler(rectified(convolution=way), MSELoss(), SGD()).program(BATCH)
    joined = [one for one in program._plan.launches if one.kernel == "winograd_fused_forward"]
    assert [one.settings.has_bias for one in joined] == [0, 1, 1]
    kernels = [launch.kernel for launch in program._plan.launches]
    assert "relu_forward" not in kernels
    # What is left goes back to the inputs of the layers.
    assert kernels.count("winograd_convolve") == 2


def test_a_backend_without_fused_kernels_runs_the_launches_as_they_are() -> None:
    program = Scheduler(residual(), MSELoss(), SGD()).program(BATCH)

    class Plain:
        fuses = False

    plan = whole_run(program._launches, [], Plain())  # type: ignore[arg-type]
    assert plan.launches == program._launches
    assert plan.harmless == 0


def test_an_operation_of_unknown_effect_makes_a_step_uninterruptible() -> None:
    program = Scheduler(residual(), MSELoss(), SGD()).program(BATCH)
    row = next(o for o in program.operations if o.kind == "conv2d")
    plan = whole_run(program._launches, [(row.start, row.stop)], program.model.backend)
    assert plan.harmless == 0


def test_a_session_may_stop_between_operations_that_a_whole_step_joins() -> None:
    model = Model(
        [Conv2d(1, 3, 3, name="conv"), ReLU(name="relu"), Flatten(), Dense(48, 3, name="fc")],
        input_shape=(1, 6, 6),
        device="cpu",
    )
    stepped, whole = (
        Scheduler(m, CrossEntropyLoss(), SGD(momentum=0.9)) for m in (model, _twin(model))
    )
    loader = tiny_loader()
    session = Session(stepped, loader=loader)
    for _ in range(2):  # load, convolution
        session.step_over()
    assert session.position.operation == 2
    x = loader.batch(0, 0)[0]
    before = session.read("conv.output")
    assert before is not None
    assert_same_bits(before, model.activations(x, ["conv"])["conv"])
    assert session.read("relu.output") is None
    assert (before < 0).any(), "the ReLU has not run"
    session.step_over()
    after = session.read("relu.output")
    assert after is not None
    assert_same_bits(after, np.maximum(before, 0))
    session.resume()
    whole.fit(loader, epochs=1)
    assert bits_of(stepped.model) == bits_of(whole.model)


def _twin(model: Model) -> Model:
    twin = Model(
        [Conv2d(1, 3, 3, name="conv"), ReLU(name="relu"), Flatten(), Dense(48, 3, name="fc")],
        input_shape=(1, 6, 6),
        device="cpu",
    )
    for name, parameter in model.parameters.items():
        twin.parameters[name].value = parameter.value
    return twin


# -- ending a step early -----------------------------------------------------------------------


def lasting(scheduler: Scheduler) -> dict[str, bytes]:
    """Return all that outlives a batch."""
    found = bits_of(scheduler.model)
    for name, moments in scheduler.moments.items():
        found |= {f"{name} {i}": moment.read().tobytes() for i, moment in enumerate(moments)}
    return found


def test_an_interrupted_run_changes_nothing_that_lasts_and_can_be_made_again() -> None:
    scheduler = Scheduler(residual(), MSELoss(), SGD(momentum=0.9))
    x, y = batch_for(scheduler.model)
    scheduler.step(x, y)
    before = lasting(scheduler)
    program = scheduler.program(BATCH)
    scheduler.load_batch(program, x, y)

    def stopped() -> bool:
        program.interrupt()
        return False

    assert not program.run_unless(stopped)
    assert not program.run_unless(lambda: True)
    assert lasting(scheduler) == before
    program.interrupt()
    program.run()  # is not meant: the debugger runs to the end
    twin = Scheduler(residual(), MSELoss(), SGD(momentum=0.9))
    for _ in range(2):
        twin.step(x, y)
    assert lasting(scheduler) == lasting(twin)


@pytest.mark.slow
def test_stop_abandons_a_long_step_as_if_it_had_never_begun() -> None:
    """Convolutions for about a second; the stop comes when some of them are done."""
    layers: list[Any] = []
    for _ in range(14):
        layers += [Conv2d(16, 16, 5, padding=2), BatchNorm2d(16), ReLU()]
    model = Model([*layers, GlobalAvgPool2d(), Flatten(), Dense(16, 3)],
                  input_shape=(16, 64, 64), device="cpu")  # fmt: skip
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(momentum=0.9))
    rng = np.random.default_rng(0)

    class Loader:
        dataset = tiny_loader().dataset

        def __len__(self) -> int:
            return 1

        def batch(self, epoch: int, number: int) -> tuple[Any, Any]:
            return rng.standard_normal((16, 16, 64, 64)).astype(np.float32), np.arange(16) % 3

    scheduler.program(16)
    assert scheduler.step_progress == 0.0
    before = lasting(scheduler)
    loader: Any = Loader()
    thread = threading.Thread(target=lambda: scheduler.fit(loader, steps=1))
    thread.start()
    while scheduler.step_progress < 0.05:
        time.sleep(0.001)
    scheduler.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert 0.05 <= scheduler.step_progress < 1
    assert scheduler.global_step == scheduler.batch == 0
    assert not scheduler.history.steps
    assert lasting(scheduler) == before
    scheduler.fit(loader, steps=1)
    assert scheduler.global_step == 1
    assert lasting(scheduler) != before
