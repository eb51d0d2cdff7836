"""What the tests of the command line share: running it, data and a run to use."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cli import main
from engine.data import load_mnist_split

TRAIN, TEST = 160, 60


@dataclass
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON lines of the output."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """Runs `convscope` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: object) -> Result:
        self.capsys.readouterr()
        status = main([str(word) for word in words])
        captured = self.capsys.readouterr()
        return Result(status, captured.out, captured.err)

    def good(self, *words: object) -> Result:
        """Run a command that must succeed and say nothing on the error stream."""
        result = self(*words)
        assert (result.status, result.err) == (0, "")
        return result

    def wrong_after_start(self, *words: object) -> str:
        """Run a command that fails after it has begun to tell; return its one line."""
        result = self(*words)
        assert result.status == 2, result
        assert result.err.count("\n") == 1
        return result.err.strip()

    def wrong(self, *words: object) -> str:
        """Run a command that must be refused; return its one line."""
        result = self(*words)
        assert result.status == 2, result
        assert result.out == ""
        assert result.err.count("\n") == 1
        assert result.err.endswith("\n")
        return result.err.strip()


def digits(path: Path) -> Path:
    """Write a small set of MNIST's digits as npz."""
    source = load_mnist_split("test")
    pixels = (source.x[: TRAIN + TEST, 0] * 255).round().astype(np.uint8)
    labels = source.y[: TRAIN + TEST].astype(np.uint8)
    np.savez(
        path,
        x_train=pixels[:TRAIN], y_train=labels[:TRAIN],
        x_test=pixels[TRAIN:], y_test=labels[TRAIN:],
    )  # fmt: skip
    return path
