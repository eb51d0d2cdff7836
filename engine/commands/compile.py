"""`convscope compile`: compiles all kernels now, so that no later start waits for them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from engine.commands.options import DebugOption, JsonOption
from engine.commands.output import Output, duration
from engine.device import compile_kernels, kernel_cache


class Numbers(StrEnum):
    """Of which type of number."""

    float32 = "float32"
    float64 = "float64"
    all = "all"


def compile(
    dtype: Annotated[
        Numbers, typer.Option(help="For nets of this type of number; float32 is the usual one.")
    ] = Numbers.float32,
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many processes compile; one per core by default.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compile all kernels for this processor, so that nothing waits for them later."""
    out = Output(as_json)
    dtypes = ["float32", "float64"] if dtype == Numbers.all else [str(dtype)]
    start = time.monotonic()
    with _shown(out) as progress:
        done = compile_kernels(dtypes, processes, progress)
    seconds = time.monotonic() - start
    cache = kernel_cache()
    out.json(
        event="compiled",
        compiled=done.compiled,
        cached=done.cached,
        seconds=round(seconds, 3),
        cache=cache,
    )
    if done.compiled:
        out.line(f"{done.compiled} functions compiled in {duration(seconds)}", "green")
    else:
        out.line("everything is compiled already", "green")
    out.line(f"kernel cache: {cache}")


@contextlib.contextmanager
def _shown(out: Output) -> Iterator[Callable[[str, int, int], None]]:
    """Show names as they are compiled: JSON lines, a bar in a terminal, or nothing in a pipe."""
    if out.as_json or not out.console.is_terminal:
        yield lambda kernel, number, total: out.json(
            event="compiling", kernel=kernel, number=number + 1, total=total
        )
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=out.console,
        transient=True,
        expand=True,
    )
    task = bar.add_task("looking", total=None)

    def tell(kernel: str, number: int, total: int) -> None:
        bar.update(task, description=kernel, completed=number, total=total)

    with bar:
        yield tell
