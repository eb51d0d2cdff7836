"""Fixtures of the tests of the command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Scheduler, save
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.zoo import digits_cnn
from tests.unit.cli_tools import CommandLine, digits


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    """Let signals do what they do in a terminal.

    Under nohup, and in a job that a shell has put into the background, SIGHUP or SIGINT is ignored,
    and what is ignored is inherited by every process that a test starts.
    """
    usual = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL}
    usual |= dict.fromkeys(("SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"), signal.SIG_DFL)
    before = {}
    for name, handler in usual.items():
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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
