"""Numbers that are none: whatever an operation reads, a NaN in it is found there and named.

The walk plants NaN and infinity into every buffer that an operation's launches read, one element at
a time, right before the operation runs. So a new layer, loss or optimiser is walked by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from engine import Input, Model, Scheduler
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.debug.breakpoints import any_nonfinite
from engine.layers import BatchNorm2d, Conv2d, Dense, Flatten, MaxPool2d, ReLU, Tanh
from engine.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from engine.ops.explaining import place
from engine.optimizers import SGD, Adam, AdamW
from engine.regularizers import L1, L2
from tests.debug.test_explain import FORMS, LOSSES, OPTIMISERS, around, training
from tests.gallery import CONVOLUTIONS, IMAGE, branching
from tests.tolerances import assert_same_bits

HARMLESS = {
    ("relu", "backward", "input"): "the slope of a NaN is 0",
    ("leaky_relu", "backward", "input"): "the slope of a NaN is the slope below 0",
    ("batch_norm2d", "backward", "bias"): "a shift has no part in a gradient",
}
"""Where a NaN in an operand leaves all results finite."""


def operands(session: Any, row: Any) -> dict[str, Any]:
    """Return the buffers that an operation reads, apart from its own memory, by name."""
    program = session.program
    written = {id(program.buffer(f"{row.layer}.{result}").root) for result in row.results}
    found = {}
    for launch in program._launches[row.start : row.stop]:
        for buffer in launch.buffers:
            root = buffer.root
            own = ".saved." in root.name or root.dtype == "int64" or not root.size
            is_result = id(root) in written and row.phase != "update"
            if not own and not is_result:
                found[root.name] = root
    if row.phase == "loss":
        found = {name: b for name, b in found.items() if name != "loss.items"}
    return found


class Planting:
    """A bad number in a buffer, as if it had been there since the batch began."""

    def __init__(self, session: Any, row: Any, buffer: Any) -> None:
        self.session, self.row, self.buffer = session, row, buffer
        self.start = session._tape.start
        launches = session.program._launches[row.start : row.stop]
        roots = {id(b.root): b.root for launch in launches for b in launch.buffers}
        roots[id(buffer)] = buffer
        self.before = [(root, root.capture()) for root in roots.values()]
        self.values = buffer.read()

    def places(self, rng: Any, count: int) -> list[tuple[int, ...]]:
        if self.buffer.name == "rates":
            return [(0,)]
        chosen = rng.choice(self.values.size, min(count, self.values.size), replace=False)
        return [tuple(int(i) for i in np.unravel_index(c, self.values.shape)) for c in chosen]

    def run(self, where: tuple[int, ...], value: float) -> None:
        """Plant, and carry the operation out."""
        values = self.values.copy()
        if self.buffer.name == "rates":
            values[:2] = value  # the rate, and Adam's step size, which is made of it
        else:
            values[where] = value
        self.buffer.write(values)
        if self.start is not None:
            self._in_snapshot(self.buffer.capture())
        program = self.session.program
        first = program.producers["loss.output"] if self.row.layer == "loss" else self.row.index
        program.run(first, self.row.index + 1)

    def _in_snapshot(self, inner: Any) -> None:
        name, start = self.buffer.name, self.start
        for arrays in (start.parameters, start.state):
            if name in arrays:
                arrays[name] = inner
        for parameter, buffers in self.session.program.moments.items():
            moments = list(start.moments[parameter])
            for number, buffer in enumerate(buffers):
                if buffer is self.buffer:
                    moments[number] = inner
            start.moments[parameter] = tuple(moments)

    def undo(self) -> None:
        for root, captured in self.before:
            root.restore(captured)
        if self.start is not None:
            self._in_snapshot(self.buffer.capture())


def explained(session: Any, row: Any, rng: Any, bad: str) -> None:
    """Explain bad and good elements of what the operation has just made of a bad number."""
    for result in row.results:
        array = session.program.read(f"{row.layer}.{result}")
        broken, sound = np.argwhere(~np.isfinite(array)), np.argwhere(np.isfinite(array))
        for places in (broken, sound):
            chosen = (
                rng.choice(len(places), min(3, len(places)), replace=False) if len(places) else []
            )
            for number in chosen:
                index = tuple(int(i) for i in places[number])
                why = session._explainer.explain(row.layer, result, index)
                text = (row.layer, row.phase, result, index, why.sentence)
                assert why.exact, text
                assert_same_bits(why.stored, array[index], str(text))
                if np.isfinite(array[index]):
                    assert why.culprit is None
                    continue
                assert place(why.tensor, index) in why.sentence, text
                assert bad in why.sentence, text
                assert "products are 0" not in why.sentence
                if why.culprit.term is not None:
                    assert why.strongest is not None
                    assert not np.isfinite(why.terms[why.strongest].contribution), text


def kind_of(name: str, row: Any) -> str:
    """Return what an operand is to its operation: input, weight, grad_output ..."""
    layer, _, rest = name.partition(".")
    return rest if layer == row.layer else "input" if rest in ("output", "") else rest


def walk_row(session: Any, row: Any, rng: Any, harmless: dict[Any, bool]) -> int:
    """Plant into everything that the operation reads; return how often something bad came out."""
    found = 0
    for name, buffer in operands(session, row).items():
        for value, count in ((np.nan, 2), (np.inf, 1), (-np.inf, 1)):
            planting = Planting(session, row, buffer)
            for where in planting.places(rng, count):
                planting.run(where, value)
                finding = any_nonfinite(session, row)
                tensor, index = ("learning_rate", ()) if name == "rates" else (name, where)
                if finding is not None:
                    found += 1
                    assert finding.origin is not None
                    assert (finding.origin.tensor, finding.origin.index) == (tensor, index), (
                        row.layer, row.phase, value, finding.message,
                    )  # fmt: skip
                    explained(session, row, rng, place(tensor, index))
                if np.isnan(value):
                    key = (row.kind, row.phase, kind_of(name, row))
                    harmless[key] = harmless.get(key, True) and finding is None
                planting.undo()
    return found


def rows_of(session: Any, wanted: Callable[[Any], bool]) -> Iterator[Any]:
    """Step through a batch and stand before each operation that is wanted."""
    for row in session.program.operations:
        if row.phase != "load" and wanted(row):
            yield row
        if row.index + 1 < len(session.program.operations):
            session.step_over()


def walk(session: Any, wanted: Callable[[Any], bool]) -> set[Any]:
    rng, harmless, found = np.random.default_rng(1), dict[Any, bool](), 0
    for row in rows_of(session, wanted):
        found += walk_row(session, row, rng, harmless)
    assert found
    return {key for key, never in harmless.items() if never}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMS)
def test_every_layer_in_training(name: str, dtype: str) -> None:
    session = training(around(FORMS[name](), dtype, CONVOLUTIONS.get(name, "direct")))
    assert walk(session, lambda row: row.layer == "it") <= set(HARMLESS)


def test_sums_and_joins_in_training() -> None:
    session = training(branching("float32"), loss=CrossEntropyLoss(), classes=True)
    assert walk(session, lambda row: row.phase in ("forward", "backward")) <= set(HARMLESS)


def test_a_shared_layer() -> None:
    x = Input(IMAGE)
    shared = Conv2d(4, 4, 3, padding=1, name="shared")
    y = Flatten(name="flat")(shared(Tanh(name="tanh")(shared(x))))
    session = training(Model(inputs=x, outputs=y, seed=2, device="cpu"))
    assert walk(session, lambda row: "shared" in row.layer) <= set(HARMLESS)


@pytest.mark.parametrize("name", FORMS)
def test_every_layer_in_a_prediction(name: str) -> None:
    model = around(FORMS[name](), "float32", CONVOLUTIONS.get(name, "direct"))
    rng = np.random.default_rng(2)
    session = Session(model, rng.standard_normal((3, *IMAGE)).astype(np.float32))
    assert walk(session, lambda row: row.layer == "it") <= set(HARMLESS)


@pytest.mark.parametrize("penalty", [None, L1(0.01), L2(0.01)])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name: str, penalty: Any) -> None:
    build, classes = LOSSES[name]
    layers = [Flatten(), Dense(168, 5, regularizer=penalty, name="fc")]
    model = Model(layers, input_shape=IMAGE, seed=1, device="cpu")
    session = training(model, loss=build(), classes=classes)
    assert walk(session, lambda row: row.layer == "loss") <= set(HARMLESS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser(name: str, dtype: str) -> None:
    model = around([Conv2d(4, 2, 3, name="it"), BatchNorm2d(2)], dtype)
    session = training(model, optimizer=OPTIMISERS[name]())
    assert walk(session, lambda row: row.phase == "update") <= set(HARMLESS)


# ------------------------------------------------------------------------------- by hand


def small_net() -> Model:
    return Model(
        [
            Conv2d(1, 4, 3, name="c1"),
            BatchNorm2d(4, name="bn"),
            ReLU(name="relu"),
            Flatten(name="flat"),
            Dense(64, 2, name="fc"),
        ],
        input_shape=(1, 6, 6),
        seed=0,
        device="cpu",
    )


def images(count: int = 8) -> Any:
    return np.random.default_rng(0).standard_normal((count, 1, 6, 6)).astype(np.float32)


def hunted(session: Session) -> Any:
    session.add_breakpoint(when="any_nonfinite")
    stop = session.resume()
    assert stop.reason == "breakpoint"
    assert place(stop.origin.tensor, stop.origin.index) in stop.message
    return stop


def plant(model: Model, name: str, index: tuple[int, ...], value: float = np.nan) -> None:
    """Put a bad number into a parameter or a running statistic as a script would."""
    if name in model.state:
        values = np.array(model.state[name])
        values[index] = value
        model.state[name] = values
        return
    values = np.array(model.parameters[name].value)
    values[index] = value
    model.parameters[name].value = values


PLACES = {
    "c1.weight": (2, 0, 1, 1),
    "c1.bias": (2,),
    "bn.weight": (1,),
    "bn.bias": (3,),
    "bn.running_mean": (2,),
    "bn.running_var": (0,),
    "fc.weight": (1, 40),
    "fc.bias": (1,),
}


@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("name", PLACES)
def test_a_bad_parameter_or_statistic_is_the_origin(name: str, trains: bool) -> None:
    model = small_net()
    plant(model, name, PLACES[name])
    session = Session(model, images())
    if trains:
        scheduler = Scheduler(model, MSELoss(), SGD())
        data = Dataset(images(), np.zeros((8, 2), np.float32))
        session = Session(scheduler, loader=DataLoader(data, batch_size=4))
    stop = hunted(session)
    assert (stop.origin.tensor, stop.origin.index) == (name, PLACES[name])
    assert (stop.record.layer, stop.record.phase) == (name.split(".")[0], "forward")


def test_a_bad_target_is_the_origin() -> None:
    y = np.zeros((8, 2), np.float32)
    y[6, 0] = np.nan
    scheduler = Scheduler(small_net(), MSELoss(), SGD())
    for preset in ("any_nonfinite", "loss_nonfinite"):
        session = Session(scheduler, loader=DataLoader(Dataset(images(), y), batch_size=8))
        session.add_breakpoint(when=preset)
        stop = session.resume()
        assert (stop.origin.tensor, stop.origin.index) == ("loss.target", (6, 0))
        assert "loss.target[6, 0]" in stop.message
        why = session.explain(layer="loss", index=(0,))
        assert why.sentence == "loss.output[0] is nan, because loss.target[6, 0] is nan."


def test_a_variance_that_overflows_is_found_though_all_outputs_are_finite() -> None:
    """(x - mean) / sqrt(inf) is 0: the net goes on with zeros and a spoilt running variance."""
    x = images(8) * np.float32(1e20)
    scheduler = Scheduler(
        Model([BatchNorm2d(1, name="bn"), Flatten(), Dense(36, 2)], input_shape=(1, 6, 6)),
        MSELoss(),
        SGD(),
    )
    data = Dataset(x, np.zeros((8, 2), np.float32))
    stop = hunted(Session(scheduler, loader=DataLoader(data, batch_size=8)))
    assert np.isfinite(stop.record.output).all()
    assert (stop.origin.tensor, stop.origin.index) == ("bn.running_var", (0,))


def test_a_second_moment_that_overflows_is_found_though_the_weight_is_finite() -> None:
    y = np.full((4, 2), 1e22, np.float32)
    model = Model([Flatten(), Dense(36, 2, name="fc")], input_shape=(1, 6, 6), seed=0)
    scheduler = Scheduler(model, MSELoss(), Adam(1e-3))
    session = Session(scheduler, loader=DataLoader(Dataset(images(4), y), batch_size=4))
    session.add_breakpoint(layer="fc", phase="update", when="any_nonfinite")
    stop = session.resume()
    assert stop.origin.tensor == "fc.weight.second_moment"
    assert np.isfinite(model["fc"].weight.value).all()


def dense_session(weight: list[float], x: list[float], dtype: str = "float32") -> Session:
    model = Model([Dense(len(x), 1, name="fc")], input_shape=(len(x),), dtype=dtype, device="cpu")
    model["fc"].weight.value = np.array([weight])
    session = Session(model, np.array([x], dtype))
    session.resume()
    return session


def test_the_strongest_term_is_the_one_that_is_no_number() -> None:
    why = dense_session([1, np.nan, 2, 3], [1, 1, 1, 1]).explain(layer="fc", index=(0, 0))
    assert why.strongest == why.decisive == 1
    assert np.isnan(why.terms[1].contribution)
    assert why.sentence == (
        "fc.output[0, 0] is nan. The strongest of its 4 terms is number 1: 1 × nan = nan, "
        "because fc.weight[0, 1] is so."
    )


def test_an_infinite_term_is_named_and_a_nan_before_it() -> None:
    why = dense_session([1, np.inf, 2, 3], [1, 1, 1, 1]).explain(layer="fc", index=(0, 0))
    assert (why.strongest, why.culprit.tensor, why.culprit.index) == (1, "fc.weight", (0, 1))
    why = dense_session([1, np.inf, np.nan, 3], [1, 1, 1, 1]).explain(layer="fc", index=(0, 0))
    assert why.culprit.index == (0, 2)
    why = dense_session([1, np.inf, 2, 3], [1, 0, 1, 1]).explain(layer="fc", index=(0, 0))
    assert "0 × inf = nan" in why.sentence


def test_products_are_all_0_only_if_they_are() -> None:
    model = Model([Conv2d(1, 1, 5, bias=False, name="it")], input_shape=(1, 5, 5), device="cpu")
    black = Session(model, np.zeros((1, 1, 5, 5), np.float32))
    black.resume()
    assert "All 25 products are 0." in black.explain(layer="it", index=(0, 0, 0, 0)).sentence
    model["it"].weight.value = np.full((1, 1, 5, 5), np.nan)
    black = Session(model, np.zeros((1, 1, 5, 5), np.float32))
    black.resume()
    sentence = black.explain(layer="it", index=(0, 0, 0, 0)).sentence
    assert "it.output[0, 0, 0, 0] is nan" in sentence
    assert "0 × nan = nan" in sentence
    assert "products are 0" not in sentence


def test_a_sum_that_leaves_the_range_says_at_which_term() -> None:
    why = dense_session([1, 3e38, 3e38, 1], [1, 1, 1, 1]).explain(layer="fc", index=(0, 0))
    assert why.culprit is None
    assert why.strongest == 2
    assert "term 2 of 4, 1 × 3e+38 = 3e+38, leaves the range of float32" in why.sentence
    why = dense_session([1, 1e30], [1, 1e30]).explain(layer="fc", index=(0, 0))
    assert "1e+30 × 1e+30 = inf, leaves the range" in why.sentence


def test_a_maximum_of_nan_and_of_infinity() -> None:
    model = Model([MaxPool2d(2, name="it")], input_shape=(1, 2, 4), device="cpu")
    x = np.array([[[[-np.inf, 7.0, -np.inf, 1], [np.nan, 3.0, 2, np.inf]]]], np.float32)
    session = Session(model, x)
    session.resume()
    nan, inf = (session.explain(layer="it", index=(0, 0, 0, column)) for column in (0, 1))
    assert "Cell 2 of 4 decides: input[0, 0, 1, 0] is nan." in nan.sentence
    assert "Cell 3 of 4 decides: input[0, 0, 1, 3] is inf." in inf.sentence


def test_a_relu_full_of_nan_is_not_dead() -> None:
    model = small_net()
    plant(model, "c1.weight", (0, 0, 0, 0))
    plant(model, "c1.weight", (1, 0, 0, 0))
    plant(model, "c1.weight", (2, 0, 0, 0))
    session = Session(model, images())
    session.add_breakpoint(when="dead_relu")
    assert session.resume().reason == "end"


def test_a_spike_is_looked_for_among_finite_losses() -> None:
    scheduler = Scheduler(small_net(), MSELoss(), SGD(1e-4))
    scheduler.history.steps.extend([np.nan, np.inf])
    data = Dataset(images(), np.zeros((8, 2), np.float32))
    session = Session(scheduler, loader=DataLoader(data, batch_size=4))
    session.add_breakpoint(when="loss_spike")
    assert session.resume().reason == "end"


def test_a_run_that_is_healthy_has_no_culprit() -> None:
    scheduler = Scheduler(small_net(), BCEWithLogitsLoss(), AdamW())
    data = Dataset(images(), np.ones((8, 2), np.float32))
    session = Session(scheduler, loader=DataLoader(data, batch_size=4))
    session.add_breakpoint(when="any_nonfinite")
    assert session.resume().reason == "end"


def test_a_bad_weight_that_a_pixel_never_met_is_no_term_of_its_gradient() -> None:
    """With a stride of 2, a pixel is seen through some taps only."""
    model = Model(
        [Conv2d(1, 1, 1, name="before"), Conv2d(1, 1, 3, stride=2, name="it"), Flatten()],
        input_shape=(1, 7, 7),
        seed=1,
        device="cpu",
    )
    session = training(model)
    at_it = rows_of(session, lambda row: row.phase == "backward" and row.layer == "it")
    row = next(at_it)
    planting = Planting(session, row, session.program.buffer("it.weight"))
    planting.run((0, 0, 0, 0), np.nan)
    values = session.program.read("it.input.gradient")
    sound = np.argwhere(np.isfinite(values[0, 0]))
    assert 0 < len(sound) < 49
    for y, x in sound.tolist():
        why = session._explainer.explain("it", "input.gradient", (0, 0, y, x))
        assert np.isfinite(why.terms.contributions).all()
        assert "nan" not in why.sentence
