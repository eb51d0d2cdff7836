"""Fixtures of the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import Scheduler, save
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.zoo import digits_cnn
from tests.unit.cli_tools import CommandLine, digits


@pytest.fixture
def convscope(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Run the command line in this process, as in a pipe of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return CommandLine(capsys)


@pytest.fixture(scope="session")
def digits_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an npz file with 160 digits to train on and 60 to test."""
    return digits(tmp_path_factory.mktemp("data") / "digits.npz")


@pytest.fixture(scope="session")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run file of an untrained small net."""
    path = tmp_path_factory.mktemp("runs") / "run.safetensors"
    return save(Scheduler(digits_cnn(), CrossEntropyLoss(), SGD(0.05, momentum=0.9)), path)
