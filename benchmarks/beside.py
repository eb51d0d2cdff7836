"""Two trainings with one thread each, side by side: in one process, and in two.

In one process they share Python's lock, and whatever the engine shares; in two they share the
machine alone. Both ways are measured in turns.

python -m benchmarks.beside NET BATCH STEPS ONES... trains that many at the same time and prints the
milliseconds of a step as a JSON list; it starts when a line comes on its standard input.
"""

from __future__ import annotations

import functools
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.groups import Group, Work
from benchmarks.measure import Bench
from benchmarks.report import Column, Result

ROOT = Path(__file__).parent.parent
NETS = {"LeNet-5": ("lenet5", 64), "ResNet-20": ("resnet20", 16)}
SECONDS = 2.0
"""About how long one measurement trains."""


def train_together(net: str, batch: int, steps: int, count: int) -> list[float]:
    """Train `count` nets in this process at the same time; return each one's ms per step."""
    from engine import Scheduler, zoo
    from engine.data import DataLoader, Dataset
    from engine.losses import CrossEntropyLoss
    from engine.optimizers import SGD

    runs = []
    for _ in range(count):
        model = zoo.build(net, seed=0, device="cpu", threads=1)
        rng = np.random.default_rng(0)
        x = rng.random((8 * batch, *model.input_shape), dtype=np.float32)
        loader = DataLoader(Dataset(x, rng.integers(0, 10, len(x))), batch, shuffle=True)
        run = Scheduler(model, CrossEntropyLoss(), SGD(0.01, momentum=0.9))
        run.fit(loader, steps=3)
        runs.append((run, loader))
    taken = [0.0] * count
    begin = threading.Barrier(count)

    def train(number: int) -> None:
        run, loader = runs[number]
        begin.wait()
        start = time.perf_counter()
        run.fit(loader, steps=steps)
        taken[number] = (time.perf_counter() - start) / steps * 1e3

    print("ready", flush=True)
    sys.stdin.readline()
    threads = [threading.Thread(target=train, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def measured(net: str, batch: int, steps: int, counts: list[int]) -> list[float]:
    """Return the ms per step of trainings in processes of their own; `counts` in each."""
    children = []
    for count in counts:
        words = ["-m", "benchmarks.beside", net, *map(str, (batch, steps, count))]
        child = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
    for child in children:
        if child.stdout is None or child.stdout.readline().strip() != "ready":
            raise RuntimeError(f"a training of {net} did not start")
    for child in children:
        if child.stdin is not None:
            child.stdin.write("go\n")
            child.stdin.flush()
    taken: list[float] = []
    for child in children:
        text, _ = child.communicate(timeout=300)
        taken += json.loads(text.splitlines()[-1])
    return taken


def beside(title: str, bench: Bench) -> list[Result]:
    """Return the line of one net."""
    net, batch = NETS[title]
    (guess,) = measured(net, batch, 20, [1])
    steps = max(int(SECONDS * 1e3 / guess / (8 if bench.quick else 1)), 20)
    ways: dict[str, list[int]] = {"alone": [1], "one": [2], "two": [1, 1]}
    found: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(2 if bench.quick else 5):
        order = list(ways) if turn % 2 else list(reversed(ways))
        for way in order:
            found[way] += measured(net, batch, steps, ways[way])
    alone, one, two = (statistics.median(found[way]) for way in ways)
    return [
        {
            "net": f"{title}, batch {batch}",
            "alone": alone,
            "one": one,
            "two": two,
            "to two": two / one,
            "to alone": alone / one,
        }
    ]


GROUP = Group(
    "beside",
    "Side by side",
    [
        Column("net", "two trainings with one thread each"),
        Column("alone", "one alone, ms a step", "number"),
        Column("one", "in one process", "number"),
        Column("two", "in two processes", "number"),
        Column("to two", "two processes to one", "times"),
        Column("to alone", "alone to one", "times"),
    ],
    [Work(title, functools.partial(beside, title), seconds=60) for title in NETS],
)


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    print(json.dumps(train_together(name, *map(int, numbers))))
