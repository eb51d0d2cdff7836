"""Every command with every kind of broken output, and trainings that every signal meets there.

In real processes: what matters is what the system does to them.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Scheduler, load
from engine.data import DataLoader
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.schedules import CosineDecay
from engine.zoo import digits_cnn
from tests.building import bits_of
from tests.unit.cli_tools import TRAIN
from tests.unit.processes import OUTPUTS, Ended, Nursery, Process

ROOT = Path(__file__).parents[2]
BATCHES = TRAIN // 32
LONG = 100_000
"""Epochs that no test waits for."""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shells, terminals and signals of POSIX")


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    made = Nursery(
        tmp_path_factory.mktemp("streams"),
        "import engine.commands.keeping as keeping; keeping.SAVE_EVERY_S = 0.2",
    )
    yield made
    made.close()


def in_groups(names: Iterable[str], size: int = 3) -> Iterator[list[str]]:
    """Some at a time: more than the machine has cores, for they also wait."""
    waiting = list(names)
    while waiting:
        yield waiting[:size]
        waiting = waiting[size:]


def expected_status(output: str, status: int = 0) -> int:
    """Lost output is a failure of a command that has none else; a reader who left is not."""
    return 2 if status == 0 and OUTPUTS[output][1] == "full" else status


def check_quiet(done: Ended, output: str, what: str) -> None:
    """At most one line on the error stream, and never a traceback."""
    assert "Traceback" not in done.err, f"{what}: {done.err}"
    assert "Exception ignored" not in done.err, f"{what}: {done.err}"
    assert done.err.count("\n") <= 1, f"{what}: {done.err}"


# --- every command, every output ----------------------------------------------------------------

MET_BY_COMMANDS = (
    "all is well", "readers who leave", "stdout full", "stdin closed", "all closed", "both full",
)  # fmt: skip
COMMANDS: dict[str, tuple[str, int]] = {
    "help": ("--help", 0),
    "help of train": ("train --help", 0),
    "version": ("--version", 0),
    "wrong use": ("nosuch", 2),
    "wrong run": ("info {tmp}/none", 2),
    "info": ("info {run}", 0),
    "info --json": ("info {run} --json", 0),
    "evaluate": ("evaluate {run} --data {npz}", 0),
    "evaluate --json": ("evaluate {run} --data {npz} --json", 0),
    "predict": ("predict {run} --data {npz} --json", 0),
    "explain": ("explain {run} --layer conv1 --index 0,0,5,5", 0),
    "step": ("step {run} --data {npz} --keys niniobrs", 0),
    "tour": ("step {run} --data {npz} --tour", 0),
    "step --json": ("step {run} --data {npz} --json", 0),
    "export": ("export {run} {tmp}/net.onnx", 0),
    "compile": ("compile", 0),
    "doctor": ("doctor", 0),
    "train": ("train --model digits_cnn --data {npz} --batch-size 32 --epochs 2", 0),
    "train --json": ("train --model digits_cnn --data {npz} --batch-size 32 --epochs 2 --json", 0),
    "app": ("app {run} --screenshot {tmp}/window.png --json", 0),
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_broken_output_is_no_traceback(
    nursery: Nursery, command: str, run_file: Path, digits_npz: Path, tmp_path: Path
):
    line, status = COMMANDS[command]
    words = [word.format(run=run_file, npz=digits_npz, tmp=tmp_path) for word in line.split()]
    for group in in_groups(MET_BY_COMMANDS):
        running = {name: nursery.start(words, name) for name in group}
        for name, process in running.items():
            done, what = process.ended(), f"{command}, {name}"
            check_quiet(done, name, what)
            assert done.status == expected_status(name, status), f"{what}: {done}"
            if OUTPUTS[name][1] == "file" and status == 0:
                assert done.out, what
            if done.status != status and OUTPUTS[name][2] == "file":
                assert "what was printed is incomplete (No space left on device)" in done.err, what
    if command == "export":
        assert (tmp_path / "net.onnx").stat().st_size
    if command == "app":
        assert (tmp_path / "window.png").read_bytes().startswith(b"\x89PNG")


def test_every_command_is_in_the_matrix():
    from engine.cli import COMMANDS as KNOWN

    tried = {line.split()[0] for line, _ in COMMANDS.values()}
    assert {*KNOWN, "app"} <= tried


def test_what_a_library_prints_never_goes_into_a_file(digits_npz: Path, tmp_path: Path):
    """With handle 1 closed, the next file would get that number, and what is printed there."""
    path = tmp_path / "run.safetensors"
    code = (
        "import os, sys; from engine import cli, io\n"
        "from engine.io import files\n"
        "before = files._take_over\n"
        "def talk(handle, real):\n"
        "    for stream in (1, 2):\n"
        "        try: os.write(stream, b'printed by a library')\n"
        "        except OSError: pass\n"
        "    before(handle, real)\n"
        "files._take_over = talk\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    words = f"train --model digits_cnn --data {digits_npz} --epochs 1 --output {path}".split()
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code, *words],
        cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert load(path).epoch == 1


# --- trainings ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def straight(digits_npz: Path) -> Callable[[int], Callable[[int], dict[str, bytes]]]:
    """Return what gives the bits that a run of these tests has after so many steps.

    Within a run, ask for more and more steps.
    """
    from engine.commands.datasets import read_data

    sets = read_data(str(digits_npz))

    def run(epochs: int) -> Callable[[int], dict[str, bytes]]:
        loader = DataLoader(sets.train, batch_size=32, shuffle=True, seed=0)
        rate = CosineDecay(0.05, epochs * len(loader))
        scheduler = Scheduler(digits_cnn(seed=0), CrossEntropyLoss(), SGD(rate, momentum=0.9))

        def after(steps: int) -> dict[str, bytes]:
            scheduler.fit(loader, steps=steps - scheduler.global_step)
            return bits_of(scheduler.model)

        return after

    return run


def training(npz: Path, path: Path, epochs: int, *more: object) -> list[object]:
    return [
        "train", "--model", "digits_cnn", "--data", npz, "--batch-size", 32, "--epochs", epochs,
        "--threads", 1, "--output", path, *more,
    ]  # fmt: skip


def under_way(path: Path, process: Process) -> int:
    """Wait until a training has saved for the first time; return how many steps it had made."""
    process.wait_for(path.exists)
    return load(path).global_step


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("style", ["", "--json"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_training_is_saved_whatever_happens_to_its_output(
    nursery: Nursery,
    digits_npz: Path,
    tmp_path: Path,
    straight: Callable[[int], Callable[[int], dict[str, bytes]]],
    output: str,
    style: str,
):
    path = tmp_path / "run.safetensors"
    done = nursery.start(training(digits_npz, path, 4, *style.split()), output).ended()
    check_quiet(done, output, output)
    assert done.status == expected_status(output), done
    run = load(path)
    assert (run.epoch, run.global_step) == (4, 4 * BATCHES)
    assert bits_of(run.model) == straight(4)(4 * BATCHES)


MET_BY_SIGNALS = (
    "all is well", "readers who leave", "stdout full", "all closed", "both full",
)  # fmt: skip
SIGNALS = {
    "Ctrl-C": ["SIGINT"],
    "Ctrl-C twice": ["SIGINT", "SIGINT"],
    "Ctrl-C many times": ["SIGINT"] * 8,
    "end": ["SIGTERM"],
    "end, and Ctrl-C": ["SIGTERM", "SIGINT"],
    "closed terminal": ["SIGHUP"],
    "closed terminal and end": ["SIGHUP", "SIGTERM"],
    "time is up": ["SIGXCPU"],
    "batch system": ["SIGUSR1", "SIGTERM"],
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("output", MET_BY_SIGNALS)
def test_every_signal_saves_a_whole_step_into_every_output(
    nursery: Nursery,
    digits_npz: Path,
    tmp_path: Path,
    straight: Callable[[int], Callable[[int], dict[str, bytes]]],
    output: str,
):
    saved: list[tuple[int, str, dict[str, bytes]]] = []
    for group in in_groups(SIGNALS):
        running = {}
        for name in group:
            path = tmp_path / f"{name}.safetensors"
            words = training(digits_npz, path, LONG, *(["--json"] * (len(name) % 2)))
            running[name] = path, nursery.start(words, output)
        for name, (path, process) in running.items():
            before = under_way(path, process)
            for number in SIGNALS[name]:
                process.send(number)
                time.sleep(0.002)
            done, what = process.ended(), f"{name}, {output}"
            check_quiet(done, output, what)
            assert done.status == 130, f"{what}: {done}"
            if OUTPUTS[output][2] == "file":
                assert "saved, go on with: convscope train --resume" in done.err, what
            run = load(path)
            assert run.global_step >= before, what
            assert run.global_step == run.epoch * BATCHES + run.batch, what
            saved.append((run.global_step, what, bits_of(run.model)))
            assert len(run.history.steps) == run.global_step
            assert np.isfinite(run.history.steps).all()
    after = straight(LONG)
    for steps, what, bits in sorted(saved, key=lambda one: one[0]):
        assert bits == after(steps), what


@pytest.mark.parametrize("number", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_what_is_ignored_at_the_start_stays_ignored(
    nursery: Nursery, digits_npz: Path, tmp_path: Path, number: str
):
    """Nohup and jobs in the background: the terminal's end and its Ctrl-C mean others."""
    path = tmp_path / "run.safetensors"
    process = nursery.start(training(digits_npz, path, LONG), "all is well", [number])
    before = under_way(path, process)
    for _ in range(3):
        process.send(number)
        time.sleep(0.05)
    stamp = path.stat().st_mtime_ns
    process.wait_for(lambda: path.stat().st_mtime_ns != stamp)
    assert load(path).global_step > before
    process.send("SIGTERM" if number != "SIGTERM" else "SIGINT")
    done = process.ended()
    assert done.status == 130, done


@pytest.mark.skipif(not shutil.which("nohup"), reason="there is no nohup")
def test_a_training_under_nohup_and_in_the_background(digits_npz: Path, tmp_path: Path):
    paths = [tmp_path / "nohup.safetensors", tmp_path / "job.safetensors"]
    words = [
        [sys.executable, "-m", "engine.cli", *map(str, training(digits_npz, path, 2))]
        for path in paths
    ]
    line = f"nohup {shlex.join(words[0])}; ( {shlex.join(words[1])} ) & wait"
    done = subprocess.run(
        ["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert [load(path).epoch for path in paths] == [2, 2]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    end = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    import pty

    master, slave = pty.openpty()
    try:
        yield master, slave
    finally:
        for handle in (master, slave):
            with contextlib.suppress(OSError):
                os.close(handle)


IN_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "engine.cli", *sys.argv[1:]])
"""


@pytest.mark.parametrize("how", ["closed", "Ctrl-C", "left alone"])
def test_a_training_in_a_terminal(digits_npz: Path, tmp_path: Path, how: str):
    """The bar draws in a thread of its own; the terminal's end is SIGHUP and failing writes."""
    path = tmp_path / "run.safetensors"
    words = [str(word) for word in training(digits_npz, path, 3 if how == "left alone" else LONG)]
    with terminal() as (master, slave):
        process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, *words],
            cwd=ROOT, stdin=slave, stdout=slave, stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"},
        )  # fmt: skip
        os.close(slave)
        seen = bytearray()
        os.set_blocking(master, False)

        def drain() -> bool:
            with contextlib.suppress(OSError):
                seen.extend(os.read(master, 65536))
            return path.exists()

        if how == "left alone":
            while process.poll() is None:
                drain()
                time.sleep(0.01)
        else:
            wait_for(drain, process)
            if how == "closed":
                os.close(master)
            else:
                os.write(master, b"\x03")
        while process.poll() is None and how == "Ctrl-C":
            drain()
            time.sleep(0.01)
        status = process.wait(60)
        drain()
    assert b"Traceback" not in seen
    assert status == (0 if how == "left alone" else 130)
    run = load(path)
    assert run.global_step == run.epoch * BATCHES + run.batch > 0
    if how == "Ctrl-C":
        assert b"saved, go on with" in seen


def test_keys_from_a_terminal_that_is_gone_end_the_walk(run_file: Path, digits_npz: Path):
    with terminal() as (master, slave):
        process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, "step", str(run_file), "--data", str(digits_npz)],
            cwd=ROOT, stdin=slave, stdout=slave, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.close(slave)
        seen = b""
        while b"q leave" not in seen:
            seen += os.read(master, 65536)
        os.close(master)
        _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    assert "Traceback" not in err
    assert err.count("\n") <= 1
