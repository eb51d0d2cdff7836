"""Looking at what comes next, and going back over sums of gradients: no bit may differ after it."""

from __future__ import annotations

import numpy as np
import pytest

from engine import Input, Model, Scheduler
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.layers import Add, BatchNorm2d, Conv2d, Dense, Flatten, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD, Adam


def residual(seed: int = 0) -> Model:
    """A block whose input has two readers, and a layer that is used twice."""
    x = Input((2, 6, 6))
    stem = ReLU(name="act")(BatchNorm2d(4, name="norm")(Conv2d(2, 4, 3, padding=1, name="stem")(x)))
    twice = Conv2d(4, 4, 3, padding=1, name="twice")
    once = twice(stem)
    again = twice(ReLU(name="between")(once))
    total = Add(name="sum")(stem, again)
    head = Dense(144, 3, name="head")(Flatten(name="flat")(total))
    return Model(inputs=x, outputs=head, seed=seed, device="cpu")


def session_of(optimizer: type = SGD) -> Session:
    made = SGD(0.1, momentum=0.9) if optimizer is SGD else Adam(0.01)
    scheduler = Scheduler(residual(), CrossEntropyLoss(), made)
    rng = np.random.default_rng(1)
    data = Dataset(rng.standard_normal((12, 2, 6, 6)).astype(np.float32), rng.integers(0, 3, 12))
    return Session(scheduler, loader=DataLoader(data, batch_size=4, seed=0), epochs=1)


def everything(session: Session) -> dict[str, bytes]:
    """Return the bits of whatever can be read at the position."""
    found = {}
    for name in session.program.tensor_names():
        array = session.read(name)
        if array is not None:
            found[name] = array.tobytes()
    for name, array in session.model.state.items():
        found[f"state {name}"] = array.tobytes()
    for name, moments in session.program.moments.items():
        found |= {f"{name} moment {i}": one.read().tobytes() for i, one in enumerate(moments)}
    return found


def walk(session: Session, batches: int = 2) -> list[dict[str, bytes]]:
    seen = [everything(session)]
    while session.position.batch < batches:
        session.step_over()
        seen.append(everything(session))
    return seen


def test_back_and_forth_over_any_operation_changes_no_bit() -> None:
    expected = walk(session_of())
    session = session_of()
    sums = 0
    for number in range(len(expected) - 1):
        assert everything(session) == expected[number]
        row = session.operation()
        sums += session.program.repeats_from(row.index, row.index + 1) < row.index
        session.step_over()
        for distance in (1, 1, 3):
            back = min(distance, number + 1)
            for step in range(1, back + 1):
                session.step_back()
                assert everything(session) == expected[number + 1 - step], (row, distance, step)
            for _ in range(back):
                session.step_over()
        assert everything(session) == expected[number + 1], row
    assert sums == 2  # in each batch where the layer that is used twice adds its second part


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_looking_ahead_shows_what_the_step_will_bring_and_leaves_no_trace(optimizer: type) -> None:
    expected = walk(session_of(optimizer))
    session = session_of(optimizer)
    for number in range(len(expected) - 1):
        row = session.operation()
        names = [row.layer if row.phase == "load" else f"{row.layer}.{r}" for r in row.results]
        with session.ahead():
            ahead = {name: session.read(name).tobytes() for name in names}
            if row.phase != "load":
                result = row.results[-1]
                shape = session.read(names[-1]).shape
                why = session.explain(layer=row.layer, tensor=result, index=(0,) * len(shape))
                assert why.exact
                assert why.stored.tobytes() == session.read(names[-1])[(0,) * len(shape)].tobytes()
        assert everything(session) == expected[number], row
        session.step_over()
        # The reading of a gradient by its layer is known later than that of its reader.
        assert ahead == {name: expected[number + 1][name] for name in names}, row
    assert everything(session) == expected[-1]


def test_looking_ahead_inside_an_operation_and_at_the_end_is_looking() -> None:
    session = session_of()
    session.step_over()
    session.step_into()
    with session.ahead():
        assert session.read("stem.output") is None  # the cursor is inside it
    session.resume()
    assert session.at_end
    with session.ahead():
        assert session.read("head.weight") is not None


def test_explaining_a_batch_before_from_within_a_look_ahead_comes_back_to_it() -> None:
    session = session_of()
    session.resume(batches=1)
    session.step_over()
    row = session.operation()
    before = everything(session)
    with session.ahead():
        why = session.explain(layer="head", tensor="weight", index=(0, 5))
        assert why.exact
        assert session.read(f"{row.layer}.output") is not None
    assert everything(session) == before
