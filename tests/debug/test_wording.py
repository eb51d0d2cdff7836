"""One wording of places: counted from 0 everywhere, each thing under its own name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from engine.debug import Session
from engine.debug.wording import batch_words, place_words
from tests.debug.runs import tiny_data, tiny_model, tiny_session

ROOT = Path(__file__).parents[2]


def to(session: Session, layer: str, phase: str) -> None:
    """Go to an operation of the session's batch."""
    rows = session.program.operations
    row = next(one for one in rows if (one.layer, one.phase) == (layer, phase))
    session.run_to(replace(session.position.at_operation(), phase=phase, operation=row.index))


def titles(session: Session) -> list[tuple[str, str]]:
    """Return the frames inside the operation at the cursor."""
    frames = [frame for frame in session.stack() if frame.state == "current"]
    rows = [i for i, frame in enumerate(frames) if frame.title == session.operation().layer]
    return [(frame.title, frame.detail) for frame in frames[rows[-1] + 1 :]]


def test_every_kind_of_place_has_its_own_word() -> None:
    session = tiny_session()
    to(session, "conv1", "forward")
    for _ in range(3):
        session.step_into()
    assert titles(session) == [
        ("channel 0", "of 2"),
        ("pixel (0, 0)", "of 6×6"),
        ("term 0", "of 9"),
    ]
    assert place_words(session) == (
        "epoch 0 · batch 0 · forward · conv1 · channel 0 · pixel (0, 0) · term 0 of 9"
    )
    for _ in range(9):
        session.step_over()
    assert titles(session)[-1] == ("result", "after 9 terms")
    to(session, "logits", "forward")
    session.step_into()
    assert titles(session) == [("unit 0", "of 3")]
    to(session, "loss", "loss")
    session.step_into()
    assert titles(session) == [("value", "")]
    session.step_into()
    assert titles(session)[-1] == ("term 0", "of 4")
    to(session, "conv2", "backward")
    session.step_into()
    assert titles(session) == [("weight.gradient", "3×2×2×2")]
    session.step_into()
    session.step_into()
    assert titles(session)[1:] == [("kernel (0, 0)", "of 3×2"), ("weight (0, 0)", "of 2×2")]
    to(session, "logits", "update")
    session.step_into()
    session.step_into()
    assert titles(session)[1:] == [("weight (0, 0)", "of 3×3")]
    session.step_out()
    session.step_into()
    assert titles(session)[-1] == ("element 0", "of 3")
    session.step_into()
    assert titles(session)[-1][0] == "stage 0"


def test_places_are_counted_from_0_as_positions_are() -> None:
    session = tiny_session(epochs=2)
    session.resume(batches=4)
    at = session.position
    assert (at.epoch, at.batch) == (1, 1)
    assert batch_words(at.epoch, at.batch) == "epoch 1 · batch 1"
    assert place_words(session).startswith("epoch 1 · batch 1 · load")
    assert session.stack()[1].title == "epoch 1 · batch 1"
    forward = Session(tiny_model(), tiny_data(1).x)
    forward.resume()
    assert place_words(forward) == "the end of the run"


def test_nobody_else_counts_epochs_or_batches_from_1_in_words() -> None:
    """Progress counts what is done (2/5 epochs); a place is never one more than its index."""
    late = re.compile(r"f[\"'].*(epoch|batch|term|channel|unit) \{[^}]*\+ ?1\b")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("engine", "gui")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if late.search(line)
    ]
    assert found == []
