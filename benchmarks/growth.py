"""How cost grows: with the batch, the picture, the channels and the threads."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from benchmarks import convolutions, nets, steps
from benchmarks.convolutions import Problem, Shape, pass_of
from benchmarks.groups import Group, Work
from benchmarks.measure import Bench, Timing, ratio
from benchmarks.report import Column, Result
from benchmarks.single import LAYOUTS

BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
SIZES = [8, 14, 16, 28, 32, 56, 112, 224]
CHANNELS = [1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512]
QUICK_BATCHES, QUICK_SIZES, QUICK_CHANNELS = {1, 64}, {8, 56}, {4, 64}


def batch(size: int, bench: Bench) -> list[Result]:
    """Measure a training step of LeNet-5."""
    task = steps.TASKS[0]._replace(batch=size)
    scheduler = steps.ours(task, bench.threads)
    data = task.data(scheduler.model)
    twin = nets.twin(task.net, scheduler.model)
    calls = {
        "ours": lambda: scheduler.step(*data),
        "torch": steps.torch_step(task, twin, data),
    }
    times = bench.contest(calls)
    return [
        {
            "batch": size,
            **times,
            "each": 1e3 * times["ours"].median_ms / size,
            "to torch": ratio(times["ours"], times["torch"]),
        }
    ]


def convolution(key: str, value: int, shape: Shape, bench: Bench) -> list[Result]:
    """Measure all three passes of one convolution, one after the other."""
    problem = Problem(shape)
    single = problem.single(bench.threads, "direct")
    results = list(convolutions.PASSES.values())
    mine = [pass_of(single, result) for result in results]

    def theirs(layout: torch.memory_format) -> Callable[[], None]:
        calls = [problem.torch_call(result, layout) for result in results]
        return lambda: [call() for call in calls] and None

    times = bench.contest(
        {
            "ours": lambda: [call() for call in mine],
            **{way: theirs(layout) for way, layout in LAYOUTS.items()},
            "peak": bench.spinner,
        }
    )
    operations = 3 * shape.operations
    return [
        {
            key: value,
            **times,
            "rate": operations / times["ours"].median_ms / 1e6,
            "share": bench.share(operations, times["ours"], times["peak"]),
            "to torch": ratio(times["ours"], times["torch"]),
            "to best": ratio(times["ours"], times["torch"], times["channels_last"]),
        }
    ]


def threads(what: str, bench: Bench) -> list[Result]:
    """Measure one thing with one thread and with all."""
    everybody, found = bench.threads, {}
    for count in (1, everybody):
        torch.set_num_threads(count)
        bench.threads = count
        try:
            found[count] = _with_threads(what, bench)
        finally:
            torch.set_num_threads(everybody)
            bench.threads = everybody
    one, many = found[1], found[everybody]
    return [
        {
            "what": what,
            "ours1": one["ours"],
            "ours": many["ours"],
            "gain": ratio(many["ours"], one["ours"]),
            "torch1": one["torch"],
            "torch": many["torch"],
            "torch gain": ratio(many["torch"], one["torch"]),
            "to torch 1": ratio(one["ours"], one["torch"]),
            "to torch": ratio(many["ours"], many["torch"]),
        }
    ]


def _with_threads(what: str, bench: Bench) -> dict[str, Timing]:
    """Return the timings of ours and of PyTorch with as many threads as `bench` says."""
    if what in TASKS:
        task = TASKS[what]
        scheduler = steps.ours(task, bench.threads)
        data = task.data(scheduler.model)
        theirs = steps.torch_step(task, nets.twin(task.net, scheduler.model), data)
        return bench.contest({"ours": lambda: scheduler.step(*data), "torch": theirs})
    problem = Problem(convolutions.SHAPES[3])
    single = problem.single(bench.threads, "direct")
    result = convolutions.PASSES[what.removeprefix(f"{problem.shape} ")]
    theirs = problem.torch_call(result, torch.contiguous_format)
    return bench.contest({"ours": pass_of(single, result), "torch": theirs})


TASKS = {f"{task.title} step, batch {task.batch}": task for task in steps.TASKS}
THREADED = [
    *(f"{convolutions.SHAPES[3]} {name}" for name in convolutions.PASSES),
    *(name for name, task in TASKS.items() if task.batch in (1, 64)),
]

COMMON = [
    Column("ours", "Convscope ms", "ms"),
    Column("torch", "torch ms", "ms"),
    Column("channels_last", "channels_last ms", "ms"),
    Column("each", "us a sample", "number"),
    Column("rate", "GF/s", "number"),
    Column("share", "of peak", "percent"),
    Column("to torch", "to torch", "ratio"),
    Column("to best", "to best", "ratio"),
]

BATCH = Group(
    "batch",
    "Growing batch",
    [Column("batch", "batch", "integer"), *COMMON],
    [
        Work(
            f"batch {size}",
            functools.partial(batch, size),
            seconds=3 + size / 100,
            quick=size in QUICK_BATCHES,
        )
        for size in BATCHES
    ],
)
IMAGE = Group(
    "image",
    "Growing picture",
    [Column("size", "rows and columns", "integer"), *COMMON],
    [
        Work(
            f"picture {size}",
            functools.partial(convolution, "size", size, Shape(8, 32, size, 32, 3, p=1)),
            seconds=3 + size / 20,
            quick=size in QUICK_SIZES,
        )
        for size in SIZES
    ],
    needs_peak=True,
)
CHANNEL = Group(
    "channels",
    "Growing channels",
    [Column("channels", "channels", "integer"), *COMMON],
    [
        Work(
            f"channels {count}",
            functools.partial(convolution, "channels", count, Shape(8, count, 14, count, 3, p=1)),
            seconds=3 + count / 50,
            quick=count in QUICK_CHANNELS,
        )
        for count in CHANNELS
    ],
    needs_peak=True,
)
THREADS = Group(
    "threads",
    "Threads",
    [
        Column("what", "what"),
        Column("ours1", "Convscope ms, one thread", "ms"),
        Column("ours", "Convscope ms, all", "ms"),
        Column("gain", "gain", "times"),
        Column("torch1", "torch ms, one thread", "ms"),
        Column("torch", "torch ms, all", "ms"),
        Column("torch gain", "gain of torch", "times"),
        Column("to torch 1", "to torch, one thread", "ratio"),
        Column("to torch", "to torch, all threads", "ratio"),
    ],
    [
        Work(what, functools.partial(threads, what), seconds=6, quick="LeNet-5 step" in what)
        for what in THREADED
    ],
)
