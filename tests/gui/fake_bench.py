"""A bench without the engine: canned snapshots, and a record of every command."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np

from gui.models.interest import Interest
from gui.models.layout import TensorLayout, best_mode
from gui.models.snapshot import (
    BreakpointRow,
    Cursor,
    FieldRule,
    KernelsView,
    LocalRow,
    MapsView,
    NodeInfo,
    Picture,
    Prediction,
    RunInfo,
    Snapshot,
    StackFrame,
    State,
    Thumbnail,
    Words,
)
from gui.models.state import Task
from gui.worker.mailbox import Command, StepScalar
from gui.worker.thread import Outlets

SHAPES = (
    ("input", "input", (1, 28, 28)),
    ("conv1", "conv2d", (6, 28, 28)),
    ("relu1", "relu", (6, 28, 28)),
    ("pool1", "maxpool2d", (6, 14, 14)),
    ("conv2", "conv2d", (16, 10, 10)),
    ("relu2", "relu", (16, 10, 10)),
    ("pool2", "maxpool2d", (16, 5, 5)),
    ("flatten1", "flatten", (400,)),
    ("dense1", "dense", (120,)),
    ("logits", "dense", (10,)),
)


class FakeBench:
    """Behaves like the engine's bench as far as the thread and the controllers can tell."""

    interval_s = 0.03
    yields = True

    def __init__(self, outlets: Outlets) -> None:
        self.outlets = outlets
        self.commands: list[Command] = []
        self.thread = threading.get_ident()
        self.training = False
        self.interests: list[Interest] = []
        self.number = 0
        self.position = 1
        self.breakpoints: dict[int, BreakpointRow] = {}
        self.interrupted = 0
        self.unsaved: int | None = None
        self.random = np.random.default_rng(0)
        self.arrays = {
            name: self.random.normal(size=shape).astype(np.float32) for name, _, shape in SHAPES
        }
        names = [name for name, _, _ in SHAPES]
        self.run = RunInfo(
            title="fake",
            path="",
            nodes=tuple(
                NodeInfo(name, kind, shape, tuple(names[max(i - 1, 0) : i]), 0, "", ())
                for i, (name, kind, shape) in enumerate(SHAPES)
            ),
            input_shape=(1, 28, 28),
            labels=tuple("0123456789"),
            parameters=61706,
            facts="cpu, 2 threads",
            can_train=True,
            dataset_sizes={"test": 100, "train": 1000},
        )

    @property
    def busy(self) -> bool:
        return self.training

    @property
    def state(self) -> State:
        return "training" if self.training else "paused"

    def handle(self, command: Command) -> object:
        self.commands.append(command)
        assert threading.get_ident() == self.thread
        name = command.name
        if name == "open_default":
            self.outlets.runs.put(self.run)
            self.outlets.tasks.put(Task("compile", "Compiling kernels", "conv2d", 3, 12))
        elif name == "step":
            self.position = min(self.position + 1, len(SHAPES) - 1)
        elif name == "train":
            self.training = True
        elif name in ("train_pause", "train_stop"):
            self.training = False
        elif name == "add_breakpoint":
            number, layer, phase, when, hits = command.arguments
            self.breakpoints[number] = BreakpointRow(number, layer, phase, when, hits, 0, True)
        elif name == "remove_breakpoint":
            del self.breakpoints[command.arguments[0]]
        elif name == "settle":
            self.training = False
            return self.unsaved
        elif name == "fail":
            raise ZeroDivisionError("on purpose")
        elif name == "refuse":
            from engine.errors import StateError

            raise StateError("nothing to step back to")
        return None

    def work(self) -> None:
        time.sleep(0.005)
        self.number += 1
        loss = 2.3 / (1 + self.number / 20)
        self.outlets.scalars.put(StepScalar(self.number, 0, self.number, loss, 64, 40, 5.0))

    def rest(self) -> None:
        pass

    def interrupt(self) -> None:
        self.interrupted += 1

    def close(self) -> None:
        self.training = False

    def snapshot(self, interest: Interest) -> Snapshot | None:
        self.interests.append(interest)
        if not any(command.name == "open_default" for command in self.commands):
            return None
        self.number += 1
        name, kind, shape = SHAPES[self.position]
        layer = interest.layer or name
        array = self.arrays[layer][None]
        layout = TensorLayout(array.shape, True)
        maps = layout.maps(array)
        bound = float(np.abs(maps).max())
        index = interest.index or layout.index(0, 4, 5)
        cursor = Cursor(name, "forward", kind, "operation", 0, 0, self.position, "output", (), None)
        return Snapshot(
            number=self.number,
            state=self.state,
            program="forward",
            cursor=cursor,
            reason="step",
            layer=layer,
            index=index,
            tensors=("output", "weight"),
            frames=(
                StackFrame("run", "seed 0", "current", 0, None, ""),
                *(
                    StackFrame(
                        n,
                        "×".join(map(str, s)),
                        "done"
                        if i < self.position
                        else "current"
                        if i == self.position
                        else "waiting",
                        1,
                        None,
                        n,
                    )
                    for i, (n, _, s) in enumerate(SHAPES)
                ),
            ),
            breakpoints=tuple(self.breakpoints.values()),
            thumbnails=tuple(
                Thumbnail(
                    n, TensorLayout((1, *s), True).maps(self.arrays[n][None]), "signed", "ok", ""
                )
                for n, _, s in SHAPES
            ),
            maps=MapsView(
                layer,
                "output",
                layout,
                0,
                maps,
                best_mode(maps),
                (-bound, bound),
                "layer",
                ahead=True,
            ),
            kernels=KernelsView(
                "conv2",
                "weight",
                self.random.normal(size=(16, 6, 5, 5)),
                3.2,
                False,
                TensorLayout((16, 6, 5, 5), False),
            ),
            words=Words(layer, "0.5", ("This output is 0.5.",), (), "Next: " + name),
            locals=(LocalRow("output", shape, -1.0, 0.0, 1.0, 0.5, 0.1, 0),),
            prediction=Prediction(
                np.eye(10, dtype=np.float32)[7] * 0.9 + 0.01, tuple("0123456789"), 7, "softmax"
            ),
            picture=Picture(self.arrays["input"], "test #0 · label 7", 7, "test#0"),
            field=FieldRule(0, 0, 5, 5, 1, 1),
            box=(4, 5, 9, 10),
        )


def without_state(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as paused."""
    return replace(snapshot, state="paused")
