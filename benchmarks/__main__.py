"""Measure, and write the tables of docs/performance.md: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from rich.console import Console

from benchmarks import beside, convolutions, dense, growth, inference, operations, startup, steps
from benchmarks.groups import Group, Work
from benchmarks.measure import Bench, Timing
from benchmarks.peak import measured_peak
from benchmarks.progress import Reporter
from benchmarks.report import Result, splice, summary, table
from engine.device import backend_for
from engine.io.files import write_whole

GROUPS = {
    group.name: group
    for group in (
        convolutions.GROUP,
        dense.GROUP,
        operations.GROUP,
        steps.GROUP,
        inference.GROUP,
        startup.GROUP,
        startup.MEMORY,
        growth.BATCH,
        growth.IMAGE,
        growth.CHANNEL,
        growth.THREADS,
        beside.GROUP,
    )
}
TARGET = Path(__file__).parent.parent / "docs" / "performance.md"
MINUTES = 8
"""After these, rounds that others disturbed are not repeated any more."""
FAILED, INTERRUPTED = 1, 130


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"all by default: {', '.join(GROUPS)}"
    )
    parser.add_argument("--quick", action="store_true", help="a part of each, one round; not saved")
    parser.add_argument("--rounds", type=int, help="quiet rounds of each contest")
    parser.add_argument("--block", type=float, help="seconds of a contestant's turn in a round")
    parser.add_argument("--limit", type=float, default=0.05, help="share of CPU others may use")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="then no round is repeated")
    parser.add_argument("--threads", type=int, help="of everybody; all by default")
    parser.add_argument("--output", type=Path, help="document to write the tables into")
    parser.add_argument("--no-output", action="store_true", help="print alone")
    parser.add_argument("--json", type=Path, help="also write all numbers here")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.groups if name not in GROUPS]
    if unknown:
        parser.error(f"unknown group {unknown[0]!r}; there are: {', '.join(GROUPS)}")
    if given.output is None and not given.quick:
        given.output = TARGET
    if given.no_output:
        given.output = None
    return given


def machine(bench: Bench) -> str:
    """Return what the figures were measured on."""
    return (
        f"{datetime.date.today()}, {backend_for('cpu', bench.threads).describe()}, "
        f"Python {platform.python_version()}, PyTorch {torch.__version__}, "
        f"onnxruntime {onnxruntime.__version__}; float32"
    )


def conditions(bench: Bench, before: tuple[int, int, int]) -> str:
    """Return how the rounds of a group went."""
    kept, dropped, disturbed = (
        now - then
        for now, then in zip((bench.kept, bench.dropped, bench.disturbed), before, strict=True)
    )
    text = f"; {kept} rounds" if kept else ""
    text += f", {dropped} repeated because of other load" if dropped else ""
    return text + (f", {disturbed} kept in spite of it" if disturbed else "")


def measure(
    group: Group, work: Sequence[Work], bench: Bench, show: Reporter
) -> tuple[str, list[Result]]:
    """Return the text of a group's table, and its numbers."""
    before = bench.kept, bench.dropped, bench.disturbed
    results: list[Result] = []
    for one in work:
        show.begin(f"{group.title}: {one.name}")
        results += one.measure(bench)
        show.done(one.seconds)
    peak = f"; peak {measured_peak(bench.threads):.0f} GF/s" if group.needs_peak else ""
    caption = f"{machine(bench)}{peak}{conditions(bench, before)}."
    parts = [caption, table(group.columns, results), summary(group.columns, results)]
    return "\n\n".join(part for part in parts if part), results


def plain(value: Any) -> Any:
    """Return a value as JSON takes it."""
    if isinstance(value, Timing):
        return {"median_ms": value.median_ms, "spread": value.spread}
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; return the exit status."""
    given = parse(arguments)
    threads = given.threads or backend_for("cpu").team.threads  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    bench = Bench(
        rounds=given.rounds or (1 if given.quick else Bench.rounds),
        retries=1 if given.quick else Bench.retries,
        block_s=given.block or (0.03 if given.quick else Bench.block_s),
        limit=given.limit,
        threads=threads,
        quick=given.quick,
        retry_until=time.perf_counter() + 60 * given.minutes,
    )
    chosen = [GROUPS[name] for name in given.groups or GROUPS]
    plan = [
        (group, [one for one in group.work if one.quick or not given.quick]) for group in chosen
    ]
    if given.output is not None:  # a document without markers is found out now, not at the end
        for group in chosen:
            splice(given.output.read_text(encoding="utf-8"), group.name, "")
    console, numbers = Console(), {}
    total = sum(one.seconds for _, work in plan for one in work)
    status = 0
    with Reporter(console, total) as show:
        try:
            for group, work in plan:
                try:
                    text, numbers[group.name] = measure(group, work, bench, show)
                except Exception as error:  # the other groups are worth having
                    show.say(f"{group.title}: failed, {type(error).__name__}: {error}")
                    traceback.print_exc()
                    status = FAILED
                    continue
                show.say(f"\n{group.title}\n\n{text}\n")
                if given.output is not None:
                    document = given.output.read_text(encoding="utf-8")
                    write_whole(given.output, splice(document, group.name, text).encode())
        except KeyboardInterrupt:
            show.say("interrupted; the groups that were finished are kept")
            status = INTERRUPTED
    if given.json is not None:
        write_whole(given.json, json.dumps(numbers, default=plain, indent=1).encode())
    if given.output is not None and numbers:
        console.print(f"wrote {given.output}", markup=False, highlight=False, soft_wrap=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
