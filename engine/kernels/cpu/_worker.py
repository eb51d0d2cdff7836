"""The process that compiles kernels by name for `_compile`: names come in, answers go out.

Run as ``python -m engine.kernels.cpu._worker``. It says ``ready`` and its cache folder first.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from typing import TextIO

from engine.kernels.cpu._cache import kernel_cache
from engine.kernels.cpu._compile import DONE, READY, called_natives, natives_of
from engine.kernels.cpu._native import Native
from engine.kernels.cpu.backend import all_kernels


def work(names: TextIO, answers: TextIO) -> None:
    """Compile what is asked for until the input ends."""

    def answer(text: str) -> None:
        answers.write(f"{' '.join(text.split())}\n")
        answers.flush()

    known: dict[str, Native] = {native.name: native for native in called_natives()}
    for dtype in ("float32", "float64"):
        known |= {native.name: native for native in natives_of(all_kernels().values(), dtype)}
    answer(f"{READY} {kernel_cache().folder}")
    for line in names:
        name = line.strip()
        try:
            known[name].compile()
        except Exception as error:  # whoever asked meets it again, with a traceback
            answer(f"failed {type(error).__name__}")
        else:
            answer(DONE)


def main() -> None:
    """Serve the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent ends this one
    if "--background" in sys.argv and hasattr(os, "nice"):
        os.nice(10)
    # What the compiler makes stays in use; looking for garbage among it costs a fifth of the time.
    gc.disable()
    answers = sys.stdout
    sys.stdout = sys.stderr
    with contextlib.suppress(BrokenPipeError):
        work(sys.stdin, answers)


if __name__ == "__main__":
    main()
