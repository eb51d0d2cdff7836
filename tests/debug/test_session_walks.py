"""Random walks forward, then back to the start: the same places and the same bits."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler, load, save
from engine.data import DataLoader, Dataset
from engine.debug import Position, Session
from engine.errors import EngineError
from engine.layers import Conv2d, Dense, Dropout, Flatten, MaxPool2d, Softmax
from engine.losses import CrossEntropyLoss
from engine.optimizers import Adam
from engine.regularizers import L2
from tests.building import bits_of
from tests.debug.runs import (
    differences,
    picture,
    tiny_data,
    tiny_loader,
    tiny_model,
    tiny_scheduler,
    tiny_session,
)
from tests.gallery import IMAGE, branching

COMMANDS = {
    "shallow": ["step_over"] * 8 + ["step_into", "step_out", "resume"],
    "deep": ["step_into"] * 4 + ["step_over"] * 4 + ["step_out"],
    "wild": ["step_over", "step_into", "step_out", "step_over", "step_into", "resume"],
}


def finished(session: Session) -> bool:
    return session.stop is not None and session.stop.reason == "end"


def walk(session: Session, commands: list[str], steps: int, seed: int) -> list[Any]:
    """Take random commands; return the place and picture before each of them."""
    rng = random.Random(seed)
    trail: list[Any] = []
    for _ in range(steps):
        if finished(session):
            break
        before = (session.position, picture(session))
        getattr(session, rng.choice(commands))()
        trail.append(before)
    return trail


def walk_back(session: Session, trail: list[Any]) -> None:
    """Undo every command and compare with what was seen on the way."""
    for number in reversed(range(len(trail))):
        position, seen = trail[number]
        stop = session.step_back()
        assert stop.position == session.position == position, f"command {number}"
        assert not differences(picture(session), seen), f"command {number} at {position}"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_random_walk_can_be_walked_back(kind: str, seed: int) -> None:
    session = tiny_session()
    session.add_breakpoint(layer="conv2")
    session.add_breakpoint(phase="update", hit_count=2)
    start = session.position
    trail = walk(session, COMMANDS[kind], 60, seed)
    walk_back(session, trail)
    assert session.position == start


@pytest.mark.parametrize("seed", range(2))
def test_there_and_back_and_there_again(seed: int) -> None:
    """After going back, the same commands lead over the same places with the same bits."""
    session = tiny_session()
    first = walk(session, COMMANDS["shallow"], 45, seed)
    end = (session.position, picture(session))
    walk_back(session, first)
    second = walk(session, COMMANDS["shallow"], 45, seed)
    assert [position for position, _ in first] == [position for position, _ in second]
    for (place, one), (_, other) in zip(first, second, strict=True):
        assert not differences(one, other), str(place)
    assert session.position == end[0]
    assert not differences(picture(session), end[1])


def test_back_and_forth_at_random_over_three_batches() -> None:
    session = tiny_session()
    rng = random.Random(5)
    trail: list[Any] = []
    for _ in range(150):
        if trail and (finished(session) or rng.random() < 0.4):
            position, seen = trail.pop()
            assert session.step_back().position == position
            assert not differences(picture(session), seen)
        else:
            trail.append((session.position, picture(session)))
            getattr(session, rng.choice(["step_over", "step_over", "step_into", "resume"]))()
        if rng.random() < 0.1:
            session.add_breakpoint(phase=rng.choice(["load", "backward", "update"]))
    walk_back(session, trail)


def test_a_whole_run_is_undone_in_one_step() -> None:
    session = tiny_session()
    before = picture(session)
    start = session.position
    assert session.resume().reason == "end"
    assert differences(picture(session), before)
    session.step_back()
    assert session.position == start
    assert not differences(picture(session), before)


def test_stepping_operation_by_operation_trains_exactly_like_fit() -> None:
    session = tiny_session(epochs=2)
    positions = [session.position]
    while session.step_over().reason != "end":
        positions.append(session.position)
    assert len(set(positions)) == len(positions)
    scheduler = tiny_scheduler()
    history = scheduler.fit(tiny_loader(), epochs=2)
    assert [float(v) for v in history.loss] == session.losses
    assert history == session.scheduler.history
    for name, parameter in scheduler.model.parameters.items():
        stepped = session.model.parameters[name].value
        assert stepped.tobytes() == parameter.value.tobytes(), name
    for name in scheduler.model.state:
        one, other = scheduler.model.state[name], session.model.state[name]
        assert one.tobytes() == other.tobytes(), name


def test_stepping_down_to_every_level_changes_nothing_in_the_result() -> None:
    plain, deep = tiny_session(), tiny_session()
    while plain.position.batch == 0:
        plain.step_over()
    rng = random.Random(1)
    while deep.position.batch == 0:
        deep.step_into()
        for _ in range(rng.randrange(8)):
            if rng.random() < 0.5 and deep.position.level != "term":
                deep.step_into()
            else:
                deep.step_over()
        while deep.position.level != "operation":
            deep.step_out()
    assert not differences(picture(plain), picture(deep))


def test_levels_nest() -> None:
    session = tiny_session()
    session.run_to(next_forward(session, "conv1"))
    levels = [session.position.level]
    for _ in range(8):
        session.step_into()
        levels.append(session.position.level)
        if levels[-1] == "term":
            break
    assert levels[0] == "operation"
    assert levels[-1] == "term"
    order = ["operation", "tensor", "channel", "pixel", "term"]
    ranks = [order.index(level) for level in levels]
    assert ranks == sorted(set(ranks)), "each step into goes deeper"


def next_forward(session: Session, layer: str) -> Any:
    """Return the position of a layer's forward operation in the session's batch."""
    for row in session.program.operations:
        if row.layer == layer and row.phase == "forward":
            at = session.position
            return Position(at.epoch, at.batch, row.phase, row.index)
    raise AssertionError(layer)


def test_a_forward_session_walks_back_too() -> None:
    session = Session(tiny_model(), tiny_data(3).x)
    trail = walk(session, COMMANDS["wild"], 30, 2)
    walk_back(session, trail)


def other_session(kind: str) -> Session:
    """Nets whose ops keep memory of their own: masks, winners, copies in public order."""
    if kind == "branches":
        model = branching("float32")
    else:
        layers = [
            Conv2d(4, 3, 3, name="conv"),
            Softmax(axis=1, name="soft"),
            Dense(4, 3, name="rows"),
            Dropout(0.3, name="drop"),
            MaxPool2d(2, stride=1, name="pool"),
            Flatten(name="flat"),
            Dense(24, 5, regularizer=L2(1e-2), name="fc"),
        ]
        model = Model(layers, input_shape=IMAGE, seed=1, device="cpu")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, *IMAGE)).astype(np.float32)
    data = Dataset(x, rng.integers(0, model.output_shape[0], 7))
    scheduler = Scheduler(model, CrossEntropyLoss(), Adam(learning_rate=0.01))
    return Session(scheduler, loader=DataLoader(data, batch_size=3, shuffle=True))


@pytest.mark.parametrize("kind", ["branches", "copies"])
def test_other_nets_can_be_walked_back(kind: str) -> None:
    session = other_session(kind)
    trail = walk(session, ["step_over"] * 6 + ["step_into", "step_out"], 90, 3)
    assert session.position.batch >= 1
    walk_back(session, trail)


@pytest.mark.parametrize("kind", ["branches", "copies"])
def test_operations_run_again_give_the_same_bits(kind: str) -> None:
    """Forward by two, back by one, to the end of the batch and beyond."""
    plain, zigzag = other_session(kind), other_session(kind)
    while plain.position.batch < 2:
        plain.step_over()
    while zigzag.position.batch < 2:
        zigzag.step_over()
        if zigzag.position.batch < 2:
            zigzag.step_over()
            zigzag.step_back()
    assert zigzag.position == plain.position
    assert not differences(picture(zigzag), picture(plain))


def test_a_run_longer_than_the_memory_for_snapshots_can_be_walked_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Snapshots are thinned out; what lies between two of them is replayed."""
    session = tiny_session(epochs=10)
    size = session._tape.timeline.memory_bytes  # type: ignore[attr-defined]
    monkeypatch.setattr(session._tape.timeline, "budget_bytes", 6 * size)  # type: ignore[attr-defined]
    seen = []
    for _ in range(30):
        seen.append((session.position, picture(session)))
        session.resume(batches=1)
    assert len(session._tape.timeline) <= 6  # type: ignore[attr-defined]
    order = random.Random(0).sample(range(len(seen)), 12)
    for number in order:
        place, shown = seen[number]
        session.run_to(place)
        assert not differences(picture(session), shown), str(place)


def test_a_session_may_start_in_the_middle_of_a_run() -> None:
    scheduler, twin = tiny_scheduler(), tiny_scheduler()
    scheduler.fit(tiny_loader(), steps=4)
    before = bits_of(scheduler.model)
    session = Session(scheduler, loader=tiny_loader(), epochs=1)
    assert (session.position.epoch, session.position.batch) == (1, 1)
    start = session.position
    trail = walk(session, COMMANDS["wild"], 25, 4)
    walk_back(session, trail)
    assert session.position == start
    assert bits_of(scheduler.model) == before
    with pytest.raises(EngineError):
        session.run_to(replace(start, batch=0))
    assert session.resume().reason == "end"
    twin.fit(tiny_loader(), epochs=2)
    assert bits_of(scheduler.model) == bits_of(twin.model)
    assert scheduler.history == twin.history


def test_fit_goes_on_where_a_session_stands() -> None:
    session = tiny_session(epochs=2)
    scheduler, twin = session.scheduler, tiny_scheduler()
    assert scheduler is not None
    session.resume(batches=2)
    scheduler.fit(tiny_loader(), steps=3)
    twin.fit(tiny_loader(), steps=5)
    assert bits_of(scheduler.model) == bits_of(twin.model)


@pytest.mark.parametrize("phase", ["forward", "loss", "backward", "update"])
def test_fit_repeats_a_batch_that_a_session_left_half_way(phase: str) -> None:
    """Statistics and weights of the half batch must not count twice."""
    session = tiny_session(epochs=2)
    scheduler, twin = session.scheduler, tiny_scheduler()
    assert scheduler is not None
    session.resume(batches=1)
    while session.position.phase != phase:
        session.step_over()
    for _ in range(3):
        session.step_over()
    scheduler.fit(tiny_loader(), steps=2)
    twin.fit(tiny_loader(), steps=3)
    assert bits_of(scheduler.model) == bits_of(twin.model)


@pytest.mark.parametrize("phase", ["forward", "backward", "update"])
def test_saving_half_way_through_a_batch_saves_its_beginning(phase: str, tmp_path: Path) -> None:
    session = tiny_session(epochs=2)
    twin = tiny_scheduler()
    assert session.scheduler is not None
    session.resume(batches=1)
    while session.position.phase != phase:
        session.step_over()
    for _ in range(3):
        session.step_over()
    here, shown = session.position, picture(session)
    save(session.scheduler, tmp_path / "half.safetensors")
    assert session.position == here
    assert not differences(picture(session), shown)
    resumed = load(tmp_path / "half.safetensors")
    assert resumed.global_step == 1
    resumed.fit(tiny_loader(), steps=4)
    twin.fit(tiny_loader(), steps=5)
    assert bits_of(resumed.model) == bits_of(twin.model)
    session.resume()
    twin.fit(tiny_loader(), steps=1)
    assert bits_of(session.model) == bits_of(twin.model)
