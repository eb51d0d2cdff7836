"""From the start of a process to the first step, and what a training program needs of memory."""

from __future__ import annotations

import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import nets
from benchmarks.groups import Group, Work
from benchmarks.measure import Bench
from benchmarks.report import Column, Result
from benchmarks.single import normal
from engine import Scheduler
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.zoo import build

ROOT = Path(__file__).parent.parent
LIMIT_S = 300
NETS = {"LeNet-5": "lenet5", "VGG-like": "vgg_small", "ResNet-20": "resnet20"}


def run(words: list[str], threads: int, cache: str | None = None) -> tuple[float, str]:
    """Run Python in a process of its own; return seconds and what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    if cache is not None:
        environment["CONVSCOPE_CACHE_DIR"] = cache
        environment.pop("NUMBA_CACHE_DIR", None)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    taken = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed: {done.stderr.strip()[-500:]}")
    return taken, done.stdout


def child(who: str, net: str, threads: int, cache: str | None = None) -> dict[str, Any]:
    """Return what a fresh process says of itself, and how long it took in all."""
    taken, text = run(["-m", "benchmarks.child", who, net], threads, cache)
    return {**json.loads(text.splitlines()[-1]), "process": taken}


def warm(title: str, bench: Bench) -> list[Result]:
    """Measure processes that find everything on disk, in turns."""
    repeats = 1 if bench.quick else 3
    reports: dict[str, list[dict[str, Any]]] = {"engine": [], "torch": []}
    child("engine", NETS[title], bench.threads)  # fills the cache, if it must be
    for _ in range(repeats):
        for who, found in reports.items():
            found.append(child(who, NETS[title], bench.threads))

    def line(what: str, key: str) -> Result:
        ours, theirs = (
            statistics.median(one[key] for one in reports[who]) for who in ("engine", "torch")
        )
        return {"what": what, "ours": ours, "torch": theirs, "to torch": theirs / ours}

    lines = [line(f"{title}: start of Python to the end of the first step", "first")]
    if title == "LeNet-5":
        lines.insert(0, line("import", "import"))
    return lines


def cold(bench: Bench) -> list[Result]:
    """Measure the first step with an empty cache, and compiling everything."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        report = child("engine", "lenet5", bench.threads, folder)
        again = child("engine", "lenet5", bench.threads, folder)
        results = [
            {"what": "LeNet-5: the same, nothing compiled yet", "ours": report["first"]},
            {"what": "LeNet-5: the same, once more", "ours": again["first"]},
        ]
    with tempfile.TemporaryDirectory() as folder:
        taken, _ = run(["-m", "engine.cli", "compile"], bench.threads, folder)
    results.append({"what": "all kernels, nothing compiled yet", "ours": taken})
    return results


GROUP = Group(
    "startup",
    "Start-up",
    [
        Column("what", "what"),
        Column("ours", "Convscope s", "s"),
        Column("torch", "torch s", "s"),
        Column("to torch", "to torch", "ratio"),
    ],
    [
        *(
            Work(
                f"{title} in a fresh process",
                functools.partial(warm, title),
                seconds=20,
                quick=title == "LeNet-5",
            )
            for title in NETS
        ),
        Work("nothing compiled yet", cold, seconds=60, quick=False),
    ],
)


# -- memory -----------------------------------------------------------------------------------


def saved_bytes(net: torch.nn.Module, x: np.ndarray) -> int:
    """Return the size of what autograd keeps for the backward pass, without the parameters."""
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}
    seen: dict[int, int] = {}

    def keep(saved: torch.Tensor) -> torch.Tensor:
        storage = saved.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        loss = net.train()(torch.tensor(x)).sum()
    del loss
    return sum(seen.values())


def memory(title: str, bench: Bench) -> list[Result]:
    """Return the line of one net."""
    model = build(NETS[title], device="cpu", threads=bench.threads)
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(0.01, momentum=0.9))
    small, large = (scheduler.program(batch).memory_bytes for batch in (32, 64))
    twin = nets.twin(NETS[title], model)
    theirs = [saved_bytes(twin, normal((batch, *model.input_shape))) for batch in (32, 64)]
    parameters = sum(p.size * 4 for p in model.parameters.values())
    return [
        {
            "net": title,
            "ours": (large - small) / 32,
            "fixed": large - 64 * (large - small) / 32,
            "torch": (theirs[1] - theirs[0]) / 32,
            "parameters": parameters,
        }
    ]


MEMORY = Group(
    "memory",
    "Memory",
    [
        Column("net", "net"),
        Column("ours", "training program, MB a sample", "mb"),
        Column("fixed", "and for any batch, MB", "mb"),
        Column("torch", "kept by torch's autograd, MB a sample", "mb"),
        Column("parameters", "parameters, MB", "mb"),
    ],
    [Work(title, functools.partial(memory, title), seconds=2) for title in NETS],
)
