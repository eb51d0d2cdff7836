"""Run files: a resumed run is the uninterrupted one bit for bit, wherever it was cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import load, save
from engine.debug import Session
from engine.optimizers import SGD, Adam, AdamW
from engine.schedules import CosineDecay, StepDecay
from tests.building import bits_of
from tests.debug.runs import tiny_loader, tiny_model, tiny_scheduler

OPTIMISERS: dict[str, Any] = {
    "sgd": lambda: SGD(learning_rate=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda: Adam(learning_rate=CosineDecay(1e-2, steps=20)),
    "adamw": lambda: AdamW(learning_rate=StepDecay(1e-2, factor=0.5, every=4)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cut", [0, 1, 3, 5])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_resumed_run_is_the_uninterrupted_one(
    tmp_path: Path, name: str, cut: int, dtype: str
) -> None:
    """Epochs have three batches: cuts at an epoch's end and in its middle."""
    whole = tiny_scheduler(dtype, optimizer=OPTIMISERS[name]())
    whole.fit(tiny_loader(), steps=8)
    first = tiny_scheduler(dtype, optimizer=OPTIMISERS[name]())
    if cut:
        first.fit(tiny_loader(), steps=cut)
    save(first, tmp_path / "run.safetensors")
    second = load(tmp_path / "run.safetensors")
    assert second.global_step == cut
    assert bits_of(second.model) == bits_of(first.model)
    second.fit(tiny_loader(), steps=8 - cut)
    assert bits_of(second.model) == bits_of(whole.model)
    assert second.global_step == whole.global_step == 8
    assert second.history == whole.history


def test_a_run_saved_from_a_session_resumes_at_its_place(tmp_path: Path) -> None:
    session = Session(tiny_scheduler(), loader=tiny_loader(), epochs=2)
    while session.position.batch < 2:
        session.step_over()
    save(session.scheduler, tmp_path / "run.safetensors")
    resumed = load(tmp_path / "run.safetensors")
    resumed.fit(tiny_loader(), steps=4)
    session.resume()
    assert bits_of(resumed.model) == bits_of(session.model)


def test_saving_a_loaded_run_gives_the_same_file(tmp_path: Path) -> None:
    scheduler = tiny_scheduler()
    scheduler.fit(tiny_loader(), steps=4)
    save(scheduler, tmp_path / "a.safetensors")
    save(load(tmp_path / "a.safetensors"), tmp_path / "b.safetensors")
    one, other = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "ab")
    assert one == other


def test_saving_does_not_disturb_the_run(tmp_path: Path) -> None:
    one, other = tiny_scheduler(), tiny_scheduler()
    for _ in range(5):
        one.fit(tiny_loader(), steps=1)
        save(one, tmp_path / "run.safetensors")
    other.fit(tiny_loader(), steps=5)
    assert bits_of(one.model) == bits_of(other.model)


def test_the_model_of_a_file_predicts_what_the_saved_one_did(tmp_path: Path) -> None:
    scheduler = tiny_scheduler()
    scheduler.fit(tiny_loader(), steps=4)
    x = tiny_loader().dataset.x
    expected = scheduler.model(x)
    save(scheduler, tmp_path / "run.safetensors")
    model = load(tmp_path / "run.safetensors").model
    assert model(x).tobytes() == expected.tobytes()
    assert [node.name for node in model.nodes] == [n.name for n in tiny_model().nodes]
    assert model.summary() == scheduler.model.summary()


def test_the_file_is_plain_safetensors(tmp_path: Path) -> None:
    """Any other program can read the weights."""
    from safetensors.numpy import load_file

    scheduler = tiny_scheduler()
    scheduler.fit(tiny_loader(), steps=2)
    save(scheduler, tmp_path / "run.safetensors")
    tensors = load_file(tmp_path / "run.safetensors")
    for name, parameter in scheduler.model.parameters.items():
        found = [key for key in tensors if key == name or key.endswith(f"/{name}")]
        assert found, f"{name} among {sorted(tensors)}"
        assert any(tensors[key].tobytes() == parameter.value.tobytes() for key in found)


def test_no_temporary_file_is_left(tmp_path: Path) -> None:
    for _ in range(3):
        save(tiny_scheduler(), tmp_path / "run.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_names_with_spaces_and_umlauts(tmp_path: Path) -> None:
    path = tmp_path / "Lauf für später.safetensors"
    save(tiny_scheduler(), str(path))
    assert bits_of(load(str(path)).model) == bits_of(tiny_model())
