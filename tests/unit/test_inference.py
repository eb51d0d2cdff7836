"""Predictions: the outputs of a plain forward pass, bit for bit, from much less memory."""

from __future__ import annotations

import functools
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from engine import Input, Model, Scheduler
from engine.device import Launch, Life
from engine.inference import Inference
from engine.kernels.launch import offsets
from engine.layers import (
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    MaxPool2d,
    ReLU,
    Tanh,
)
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.program import Program
from engine.zoo import build
from tests.building import randomise
from tests.gallery import IMAGE, LAYERS, branching, chain
from tests.tolerances import assert_same_bits
from tests.unit.test_fusing import rectified, residual


def crossing(dtype: str = "float32", convolution: str = "direct") -> Model:
    """Residuals that outlive what comes after them, sums of sums, several outputs, two inputs."""
    x, other = Input(IMAGE, name="x"), Input((5, 7, 6), name="other")
    a = BatchNorm2d(5, name="a")(Conv2d(4, 5, 3, padding=1, name="conv_a")(x))
    b = ReLU(name="b")(Conv2d(5, 5, 3, padding=1, name="conv_b")(a))
    c = Conv2d(5, 5, 3, padding=1, name="conv_c")(b)
    both = Add(name="both")(a, c, b)
    # The residual is a product itself, and its ReLU is wanted beside it.
    d = ReLU(name="d")(Add(name="sum_d")(Conv2d(5, 5, 1, name="conv_d")(both), both))
    twice = Add(name="twice")(d, d)
    dropped = Dropout(0.5, name="dropped")(Tanh(name="tanh")(twice))
    e = ReLU(name="e")(Add(name="sum_e")(other, Conv2d(5, 5, 1, name="conv_e")(dropped)))
    joined = Concat(name="joined")(a, e, d)
    pooled = Flatten(name="flat")(GlobalAvgPool2d(name="mean")(MaxPool2d(2, name="pool")(joined)))
    shared = Dense(15, 15, name="shared")
    f = ReLU(name="f")(shared(ReLU(name="g")(shared(pooled))))
    return Model(
        inputs=[x, other],
        outputs=[f, e, pooled, a],
        seed=5,
        device="cpu",
        dtype=dtype,
        convolution=convolution,
    )


NETS: dict[str, Any] = {
    **{name: lambda dtype, name=name: chain(name, dtype) for name in LAYERS},
    "branching": branching,
    "residual": residual,
    "crossing": crossing,
    **{
        f"{make.__name__} by {way}": functools.partial(make, convolution=way)
        for make in (residual, rectified, crossing)
        for way in ("winograd2", "winograd4")
    },
}


def inputs_for(model: Model, count: int, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    shapes = [model.node(name).output_shape for name in model.inputs]
    return [rng.standard_normal((count, *shape)).astype(model.dtype) for shape in shapes]


def plain_outputs(model: Model, arrays: list[Any]) -> list[Any]:
    """Return the outputs of the full program, one operation after the other."""
    program = Program(model, len(arrays[0]))
    program.load(arrays)
    for number in range(len(program.operations)):
        program.run(number, number + 1)
    return [program.read(model.node(name).tensor) for name in model.outputs]


def predicted(model: Model, arrays: list[Any]) -> list[Any]:
    result = model(*arrays)
    return list(result) if isinstance(result, tuple) else [result]


def unsettle(model: Model, seed: int = 1) -> None:
    """Give parameters and running statistics numbers of all sizes and signs."""
    randomise(model, seed)
    rng = np.random.default_rng(seed)
    for name in model.state:
        model.state[name] = rng.uniform(0.1, 3, model.state[name].shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_predictions_have_the_bits_of_a_plain_forward_pass(name: str, dtype: str) -> None:
    model = NETS[name](dtype)
    unsettle(model)
    for count, seed in ((3, 0), (3, 1), (1, 2)):
        arrays = inputs_for(model, count, seed)
        expected = plain_outputs(model, arrays)
        for got, want, output in zip(
            predicted(model, arrays), expected, model.outputs, strict=True
        ):
            assert_same_bits(got, want, f"{output}, batch {count}")


@pytest.mark.parametrize(
    "name", ["branching", "residual", "crossing", "residual by winograd2", "crossing by winograd4"]
)
def test_nan_and_infinity_pass_as_in_a_plain_forward_pass(name: str) -> None:
    model = NETS[name]("float32")
    arrays = inputs_for(model, 3)
    arrays[0][0, 0, 0, 0], arrays[0][1, 1, 2, 3], arrays[0][2, 2, 4, 4] = np.nan, np.inf, -np.inf
    for got, want in zip(predicted(model, arrays), plain_outputs(model, arrays), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", NETS)
def test_predictions_do_not_depend_on_what_lay_in_memory_before(name: str) -> None:
    model = NETS[name]("float32")
    unsettle(model)
    arrays = inputs_for(model, 2)
    predictor = model.predictor(2)
    expected = predictor(arrays)
    for buffer in predictor._shared:
        if buffer.dtype == model.dtype and buffer.memory.size:  # type: ignore[attr-defined]
            buffer.memory[...] = np.nan  # type: ignore[attr-defined]
    for got, want in zip(predictor(arrays), expected, strict=True):
        assert_same_bits(got, want)


def test_changed_parameters_and_statistics_are_seen_by_the_next_call() -> None:
    model = residual()
    arrays = inputs_for(model, 2)
    first = model(*arrays)
    for seed in (1, 2):
        unsettle(model, seed)
        second = model(*arrays)
        assert (second != first).any()
        assert_same_bits(second, plain_outputs(model, arrays)[0])
        first = second


@pytest.mark.parametrize("convolution", ["direct", "winograd2"])
def test_what_depends_on_parameters_alone_is_made_again_when_they_change(convolution: str) -> None:
    model = Model(
        [
            Conv2d(8, 8, 3, padding=1, name="conv"),
            BatchNorm2d(8, name="norm"),
            ReLU(),
            Flatten(),
            Dense(128, 3),
        ],
        input_shape=(8, 4, 4),
        device="cpu",
        convolution=convolution,
    )
    draws = np.random.default_rng(0)
    x = draws.standard_normal((2, 8, 4, 4)).astype(np.float32)
    inference, scheduler = Inference(model, 2), Scheduler(model, CrossEntropyLoss(), SGD(0.1))
    assert inference._constant >= 1

    def check() -> None:
        plain = Program(model, 2)
        plain.load([x])
        plain.run()
        wanted = plain.read(model.node(model.outputs[0]).tensor)
        for _ in range(2):
            assert_same_bits(inference([x])[0], wanted)

    check()
    before = scheduler.capture()
    scheduler.step(x, np.array([0, 2]))
    check()
    scheduler.restore(before)
    check()
    model.parameters["conv.weight"].value = draws.standard_normal((8, 8, 3, 3))
    check()
    model.state["norm.running_var"] = np.full(8, 3.0)
    check()
    program = scheduler.program(2)
    scheduler.load_batch(program, x, np.array([1, 1]))
    for row in range(len(program.operations)):  # as the debugger steps
        program.run(row, row + 1)
    check()


def test_results_are_the_callers_own() -> None:
    model = residual()
    x, other = inputs_for(model, 2, 0)[0], inputs_for(model, 2, 1)[0]
    kept, copy = x.copy(), model(x)
    first = copy.copy()
    model(other)
    assert_same_bits(copy, first)
    assert_same_bits(x, kept)
    assert copy.flags.writeable


def test_inputs_of_any_make_give_the_same_answer() -> None:
    model = residual()
    x = inputs_for(model, 2)[0]
    expected = model(x)
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), np.float32)
    wide[..., ::2] = x
    spread, turned = wide[..., ::2], np.asfortranarray(x)
    for given_ in (spread, turned, x.astype(np.float64), x.tolist(), x[:1].repeat(2, 0) * 0 + x):
        assert_same_bits(model(given_), expected)
    assert_same_bits(model(x[:0]), expected[:0])


def test_deep_nets_need_the_memory_of_two_tensors_not_of_all() -> None:
    layers: list[Any] = []
    for _ in range(10):
        layers += [Conv2d(8, 8, 3, padding=1), BatchNorm2d(8), ReLU(), Dropout(0.5)]
    model = Model(layers, input_shape=(8, 16, 16), device="cpu")
    one = 4 * 8 * 16 * 16 * 4
    assert model.predictor(4).memory_bytes < 2 * one + 4096
    assert Program(model, 4).memory_bytes > 40 * one


def test_layers_that_change_nothing_are_not_run() -> None:
    model = Model(
        [Dropout(0.5), Flatten(), Dropout(0.1), Dense(6, 2), ReLU()],
        input_shape=(1, 2, 3),
        device="cpu",
    )
    assert Inference(model, 3)._count == 1
    x = inputs_for(model, 3)[0]
    assert_same_bits(model(x), plain_outputs(model, [x])[0])


@pytest.mark.parametrize("way", ["winograd2", "winograd4"])
def test_winograds_products_take_along_what_follows(way: str) -> None:
    """Of ResNet-20 only the first convolution of a stage and its shortcut stay direct."""
    model = build("resnet20", input_shape=(3, 8, 8), device="cpu", convolution=way)
    launches: list[Launch] = []
    prepare = model.backend.prepare

    def listening(given_: list[Launch], dtype: str) -> Any:
        launches[:] = given_
        return prepare(given_, dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.backend, "prepare", listening)
        Inference(model, 2)
    kernels = [launch.kernel for launch in launches]
    assert kernels.count("winograd_fused_forward") == 17
    assert kernels.count("conv2d_fused_forward") == 4
    for single in ("winograd_convolve", "batch_norm_forward", "add_forward", "relu_forward"):
        assert single not in kernels
    joined = [one.settings for one in launches if one.kernel == "winograd_fused_forward"]
    assert {one.has_norm for one in joined} == {one.relu for one in joined} == {1}
    assert sum(one.has_residual for one in joined) == 9


def test_a_model_may_return_its_input() -> None:
    x = Input((4,))
    model = Model(inputs=x, outputs=[x, ReLU()(x)], device="cpu")
    values = inputs_for(model, 2)[0]
    same, positive = model(values)
    assert_same_bits(same, values)
    assert_same_bits(positive, np.maximum(values, 0))
    same[:] = 7
    assert_same_bits(model(values)[0], values)


lives = st.one_of(st.none(), st.tuples(st.integers(-1, 9), st.integers(-1, 9)))


@given(st.lists(st.tuples(st.integers(0, 300), lives), max_size=12))
def test_buffers_that_live_at_the_same_time_never_overlap(made: list[tuple[int, Life]]) -> None:
    sizes, ages = [size for size, _ in made], [life for _, life in made]
    places, total = offsets(sizes, ages, 64)
    alive = [i for i, life in enumerate(ages) if life is None or life[0] <= life[1]]
    for i in alive:
        assert places[i] % 64 == 0
        assert 0 <= places[i] <= places[i] + sizes[i] <= total
        for j in alive:
            a, b = ages[i], ages[j]
            together = a is None or b is None or (a[0] <= b[1] and b[0] <= a[1])
            if i < j and together and sizes[i] and sizes[j]:
                assert places[i] + sizes[i] <= places[j] or places[j] + sizes[j] <= places[i]
    for_ever = [places[i] for i in alive if ages[i] is None]
    assert for_ever == sorted(for_ever)
