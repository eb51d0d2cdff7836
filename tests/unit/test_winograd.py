"""Winograd's method as users meet it: choosing it, training with it, keeping it, explaining it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler, load, save
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.errors import ConfigurationError
from engine.layers import Conv2d, Dense, Flatten, GlobalAvgPool2d, MaxPool2d, ReLU
from engine.losses import CrossEntropyLoss
from engine.ops.winograd import CONVOLUTIONS, RESULTS, chunk_count, tile_for, ulps
from engine.optimizers import SGD
from engine.zoo import build
from tests import reference as ref
from tests.building import bits_of, single, weights_of
from tests.tolerances import assert_same_bits

WAYS = ("winograd2", "winograd4")
BOUND = {"winograd2": 2e-6, "winograd4": 4e-5}
"""Largest error in float32, relative to the largest result."""


def net(convolution: str = "direct", dtype: str = "float32", threads: int | None = None) -> Model:
    """A small net for 12 x 10 pixels in which the second convolution is worth it."""
    layers = [
        Conv2d(2, 32, 3, padding=1, name="conv1"),
        ReLU(name="relu1"),
        Conv2d(32, 32, 3, padding=(1, 0, 1, 1), name="conv2"),
        ReLU(name="relu2"),
        MaxPool2d(2, name="pool"),
        GlobalAvgPool2d(name="mean"),
        Flatten(name="flat"),
        Dense(32, 3, name="logits"),
    ]
    return Model(
        layers, input_shape=(2, 12, 10), seed=3, device="cpu", dtype=dtype, threads=threads,
        convolution=convolution,
    )  # fmt: skip


def examples(count: int = 48) -> Dataset:
    """Three classes of stripes in noise: along rows, along columns, along neither."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, count)
    x = 0.6 * rng.standard_normal((count, 2, 12, 10))
    stripes = np.sin(np.arange(12) * 2.1)[:, None], np.sin(np.arange(10) * 2.1)[None, :], 0.0
    for sample, label in enumerate(y):
        x[sample] += stripes[label]
    return Dataset(x.astype(np.float32), y)


def scheduler(model: Model, convolution: str | None = None) -> Scheduler:
    """Train with momentum."""
    optimizer = SGD(learning_rate=0.05, momentum=0.9)
    return Scheduler(model, CrossEntropyLoss(), optimizer, convolution=convolution)


def loader() -> DataLoader:
    """Batches of 16."""
    return DataLoader(examples(), batch_size=16, shuffle=True, seed=1)


def kernels(program: Any) -> list[str]:
    """Return the kernels of a program's convolutions."""
    return [launch.kernel for launch in program._launches if "conv" in launch.kernel]


# ------------------------------------------------------------------------------ which way is taken


def chosen(inputs: int, outputs: int, size: int, convolution: str = "winograd", **more: Any) -> Any:
    op: Any = Conv2d(inputs, outputs, more.pop("kernel_size", 3), **more).op
    return tuple(tile_for(op, convolution, result, (inputs, size, size)) for result in RESULTS)


def test_the_choice_follows_channels_and_size() -> None:
    assert chosen(3, 64, 32, padding=1) == (0, 0, 0)
    assert chosen(8, 8, 32, padding=1) == (0, 0, 0)
    assert chosen(16, 16, 32, padding=1) == (4, 4, 4)
    assert chosen(32, 64, 14, padding=1) == (2, 2, 2)
    assert chosen(64, 64, 56, padding=1) == (4, 4, 4)
    assert chosen(128, 128, 28, padding=1) == (4, 4, 4)
    assert chosen(256, 256, 14, padding=1) == (2, 2, 2)
    assert chosen(1024, 1024, 14, padding=1) == (0, 0, 0)


def test_only_dense_three_by_three_windows_can_be_cut_into_tiles() -> None:
    for more in ({"kernel_size": 5}, {"stride": 2}, {"dilation": 2}, {"groups": 2}):
        for convolution in CONVOLUTIONS:
            assert chosen(64, 64, 56, convolution, **more) == (0, 0, 0)
    assert chosen(64, 64, 56, "direct") == (0, 0, 0)
    assert chosen(2048, 2048, 7, "winograd4") == (4, 4, 4)
    assert chosen(2049, 2048, 7, "winograd4") == (0, 0, 0)
    assert chosen(1, 1, 3, "winograd2") == (2, 2, 2)
    assert chosen(1, 1, 3, "winograd4") == (4, 4, 4)


def test_a_sample_has_the_same_numbers_in_any_batch() -> None:
    model, x = net("winograd"), examples(9).x
    whole = model(x)
    for sample in range(9):
        assert_same_bits(model(x[sample : sample + 1])[0], whole[sample])


def test_chunks_are_fewer_where_slices_of_channels_give_work_to_threads() -> None:
    sizes = ((64, 64, 8), (128, 128, 8), (256, 128, 4), (256, 256, 2), (512, 512, 1), (2048, 16, 1))
    for inputs, outputs, expected in sizes:
        op: Any = Conv2d(inputs, outputs, 3).op
        assert chunk_count(op) == expected


@pytest.mark.parametrize("value", ["Winograd", "winograd3", "", 2, None])
def test_an_unknown_way_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match='expected one of "direct", "winograd"'):
        Model([Conv2d(1, 1, 3)], input_shape=(1, 5, 5), device="cpu", convolution=value)
    model = net()
    with pytest.raises(ConfigurationError, match="convolution"):
        model.convolution = value
    assert model.convolution == "direct"
    if value is not None:
        with pytest.raises(ConfigurationError, match="convolution"):
            scheduler(model, value)


def test_a_scheduler_sets_the_way_for_its_model() -> None:
    model = net()
    before = model(examples(4).x)
    assert scheduler(model).model.convolution == "direct"
    run = scheduler(model, "winograd4")
    assert model.convolution == "winograd4"
    assert "conv2d_forward" not in kernels(run.program(4))
    after = model(examples(4).x)
    assert before.tobytes() != after.tobytes()
    assert np.abs(after - before).max() < 1e-4
    model.convolution = "direct"
    assert_same_bits(model(examples(4).x), before)
    assert set(kernels(run.program(4))) >= {"conv2d_forward", "conv2d_backward_weight"}


def test_layers_that_do_not_gain_run_directly() -> None:
    forward = [k for k in kernels(net("winograd").program(2)) if "weight" not in k]
    assert forward == ["conv2d_forward", "winograd_convolve"]


# ------------------------------------------------------------------------------ what comes out


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("padding", [0, 1, (2, 0, 3, 1)])
@pytest.mark.parametrize("way", WAYS)
def test_all_passes_against_the_reference(way: str, padding: Any, flip: bool) -> None:
    for dtype, factor in (("float32", 1.0), ("float64", 2e-9)):
        layer = Conv2d(5, 18, 3, padding=padding, flip_kernel=flip, name="conv")
        model = single(layer, (5, 7, 9), dtype)
        model.convolution = way
        rng = np.random.default_rng(1)
        x = rng.standard_normal((3, 5, 7, 9)).astype(dtype)
        w = weights_of(model)
        settings = ref.ConvSettings(padding=ref.pads(padding), flip_kernel=flip)
        expected = ref.conv2d(x, w["conv.weight"], w["conv.bias"], settings)
        grad = rng.standard_normal(expected.shape).astype(dtype)
        grad_input, grad_weight, _ = ref.conv2d_backward(x, w["conv.weight"], grad, settings)
        found = model.gradients(x, grad)
        pairs = (
            (model(x), expected),
            (found.inputs[0], grad_input),
            (found.parameters["conv.weight"], grad_weight),
        )
        for actual, truth in pairs:
            error = np.abs(actual - truth).max() / np.abs(truth).max()
            assert error <= BOUND[way] * factor, (dtype, error)


@pytest.mark.parametrize("way", ["winograd", *WAYS])
def test_bits_do_not_depend_on_threads(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.kernels.cpu.backend.SHARED_FROM_US", 0.0)
    found = []
    for threads in (1, 2, 5):
        run = scheduler(net(way, threads=threads))
        run.fit(loader(), steps=3)
        found.append(bits_of(run.model))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("way", ["winograd", *WAYS])
def test_training_goes_as_with_direct_convolution(way: str) -> None:
    direct, other = scheduler(net()), scheduler(net(way))
    for run in (direct, other):
        run.fit(loader(), epochs=6)
    # Close at first, then each its own way to the same end.
    assert other.history.steps[:3] == pytest.approx(direct.history.steps[:3], abs=1e-3)
    assert bits_of(direct.model) != bits_of(other.model)
    for run in (direct, other):
        assert run.history.epochs[-1] < 0.5 * run.history.epochs[0]
    assert other.history.epochs[-1] == pytest.approx(direct.history.epochs[-1], abs=0.1)


class Step:
    """A training step of ResNet-20 on two pictures, from one set of weights.

    Parameters
    ----------
    convolution, dtype : str
    signs : dict of arrays, optional
        Inputs of the ReLUs by name: where the step's own have another sign, these take their place.

    Attributes
    ----------
    gradients, inputs : dict of arrays
        Of the parameters; of the ReLUs.
    moved : int
        How many numbers had another sign.
    """

    def __init__(
        self, convolution: str, dtype: str, signs: dict[str, np.ndarray] | None = None
    ) -> None:
        model = build("resnet20", device="cpu", dtype=dtype, convolution=convolution)
        for name, weights in weights_of(build("resnet20", device="cpu")).items():
            model.parameters[name].value = weights.astype(dtype)
        rng = np.random.default_rng(13)
        x = rng.standard_normal((2, 3, 32, 32)).astype(np.float32)
        run = Scheduler(model, CrossEntropyLoss(), SGD(0.0))
        program = run.program(2)
        run.load_batch(program, x.astype(dtype), np.array([3, 7]))
        relus = {
            node.inputs[0]: node.name
            for node in model.nodes
            if node.layer is not None and node.layer.op.name == "relu"
        }
        self.inputs, self.moved = {}, 0
        for operation in program.operations:
            program.run(operation.index, operation.index + 1)
            relu = relus.get(operation.layer)
            if operation.phase != "forward" or relu is None:
                continue
            buffer = program.buffer(f"{operation.layer}.output")
            values = buffer.read()
            if signs is not None:
                others = (values > 0) != (signs[relu] > 0)
                values[others] = signs[relu][others]
                buffer.write(values)
                self.moved += int(others.sum())
            self.inputs[relu] = values
        self.gradients = {name: p.gradient for name, p in model.parameters.items()}

    def apart(self, truth: Step) -> float:
        """Return how far gradients are from others, as a share of each parameter's greatest."""
        floor = 1e-3 * max(np.abs(wanted).max() for wanted in truth.gradients.values())
        return max(
            float(np.abs(self.gradients[name] - wanted).max() / max(np.abs(wanted).max(), floor))
            for name, wanted in truth.gradients.items()
        )


def test_gradients_of_a_deep_net_differ_by_rounding_and_by_signs_it_decides() -> None:
    """A ReLU's input near zero may round to the other side; then its gradient goes elsewhere.

    That is no error of the method: in float64, where no sign is undecided, all agrees, and so it
    does in float32 with the signs of float64.
    """
    truth = Step("direct", "float64")
    exact = Step("winograd", "float64")
    for relu, values in truth.inputs.items():
        assert ((values > 0) == (exact.inputs[relu] > 0)).all(), relu
    assert 0 < exact.apart(truth) < 1e-11
    rounded = Step("winograd", "float32", truth.inputs)
    assert rounded.moved < 20, "of a few hundred thousand"
    assert 0 < rounded.apart(truth) < 1e-4


# ------------------------------------------------------------------------------ run files


@pytest.mark.parametrize("way", CONVOLUTIONS)
def test_a_run_file_keeps_the_way(tmp_path: Path, way: str) -> None:
    whole, first = scheduler(net(way)), scheduler(net(way))
    whole.fit(loader(), steps=5)
    first.fit(loader(), steps=2)
    save(first, tmp_path / "run.safetensors")
    second = load(tmp_path / "run.safetensors")
    assert second.model.convolution == way
    second.fit(loader(), steps=3)
    assert bits_of(second.model) == bits_of(whole.model)
    save(first.model, tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").model.convolution == way


def test_a_run_file_without_a_way_is_direct() -> None:
    from engine.io.architecture import model_from_data, model_to_data

    data = model_to_data(net("winograd"))
    assert data.pop("convolution") == "winograd"
    assert model_from_data(json.loads(json.dumps(data)), "cpu").convolution == "direct"


def test_summary_names_the_way() -> None:
    assert "convolution winograd2" in net("winograd2").summary()
    assert "convolution" not in net().summary()


# ------------------------------------------------------------------------------ explanations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", WAYS)
def test_explanations_have_the_stored_bits_everywhere(way: str, dtype: str) -> None:
    session = Session(scheduler(net(way, dtype)), loader=loader())
    operations = session.program.operations
    while operations[session.position.operation].phase != "update":
        session.step_over()
    rng = np.random.default_rng(2)
    for layer in ("conv1", "conv2"):
        for result in RESULTS:
            if (layer, result) == ("conv1", "input.gradient"):
                continue
            values = session.read(f"{layer}.{result}")
            assert values is not None
            corners = [tuple(p * (s - 1) for s in values.shape) for p in (0, 1)]
            places = [tuple(int(rng.integers(s)) for s in values.shape) for _ in range(60)]
            for index in (*corners, *places):
                why = session.explain(layer=layer, index=index, tensor=result)
                assert_same_bits(why.stored, values[index])
                assert why.exact, (layer, result, index, why.value, why.stored)


def test_an_explanation_shows_both_numbers_and_their_distance() -> None:
    model = net("winograd4")
    session = Session(model, examples(2).x)
    session.step_over()
    session.step_over()
    session.step_over()
    session.step_over()
    why = session.explain(layer="conv2", index=(1, 7, 5, 6), tensor="output")
    assert why.exact
    assert len(why.terms) == 9 * 32
    labels = [stage.label for stage in why.stages]
    assert labels == ["direct sum", "Winograd sum", "+ bias", "= output"]
    assert why.stages[0].value == float(why.terms.totals[-1])
    assert why.stages[0].value == pytest.approx(why.stages[1].value, abs=1e-4)
    assert why.stages[1].formula == "place (1, 2) of tile (1, 1)"
    assert why.stages[-1].value == float(why.stored)
    direct = np.float32(why.stages[0].value) + model["conv2"].parameters["bias"].value[7]
    assert f"{ulps(why.stored, direct)} ulp away" in why.notes[-1]
    assert "Winograd" in why.sentence
    assert "tiles of 4 × 4" in why.order


def test_ulps_count_the_numbers_between() -> None:
    one = np.float32(1)
    assert ulps(one, one) == 0
    assert ulps(one, np.nextafter(one, np.float32(2))) == 1
    assert ulps(np.nextafter(one, np.float32(0)), np.nextafter(one, np.float32(2))) == 2
    tiny = np.nextafter(np.float64(0), np.float64(1))
    assert ulps(tiny, -tiny) == 2
    assert ulps(np.float64(0.0), np.float64(-0.0)) == 0
