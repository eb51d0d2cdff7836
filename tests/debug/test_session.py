"""Session: what stops where, what can be read when, and what a refused command leaves behind."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.errors import EngineError
from engine.layers import Dense, Dropout
from engine.losses import MSELoss
from engine.optimizers import SGD
from tests.debug.runs import (
    differences,
    picture,
    tiny_data,
    tiny_loader,
    tiny_model,
    tiny_scheduler,
    tiny_session,
)

PHASES = ("load", "forward", "loss", "backward", "update")


def operation(session: Session, layer: str, phase: str) -> Any:
    """Return the row of the program for a layer and phase."""
    return next(
        row for row in session.program.operations if (row.layer, row.phase) == (layer, phase)
    )


def to(session: Session, layer: str, phase: str) -> None:
    """Go on to the given operation of the session's batch."""
    row = operation(session, layer, phase)
    while session.position.operation != row.index:
        assert session.step_over().reason == "step"


# --------------------------------------------------------------------------- the order of things


def test_a_session_stands_before_the_first_load() -> None:
    session = tiny_session()
    at = session.position
    assert (at.epoch, at.batch, at.phase, at.level) == (0, 0, "load", "operation")
    assert session.stop is None or session.stop.reason == "start"
    assert hash(at) == hash(session.position)


def test_the_program_runs_phase_by_phase() -> None:
    session = tiny_session()
    rows = session.program.operations
    assert [row.index for row in rows] == list(range(len(rows)))
    phases = [PHASES.index(row.phase) for row in rows]
    assert phases == sorted(phases)
    assert set(phases) == set(range(5))
    forward = [row.layer for row in rows if row.phase == "forward"]
    backward = [row.layer for row in rows if row.phase == "backward"]
    assert forward == [node.name for node in session.model.nodes if node.inputs]
    assert backward == ["loss", *forward[::-1]]
    assert operation(session, "conv2", "forward").kind == "conv2d"
    assert operation(session, "conv2", "forward").results == ("output",)
    assert set(operation(session, "conv2", "backward").results) == {
        "weight.gradient",
        "bias.gradient",
        "input.gradient",
    }
    assert set(operation(session, "conv2", "update").results) == {"weight", "bias"}


def test_step_over_executes_row_by_row_and_records_what_it_did() -> None:
    session = tiny_session()
    rows = session.program.operations
    for row in rows:
        assert session.position.operation == row.index
        stop = session.step_over()
        assert stop.reason == "step"
        if row.phase in ("forward", "backward"):
            assert (stop.record.layer, stop.record.phase) == (row.layer, row.phase)
            assert stop.record.elapsed_ms >= 0
        if row.phase == "forward":
            np.testing.assert_array_equal(stop.record.output, session.read(f"{row.layer}.output"))
        if row.phase == "backward" and "weight.gradient" in row.results:
            np.testing.assert_array_equal(
                stop.record.gradients["weight"],
                session.read(f"{row.layer}.weight.gradient"),
            )
    at = session.position
    assert (at.epoch, at.batch, at.phase, at.operation) == (0, 1, "load", 0)
    assert len(session.losses) == 1


def test_the_run_ends_after_the_last_batch_of_the_last_epoch() -> None:
    session = tiny_session(epochs=2)
    stop = session.resume()
    assert stop.reason == "end"
    assert len(session.losses) == 2 * len(tiny_loader())
    with_nothing_left = session.position
    try:
        again = session.step_over()
    except EngineError:
        pass
    else:
        assert again.reason == "end"
    assert session.position == with_nothing_left


# ------------------------------------------------------------------------------------- reading


def test_read_gives_none_until_this_batch_has_computed_it() -> None:
    session = tiny_session()
    assert session.read("input") is None
    assert session.read("conv1.output") is None
    assert session.read("conv1.weight") is not None
    to(session, "conv1", "forward")
    assert session.read("input") is not None
    assert session.read("conv1.output") is None
    session.step_over()
    assert session.read("conv1.output") is not None
    assert session.read("bn1.output") is None
    assert session.read("conv1.grad_output") is None
    assert session.read("conv1.weight.gradient") is None
    to(session, "conv1", "backward")
    assert session.read("conv1.grad_output") is not None
    assert session.read("conv1.weight.gradient") is None
    session.step_over()
    assert session.read("conv1.weight.gradient") is not None


def test_a_new_batch_has_computed_nothing_yet() -> None:
    session = tiny_session()
    while session.position.batch == 0:
        session.step_over()
    session.step_over()
    assert session.read("input") is not None
    assert session.read("conv1.output") is None
    assert session.read("logits.weight.gradient") is None


def test_read_shows_public_layout_and_the_batch_of_the_loader() -> None:
    session = tiny_session()
    x, y = tiny_loader().batch(0, 0)
    session.step_over()
    np.testing.assert_array_equal(session.read("input"), x)
    np.testing.assert_array_equal(session.batch_x, x)
    np.testing.assert_array_equal(session.batch_y, y)
    to(session, "bn1", "forward")
    assert session.read("conv1.output").shape == (4, 2, 6, 6)
    np.testing.assert_array_equal(session.read("conv1.weight"), session.model["conv1"].weight.value)


def test_dropout_draws_a_new_mask_for_each_step_and_the_same_one_again_going_back() -> None:
    model = Model([Dropout(0.5, name="drop"), Dense(50, 2)], input_shape=(50,), device="cpu")
    scheduler = Scheduler(model, MSELoss(), SGD(learning_rate=0.01))
    data = Dataset(np.ones((8, 50), np.float32), np.ones((8, 2), np.float32))
    session = Session(scheduler, loader=DataLoader(data, batch_size=4))
    start, masks = session.position, []
    for _ in range(2):
        session.step_over()
        session.step_over()
        masks.append(session.read("drop.output").tobytes())
        session.resume(batches=1)
    assert masks[0] != masks[1]
    session.run_to(start)
    session.step_over()
    session.step_over()
    assert session.read("drop.output").tobytes() == masks[0]


def test_weights_change_with_the_update_and_not_before() -> None:
    session = tiny_session()
    before = session.model["conv1"].weight.value.copy()
    to(session, "conv1", "update")
    assert session.model["conv1"].weight.value.tobytes() == before.tobytes()
    session.step_over()
    assert session.model["conv1"].weight.value.tobytes() != before.tobytes()
    session.step_back()
    assert session.model["conv1"].weight.value.tobytes() == before.tobytes()


# ------------------------------------------------------------------------- other ways to move


def test_run_to_stops_exactly_there() -> None:
    probe = tiny_session()
    places = [probe.position]
    while probe.step_over().reason != "end":
        places.append(probe.position)
    session = tiny_session()
    for place in (places[3], places[len(places) // 2], places[-1]):
        stop = session.run_to(place)
        assert stop.position == session.position == place
    straight = tiny_session()
    while straight.position != places[-1]:
        straight.step_over()
    assert not differences(picture(straight), picture(session))


def test_run_to_an_earlier_place_goes_back() -> None:
    session = tiny_session()
    seen: list[Any] = []
    for _ in range(40):
        seen.append((session.position, picture(session)))
        session.step_over()
    for place, shown in (seen[30], seen[3], seen[17], seen[0]):
        session.run_to(place)
        assert session.position == place
        assert not differences(picture(session), shown)


def test_reverse_resume_stops_at_the_breakpoint_before() -> None:
    session = tiny_session()
    session.add_breakpoint(layer="conv2", phase="forward")
    places = [session.resume().position for _ in range(3)]
    assert session.resume().reason == "end"
    for place in reversed(places):
        stop = session.reverse_resume()
        assert (stop.reason, stop.position) == ("breakpoint", place)
    stop = session.reverse_resume()
    assert stop.reason == "start"
    assert session.position.batch == 0
    assert session.position.phase == "load"


def test_step_back_at_the_very_start_changes_nothing() -> None:
    session = tiny_session()
    start, shown = session.position, picture(session)
    for _ in range(2):
        try:
            stop = session.step_back()
        except EngineError as error:
            assert "start" in str(error) or "nothing" in str(error)
        else:
            assert stop.reason == "start"
        assert session.position == start
        assert not differences(picture(session), shown)


def test_step_back_without_history_goes_one_sibling_back() -> None:
    session = tiny_session()
    to(session, "pool1", "forward")
    here = session.position
    while session.position.operation != operation(session, "relu1", "forward").index:
        session.step_back()
    session.run_to(here)
    session.step_back()  # undoes run_to
    assert session.position.operation == operation(session, "relu1", "forward").index


def test_a_refused_command_changes_nothing() -> None:
    session = tiny_session()
    to(session, "conv2", "forward")
    session.step_into()
    place, shown = session.position, picture(session)
    points = list(session.breakpoints)
    refused = [
        lambda: session.run_to("here"),
        lambda: session.run_to(replace(place, batch=3, channel=None, tensor=None)),
        lambda: session.run_to(replace(place, epoch=1)),
        lambda: session.run_to(replace(place, phase="backward")),
        lambda: session.run_to(replace(place, operation=1000)),
        lambda: session.run_to(replace(place, sample=99)),
        lambda: session.run_to(replace(place, tensor="weight")),
        lambda: session.pick("conv9", (0,)),
        lambda: session.pick("conv2", (0, 99, 0, 0)),
        lambda: session.add_breakpoint(layer="conv9"),
        lambda: session.add_breakpoint(when="1 +"),
        lambda: session.explain(layer="conv1", index=(99, 0, 0, 0)),
        lambda: session.read("conv9.output"),
        lambda: setattr(session, "sample", 99),
    ]
    for command in refused:
        with pytest.raises(EngineError):
            command()
        assert session.position == place
        assert list(session.breakpoints) == points
        assert not differences(picture(session), shown)
    session.step_back()
    assert session.position.level == "operation", "history is intact"


def test_pause_from_another_thread_stops_a_running_session() -> None:
    session = Session(tiny_scheduler(), loader=tiny_loader(), epochs=100_000)
    timer = threading.Timer(0.3, session.pause)
    timer.start()
    began = time.perf_counter()
    stop = session.resume()
    timer.join()
    assert stop.reason == "pause"
    assert time.perf_counter() - began < 20
    assert stop.position == session.position
    assert session.step_over().reason == "step"


def test_a_pause_before_resume_does_not_stop_the_next_run_half_way() -> None:
    """A pause that nobody was waiting for must not be lost in a state in which nothing moves."""
    session = tiny_session()
    session.pause()
    reasons = [session.resume().reason for _ in range(2)]
    assert reasons[-1] == "end" or reasons[0] == "end"


# ------------------------------------------------------------------------------- small services


def test_sample_decides_which_image_is_stepped_into() -> None:
    session = tiny_session()
    to(session, "conv1", "forward")
    session.sample = 2
    session.step_into()
    assert session.position.sample == 2


def test_pick_leads_to_the_picked_element() -> None:
    session = tiny_session()
    session.pick("conv2", (1, 2, 0, 1))
    assert session.picked == ("conv2", (1, 2, 0, 1))
    session.pick(None)
    assert session.picked is None


def test_explain_position_belongs_to_the_place() -> None:
    session = tiny_session()
    to(session, "conv1", "forward")
    assert session.explain_position() is None
    while session.position.level not in ("pixel", "term"):
        session.step_into()
    why = session.explain_position()
    assert why.layer == "conv1"
    assert why.index == session.position.index


def test_the_stack_shows_where_we_are() -> None:
    session = tiny_session()
    to(session, "conv2", "forward")
    frames = session.stack()
    states = {frame.state for frame in frames}
    assert states <= {"done", "current", "waiting"}
    assert "current" in states
    assert any("conv2" in frame.title for frame in frames)
    depth = len(frames)
    session.step_into()
    assert len(session.stack()) >= depth


def test_receptive_fields_grow_towards_the_output() -> None:
    session = Session(tiny_model(), tiny_data(2).x)
    box = session.receptive_field("conv1", (0, 1, 0, 0))
    assert (box.top, box.left, box.bottom, box.right) == (-1, -1, 2, 2)
    box = session.receptive_field("pool1", (0, 1, 1, 1))
    assert (box.top, box.left, box.bottom, box.right) == (1, 1, 5, 5)
    box = session.receptive_field("conv2", (0, 0, 1, 0))
    assert (box.top, box.left, box.bottom, box.right) == (1, -1, 7, 5)


def test_record_keeps_the_latest_execution() -> None:
    session = tiny_session()
    assert session.record("conv1", "forward") is None
    to(session, "loss", "loss")
    record = session.record("conv1", "forward")
    assert record.layer == "conv1"
    np.testing.assert_array_equal(record.output, session.read("conv1.output"))


def test_a_forward_session_computes_what_the_model_predicts() -> None:
    model, x = tiny_model(), tiny_data(3).x
    session = Session(model, x)
    assert session.scheduler is None
    assert session.resume().reason == "end"
    np.testing.assert_array_equal(session.read("logits.output"), model(x))
    assert {row.phase for row in session.program.operations} == {"load", "forward"}
