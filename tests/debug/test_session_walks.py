"""Random walks forward, then back to the start: the same places and the same bits."""

from __future__ import annotations

import random
from typing import Any

import pytest

from engine.debug import Position, Session
from tests.debug.runs import (
    differences,
    picture,
    tiny_data,
    tiny_loader,
    tiny_model,
    tiny_scheduler,
    tiny_session,
)

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
