"""Write the tables of docs/performance.md: ``python -m benchmarks``."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import numba
import torch

from benchmarks import convolutions, training
from engine.device import backend_for

HEAD = ("what", "pass", "convscope ms", "torch ms", "torch channels_last ms", "ratio", "to best")
TARGET = Path(__file__).parent.parent / "docs" / "performance.md"


def table(rows: list[tuple[str, ...]]) -> str:
    """Return rows as a Markdown table."""
    lines = [HEAD, tuple("---" for _ in HEAD), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Measure and write."""
    backend = backend_for("cpu")
    torch.set_num_threads(backend.team.threads)  # type: ignore[attr-defined]
    sections = []
    for title, rows in (
        ("LeNet-5, SGD with momentum", training.rows),
        ("Convolutions (backward: gradients of input, weight and bias)", convolutions.rows),
    ):
        print(f"measuring: {title}", flush=True)
        text = table(rows())
        print(text, flush=True)
        sections.append(f"## {title}\n\n{text}\n")
    text = (
        "# Performance\n\n"
        "Written by `make bench`. Contestants take turns in one process, with the same number of\n"
        "threads; figures are medians. A ratio above 1 means that Convscope is faster; `to best`\n"
        "compares with the better of PyTorch's layouts. Absolute times depend on the machine and\n"
        "on what else it does; trust the ratios.\n\n"
        f"{datetime.date.today()}: {backend.describe()}; Python {sys.version.split()[0]}, PyTorch "
        f"{torch.__version__}, Numba {numba.__version__}; float32.\n\n" + "\n".join(sections)
    )
    TARGET.write_text(text, encoding="utf-8")
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
