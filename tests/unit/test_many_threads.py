"""One model, many threads: every answer is that of the weights of one whole step."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler, load, save
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.errors import StateError
from engine.layers import BatchNorm2d, Conv2d, Dense, Flatten, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD

SHAPE, CLASSES = (1, 6, 6), 3
THREADS, CALLS = 4, 1000


def net(threads: int | None = None) -> Model:
    return Model(
        [
            Conv2d(1, 4, 3, padding=1, name="conv"),
            BatchNorm2d(4, name="bn"),
            ReLU(),
            Flatten(),
            Dense(144, CLASSES, name="head"),
        ],
        input_shape=SHAPE,
        seed=0,
        device="cpu",
        threads=threads,
    )


def data(count: int, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    return Dataset(rng.random((count, *SHAPE), dtype=np.float32), rng.integers(0, CLASSES, count))


def run_of(model: Model) -> Scheduler:
    return Scheduler(model, CrossEntropyLoss(), SGD(0.05, momentum=0.9))


def loader() -> DataLoader:
    return DataLoader(data(48), batch_size=16, shuffle=True, seed=0)


def digest(*arrays: Any) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


SMALL, LARGE, VALIDATION = data(3, 1).x, data(300, 2).x, data(300, 3)
GRAD = np.ones((3, CLASSES), np.float32)


def predict(run: Scheduler, folder: Path) -> str:
    return digest(run.model(SMALL))


def predict_in_pieces(run: Scheduler, folder: Path) -> str:
    return digest(run.model(LARGE))


def activations(run: Scheduler, folder: Path) -> str:
    found = run.model.activations(SMALL, ["conv", "head"])
    return digest(found["conv"], found["head"])


def gradients(run: Scheduler, folder: Path) -> str:
    found = run.model.gradients(SMALL, GRAD)
    return digest(*found.inputs, *found.parameters.values())


def evaluate(run: Scheduler, folder: Path) -> str:
    result = run.evaluate(VALIDATION)
    return repr((result.loss, result.accuracy))


def read_weights(run: Scheduler, folder: Path) -> str:
    return digest(run.model["conv"].weight.value)


def saved(run: Scheduler, folder: Path) -> str:
    path = folder / f"{threading.get_ident()}.safetensors"
    save(run, path)
    again = load(path, device="cpu")
    values = [parameter.value for parameter in again.model.parameters.values()]
    return digest(*values, *(again.moments["conv.weight"][0].read(),)) + f" {again.global_step}"


def explained(run: Scheduler, folder: Path) -> str:
    session = Session(run.model, SMALL)
    session.run_to(session.position)
    while session.read("head.output") is None:
        session.step_over()
    why = session.explain(layer="head", index=(0, 1))
    assert why.exact
    return digest(np.float32(why.value))


CALLERS: dict[str, tuple[Callable[[Scheduler, Path], str], int]] = {
    "predict": (predict, 30),
    "predict in pieces": (predict_in_pieces, 10),
    "activations": (activations, 15),
    "gradients": (gradients, 15),
    "evaluate": (evaluate, 4),
    "weights": (read_weights, 20),
    "save": (saved, 2),
    "explain": (explained, 4),
}
"""What threads call, and how often among 100 calls."""


def answers_of_all_steps(snapshots: list[Any], folder: Path) -> dict[str, set[str]]:
    """Return for every call the answers that the weights of whole steps give, quietly."""
    run = run_of(net())
    right: dict[str, set[str]] = {name: set() for name in CALLERS}
    for snapshot in snapshots:
        run.restore(snapshot)
        for name, (call, _) in CALLERS.items():
            right[name].add(call(run, folder))
    return right


def test_every_answer_beside_a_running_fit_is_that_of_one_step(tmp_path: Path):
    model = net()
    run = run_of(model)
    # Few different weights, so that the right answers can all be worked out: the run goes round.
    snapshots = [run.capture()]
    names = [name for name, (_, share) in CALLERS.items() for _ in range(share)]
    seen: list[tuple[str, str]] = []
    faults: list[BaseException] = []
    finished = threading.Event()

    def call(number: int) -> None:
        draws = random.Random(number)
        mine = []
        try:
            for _ in range(CALLS):
                name = draws.choice(names)
                mine.append((name, CALLERS[name][0](run, tmp_path)))
        except BaseException as fault:
            faults.append(fault)
        seen.extend(mine)

    def train() -> None:
        try:
            while not finished.is_set():
                run.fit(loader(), steps=12, callbacks=[remember])
                run.restore(snapshots[0])
        except BaseException as fault:
            faults.append(fault)

    def remember(event: Any) -> None:
        if type(event).__name__ == "StepFinished" and len(snapshots) <= 12:
            snapshots.append(run.capture())

    trainer = threading.Thread(target=train)
    callers = [threading.Thread(target=call, args=(n,)) for n in range(THREADS)]
    trainer.start()
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    finished.set()
    trainer.join()
    assert not faults, faults[0]
    right = answers_of_all_steps(snapshots, tmp_path)
    assert len(seen) == THREADS * CALLS
    wrong = [name for name, answer in seen if answer not in right[name]]
    assert not wrong, {name: wrong.count(name) for name in set(wrong)}
    # The calls did see different steps, else this test could not fail.
    assert len({answer for name, answer in seen if name == "predict"}) > 1


def test_validation_beside_other_calls_is_that_of_a_quiet_run():
    quiet = run_of(net())
    quiet.fit(loader(), epochs=4, validation=VALIDATION)
    run, stop = run_of(net()), threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            run.model(LARGE)
            run.model.activations(VALIDATION.x[:256], ["conv"])
            run.evaluate(VALIDATION)

    threads = [threading.Thread(target=disturb) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        run.fit(loader(), epochs=4, validation=VALIDATION)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert run.history.validations == quiet.history.validations
    assert run.history.steps == quiet.history.steps


def test_a_listener_may_call_everything_but_training(tmp_path: Path):
    run, seen, refused = run_of(net()), [], []

    def listen(event: Any) -> None:
        if type(event).__name__ != "StepFinished":
            return
        seen.append({name: call(run, tmp_path) for name, (call, _) in CALLERS.items()})
        for train in (
            lambda: run.step(SMALL, [0, 1, 2]),
            lambda: run.fit(loader(), steps=1),
            lambda: Session(run, loader=loader()),
        ):
            with pytest.raises(StateError, match="already training") as caught:
                train()
            refused.append(caught.value)
        step = run.global_step
        assert load(save(run, tmp_path / "listener.safetensors")).global_step == step

    run.fit(loader(), steps=3, callbacks=[listen])
    assert len(seen) == 3
    assert len(refused) == 9
    assert len({one["predict"] for one in seen}) == 3


def test_a_second_thread_may_not_train():
    run, inside, go_on = run_of(net()), threading.Event(), threading.Event()

    def listen(event: Any) -> None:
        inside.set()
        go_on.wait(20)

    thread = threading.Thread(target=lambda: run.fit(loader(), steps=2, callbacks=[listen]))
    thread.start()
    try:
        assert inside.wait(20)
        for train in (
            lambda: run.step(SMALL, np.array([0, 1, 2])),
            lambda: run.fit(loader(), steps=1),
            lambda: Session(run, loader=loader()),
        ):
            with pytest.raises(StateError, match="already training"):
                train()
    finally:
        go_on.set()
        thread.join()
    assert run.global_step == 2
    run.step(SMALL, np.array([0, 1, 2]))


def test_a_session_notices_that_somebody_else_has_trained():
    run = run_of(net())
    session = Session(run, loader=loader())
    for _ in range(4):
        session.step_over()
    run.fit(loader(), steps=1)
    before = {name: parameter.value for name, parameter in run.model.parameters.items()}
    for look in (
        lambda: session.read("conv.output"),
        lambda: session.explain(layer="conv", index=(0, 0, 1, 1)),
        session.step_over,
        session.step_back,
        session.resume,
    ):
        with pytest.raises(StateError, match="make a new Session"):
            look()
    # What was trained is not lost by asking.
    assert all((run.model.parameters[name].value == value).all() for name, value in before.items())


def test_a_forward_session_follows_new_weights():
    run = run_of(net())
    session = Session(run.model, SMALL)
    while session.read("head.output") is None:
        session.step_over()
    run.fit(loader(), steps=2)
    assert (session.read("head.output") == run.model(SMALL)).all()
    assert session.explain(layer="head", index=(0, 1)).exact


def test_models_that_share_layers_share_their_turns():
    model = net()
    run = run_of(model)
    whole = model.node("head")
    features = Model(
        inputs=model._inputs, outputs=model._outputs, device="cpu"
    )  # the same layers, another model
    assert whole.layer is features["head"]
    snapshots, answers, stop = [digest(features(SMALL))], [], threading.Event()

    def call() -> None:
        while not stop.is_set():
            answers.append(digest(features(SMALL)))

    thread = threading.Thread(target=call)
    thread.start()
    try:
        run.fit(
            loader(), steps=60, callbacks=[lambda event: snapshots.append(digest(model(SMALL)))]
        )
    finally:
        stop.set()
        thread.join()
    assert set(answers) <= set(snapshots)
    assert len(set(answers)) > 1


def test_weights_assigned_beside_a_fit_are_a_whole_step():
    run, stop = run_of(net()), threading.Event()
    shape = run.model["conv"].weight.shape
    mixed: list[Any] = []

    def assign() -> None:
        while not stop.is_set():
            run.model["conv"].weight.value = np.zeros(shape, np.float32)

    def look() -> None:
        while not stop.is_set():
            value = run.model["conv"].weight.value
            zeros = int((value == 0).sum())
            if 0 < zeros < value.size:
                mixed.append(value)

    threads = [threading.Thread(target=work) for work in (assign, look)]
    for thread in threads:
        thread.start()
    try:
        run.fit(loader(), steps=150)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not mixed
