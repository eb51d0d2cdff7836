"""`convscope train`: what it says, what it saves, how it is interrupted and goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from engine import load, save
from engine.commands.interrupt import on_interrupt
from engine.commands.output import Interrupted
from engine.commands.progress import BarReporter, LineReporter
from engine.data import DataLoader, load_mnist_split
from engine.device import most_threads
from engine.errors import DataError
from engine.events import Compiling, EpochFinished, EvaluationProgress, StepFinished
from engine.optimizers import SGD
from tests.building import bits_of
from tests.unit.cli_tools import TRAIN, CommandLine

ROOT = Path(__file__).parents[2]
BATCHES = TRAIN // 32
NET = ("--model", "digits_cnn", "--batch-size", "32")


def test_json_ends_with_the_accuracy(convscope: CommandLine, digits_npz: Path, tmp_path: Path):
    path = tmp_path / "run.safetensors"
    words = ("train", *NET, "--data", digits_npz, "--epochs", 2, "--seed", 3, "--output", path)
    lines = convscope.good(*words, "--json").objects
    start, *epochs, end = lines
    assert [line["event"] for line in lines] == ["start", "epoch", "epoch", "end"]
    assert (start["train_samples"], start["test_samples"], start["seed"]) == (TRAIN, 60, 3)
    assert start["steps"] == 2 * BATCHES
    assert epochs[-1]["accuracy"] == end["accuracy"]
    assert (end["epochs"], end["steps"], end["output"]) == (2, 2 * BATCHES, str(path))
    run = load(path)
    assert run.history.accuracies == [epoch["accuracy"] for epoch in epochs]
    (checked,) = convscope.good("evaluate", path, "--data", digits_npz, "--json").objects
    assert checked["accuracy"] == end["accuracy"]
    assert checked["loss"] == pytest.approx(end["loss"])


def write_table(path: Path, count: int = 60, one_class: bool = False) -> Path:
    digits = load_mnist_split("test").subset(count)
    pixels = (digits.x.reshape(count, -1) * 255).round().astype(int)
    labels = digits.y * (not one_class)
    rows = [",".join(map(str, [label, *row])) for label, row in zip(labels, pixels, strict=True)]
    path.write_text("\n".join(rows))
    return path


def test_a_table_from_training_to_prediction(convscope: CommandLine, tmp_path: Path):
    path, run = write_table(tmp_path / "digits.csv"), tmp_path / "run.safetensors"
    words = ("train", *NET, "--data", path, "--label", 0, "--epochs", 1, "--output", run)
    start = convscope.good(*words, "--json").objects[0]
    assert (start["train_samples"], start["test_samples"]) == (54, 6)
    assert any("784 columns are folded" in note for note in start["notes"])
    assert start["warnings"] == ["no sample of 1 of 10 classes: 8"]
    text = convscope.good("evaluate", run, "--data", path, "--label", 0).out
    assert "note: 784 columns are folded into pictures (1, 28, 28)" in text
    (data,) = convscope.good("evaluate", run, "--data", path, "--label", 0, "--json").objects
    assert data["samples"] == 60
    assert len(data["notes"]) == 2
    lines = convscope.good("predict", run, "--data", path, "--label", 0, "--json").objects
    assert len(lines) == 60
    place = ("--layer", "conv1", "--index", "0,0,3,3", "--data", path, "--label", 0)
    assert convscope.good("explain", run, *place, "--sample", 59).out
    assert convscope.good("step", run, "--data", path, "--label", 0, "--keys", "n").out
    message = convscope.wrong("evaluate", run, "--data", path, "--label", "kind", "--header")
    assert "unknown column" in message
    assert "--label: tells how to read a table" in convscope.wrong("evaluate", run, "--label", 0)


def test_a_set_of_one_class_is_said_before_training(convscope: CommandLine, tmp_path: Path):
    path = write_table(tmp_path / "zeros.csv", one_class=True)
    words = ("train", *NET, "--data", path, "--epochs", 1, "--label", 0)
    text = " ".join(convscope.good(*words).out.split())
    warning = "warning: all 54 samples are of one class, 0, so there is nothing to tell apart"
    assert text.index(warning) < text.index("1/1 epochs")
    start = convscope.good(*words, "--json").objects[0]
    assert start["warnings"][0] in f"{text}?"


def test_the_way_to_convolve_is_kept(convscope: CommandLine, digits_npz: Path, tmp_path: Path):
    path = tmp_path / "run.safetensors"
    words = ("train", *NET, "--data", digits_npz, "--epochs", 1, "--output", path)
    lines = convscope.good(*words, "--convolution", "winograd2", "--json").objects
    assert lines[0]["convolution"] == "winograd2"
    assert load(path).model.convolution == "winograd2"
    assert convscope.good("info", path, "--json").objects[0]["convolution"] == "winograd2"
    more = ("train", "--resume", path, "--data", digits_npz, "--batch-size", 32, "--epochs", 2)
    assert "--resume" in convscope.wrong(*more, "--convolution", "direct")
    convscope.good(*more, "--output", path)
    assert load(path).model.convolution == "winograd2"
    assert "winograd3" in convscope.wrong("train", *NET, "--convolution", "winograd3")


def test_it_learns(convscope: CommandLine, digits_npz: Path):
    lines = convscope.good("train", *NET, "--data", digits_npz, "--epochs", 12, "--json").objects
    assert lines[-1]["accuracy"] > 0.5  # by chance it would be 0.1
    assert lines[-2]["loss"] < lines[1]["loss"] / 3


def test_the_same_seed_gives_the_same_bits(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path
):
    paths = [tmp_path / f"{name}.safetensors" for name in ("one", "two", "threads", "other")]
    more = [("--threads", 1), ("--threads", 1), ("--threads", 2), ("--seed", 1)]
    for path, words in zip(paths, more, strict=True):
        convscope.good("train", *NET, "--data", digits_npz, "--epochs", 1, "--output", path, *words)
    one, two, threads, other = (bits_of(load(path).model) for path in paths)
    assert one == two == threads
    assert one != other


def test_people_get_a_line_for_each_epoch(convscope: CommandLine, digits_npz: Path, tmp_path: Path):
    path = tmp_path / "run.safetensors"
    text = convscope.good("train", *NET, "--data", digits_npz, "--epochs", 2, "--output", path).out
    assert "1/2 epochs   loss" in text
    assert "2/2 epochs   loss" in text
    assert f"saved to {path}\n" in text
    lines = [line for line in text.splitlines() if str(path) not in line]
    assert max(len(line) for line in lines) <= 80
    assert "not saved" in convscope.good("train", *NET, "--data", digits_npz, "--epochs", 1).out


def test_signals_that_come_while_a_lock_is_held_do_no_harm():
    """A handler that took the lock its own thread holds would wait for ever."""
    stop = threading.Event()

    def call() -> None:
        stop.set()

    with on_interrupt(call, lambda: None) as seen:
        with stop._cond:  # type: ignore[attr-defined]
            for _ in range(3):
                signal.raise_signal(signal.SIGINT)
            assert not stop.is_set()
        assert stop.wait(10)
    assert seen == [signal.SIGINT] * 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends processes no signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_bit_for_bit(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, number: signal.Signals
):
    straight, cut = tmp_path / "straight.safetensors", tmp_path / "cut.safetensors"
    words = ["train", *NET, "--data", str(digits_npz), "--epochs", "150", "--threads", "1"]
    convscope.good(*words, "--output", straight)
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", *words, "--output", str(cut), "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "epoch":
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.count("\n") == 1
    assert "saved, go on with: convscope train --resume" in err
    last = json.loads(out.splitlines()[-1])
    assert last["event"] == "stopped"
    run = load(cut)
    assert (run.epoch, run.batch, run.global_step) == (last["epoch"], last["batch"], last["steps"])
    assert 0 < run.global_step < 150 * BATCHES
    convscope.good(
        "train", "--resume", cut, *NET[2:], "--data", digits_npz, "--threads", 1, "--output", cut
    )
    assert bits_of(load(cut).model) == bits_of(load(straight).model)
    assert load(cut).history == load(straight).history


def test_interrupting_without_output_says_what_is_lost(
    convscope: CommandLine, digits_npz: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []
    original = LineReporter.__call__

    def press_once(self: LineReporter, event: object) -> None:
        if isinstance(event, StepFinished) and not seen:
            seen.append(event.step)
            signal.raise_signal(signal.SIGINT)
        original(self, event)  # type: ignore[arg-type]

    monkeypatch.setattr(LineReporter, "__call__", press_once)
    result = convscope("train", *NET, "--data", digits_npz, "--epochs", 5)
    assert result.status == 130
    assert result.err == (
        "convscope: interrupted at epoch 0 · batch 1; not saved, because there is no --output\n"
    )


def test_interrupting_while_kernels_are_prepared_leaves_before_the_first_step(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    original = LineReporter.__call__

    def press(self: LineReporter, event: object) -> None:
        if isinstance(event, Compiling) and event.number == 0:
            signal.raise_signal(signal.SIGINT)
        original(self, event)  # type: ignore[arg-type]

    monkeypatch.setattr(LineReporter, "__call__", press)
    path = tmp_path / "run.safetensors"
    result = convscope("train", *NET, "--data", digits_npz, "--epochs", 5, "--output", path)
    assert (result.status, load(path).global_step) == (130, 0)
    assert "interrupted at epoch 0 · batch 0; saved" in result.err


def test_interrupting_again_and_again_saves_a_whole_step_all_the_same(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def press(self: LineReporter, event: object) -> None:
        if isinstance(event, StepFinished):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
                signal.raise_signal(number)

    monkeypatch.setattr(LineReporter, "__call__", press)
    path = tmp_path / "run.safetensors"
    words = ("train", *NET, "--data", digits_npz, "--output", path)
    result = convscope(*words)
    assert (result.status, load(path).global_step) == (130, 1)
    assert "interrupted at epoch 0 · batch 1; saved, go on with" in result.err
    assert result.err.count("\n") == 1


def test_interrupting_twice_leaves_a_measurement_which_is_made_again(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The second Ctrl-C does not wait for the test set, and no figure of the history is missing."""
    pressed: list[int] = []
    original = LineReporter.__call__

    def press(self: LineReporter, event: object) -> None:
        if isinstance(event, EvaluationProgress) and len(pressed) < 4:
            pressed.append(event.done)
            signal.raise_signal(signal.SIGINT)
        original(self, event)  # type: ignore[arg-type]

    straight, cut = tmp_path / "straight.safetensors", tmp_path / "cut.safetensors"
    words = ("train", *NET, "--data", digits_npz, "--epochs", 2)
    convscope.good(*words, "--output", straight)
    monkeypatch.setattr("engine.scheduler.PREDICT_BATCH", 16)
    monkeypatch.setattr(LineReporter, "__call__", press)
    result = convscope(*words, "--output", cut)
    assert (result.status, pressed) == (130, [16, 32])
    assert f"interrupted at epoch 0 · batch {BATCHES}; saved" in result.err
    run = load(cut)
    assert (run.epoch, run.batch, run.global_step) == (0, BATCHES, BATCHES)
    assert (run.history.epochs, run.history.validations) == ([], [])
    monkeypatch.undo()
    resumed = ("train", "--resume", cut, "--data", digits_npz, "--batch-size", 32, "--output", cut)
    convscope.good(*resumed)
    assert bits_of(load(cut).model) == bits_of(load(straight).model)
    assert load(cut).history == load(straight).history


def test_interrupting_before_the_first_step_keeps_the_file_that_is_there(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "run.safetensors"
    words = ("train", *NET, "--data", digits_npz, "--output", path, "--epochs", 1)
    convscope.good(*words)
    before = path.read_bytes()
    original = LineReporter.__call__

    def press(self: LineReporter, event: object) -> None:
        if isinstance(event, Compiling) and event.number == 0:
            signal.raise_signal(signal.SIGINT)
        original(self, event)  # type: ignore[arg-type]

    monkeypatch.setattr(LineReporter, "__call__", press)
    result = convscope(*words, "--seed", 5)
    assert result.status == 130
    assert "before a step was made" in result.err
    assert path.read_bytes() == before


# --- what else may come between -----------------------------------------------------------------

BREAKS = ("--learning-rate", "1e30")


def test_a_training_that_ends_in_nan_never_replaces_weights_that_work(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path
):
    path, broken = tmp_path / "run.safetensors", tmp_path / "run.nan.safetensors"
    words = ("train", *NET, "--data", digits_npz, "--output", path, "--epochs", 3)
    convscope.good(*words)
    before = path.read_bytes()
    result = convscope(*words, *BREAKS)
    assert result.status == 3
    assert result.err.count("\n") == 1
    assert "the loss became" in result.err
    assert "e+29 may help" in result.err
    assert f"no epoch ended well, {path} was not written" in result.err
    assert f"{broken} has the broken weights" in result.err
    assert path.read_bytes() == before
    run = load(broken)
    assert not all(np.isfinite(p.value).all() for p in run.model.parameters.values())
    assert run.global_step < 3 * BATCHES  # it does not train on with NaN
    last = convscope(*words, *BREAKS, "--json").objects[-1]
    assert (last["event"], last["output"], last["broken"]) == ("diverged", None, str(broken))
    without = convscope(*words[:-4], "--epochs", 3, *BREAKS)
    assert (without.status, without.err.count("not saved, because there is no --output")) == (3, 1)


def test_the_last_epoch_that_ended_well_is_saved(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, straight = tmp_path / "run.safetensors", tmp_path / "straight.safetensors"
    words = ["train", *NET, "--data", digits_npz, "--epochs", 3]
    at = {"step": 2 * BATCHES + 2}
    original = SGD.rates

    def rates(self: SGD, step: int, updates: int | None = None) -> object:
        usual = original(self, step, updates)
        return tuple(rate * (1e30 if step == at["step"] else 1) for rate in usual)

    monkeypatch.setattr(SGD, "rates", rates)
    result = convscope(*words, "--output", path)
    assert result.status == 3, result
    assert "at epoch 2 · batch 3" in result.err
    assert f"{path} has the run as it was after 2 epochs" in result.err
    run = load(path)
    assert (run.epoch, run.batch, run.global_step) == (2, 0, 2 * BATCHES)
    assert len(run.history.steps) == 2 * BATCHES
    at["step"] = -1
    convscope.good("train", "--resume", path, *words[3:], "--output", path)
    convscope.good(*words, "--output", straight)
    assert bits_of(load(path).model) == bits_of(load(straight).model)


@pytest.mark.parametrize("error", [DataError("a damaged one"), OSError(5, "I/O"), MemoryError])
def test_an_error_in_the_midst_saves_what_there_is(
    convscope: CommandLine,
    digits_npz: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
):
    original = DataLoader.batch

    def batch(self: DataLoader, epoch: int, number: int) -> object:
        if (epoch, number) == (1, 2):
            raise error
        return original(self, epoch, number)

    monkeypatch.setattr(DataLoader, "batch", batch)
    path = tmp_path / "run.safetensors"
    result = convscope("train", *NET, "--data", digits_npz, "--epochs", 3, "--output", path)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert f"the run was saved as it was at epoch 1 · batch 2, to {path}" in result.err
    assert load(path).global_step == BATCHES + 2


def test_a_bug_in_the_midst_saves_too(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(self: LineReporter, event: EpochFinished) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(LineReporter, "epoch", fail)
    path = tmp_path / "run.safetensors"
    result = convscope("train", *NET, "--data", digits_npz, "--epochs", 3, "--output", path)
    assert result.status == 1
    assert "unexpected ZeroDivisionError: a bug" in result.err
    assert f"saved to {path}" in result.out
    assert load(path).global_step == BATCHES


def test_a_place_that_is_lost_on_the_way_costs_nothing(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The folder is removed while the run goes on: it is told, and the run is saved elsewhere."""
    folder, here = tmp_path / "runs", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("engine.commands.keeping.SAVE_EVERY_S", 0.0)
    original = LineReporter.epoch

    def remove(self: LineReporter, event: EpochFinished) -> None:
        if event.epoch == 1:
            (folder / "run.safetensors").unlink()
            folder.rmdir()
        original(self, event)

    monkeypatch.setattr(LineReporter, "epoch", remove)
    words = ("train", *NET, "--data", digits_npz, "--epochs", 3)
    result = convscope(*words, "--output", folder / "run.safetensors")
    assert (result.status, result.err.count("\n")) == (2, 1)
    (rescued,) = here.iterdir()
    assert f"the run was saved to {rescued} instead" in result.err
    assert "does not exist" in result.err
    assert "not saved now" in result.out
    assert load(rescued).global_step == 3 * BATCHES


def test_room_for_the_run_is_asked_for_before_it_is_trained(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[int] = []

    def reserve(handle: int, folder: Path, size: int) -> None:
        asked.append(size)
        if size:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.io.files._reserve", reserve)
    path = tmp_path / "run.safetensors"
    message = convscope.wrong("train", *NET, "--data", digits_npz, "--epochs", 2, "--output", path)
    assert "--output" in message
    assert f"No space left on device); {asked[-1]:,} bytes are needed" in message
    monkeypatch.undo()
    convscope.good("train", *NET, "--data", digits_npz, "--epochs", 2, "--output", path)
    assert path.stat().st_size <= asked[-1] < path.stat().st_size + 100_000


def test_a_lack_of_memory_is_one_sentence_with_how_much(
    convscope: CommandLine, digits_npz: Path, monkeypatch: pytest.MonkeyPatch
):
    def batch(self: DataLoader, epoch: int, number: int) -> object:
        return np.empty((2**50,), np.float32), None

    monkeypatch.setattr(DataLoader, "batch", batch)
    message = convscope.wrong_after_start("train", *NET, "--data", digits_npz)
    assert message.startswith(
        "convscope: not enough memory (4.00 PiB were asked for at once); take"
    )


@pytest.mark.parametrize("wish", ["1000", "0", "-1", "many", "9" * 30, "²"])
def test_a_senseless_number_of_threads_in_the_environment_is_named(
    convscope: CommandLine, run_file: Path, monkeypatch: pytest.MonkeyPatch, wish: str
):
    monkeypatch.setenv("CONVSCOPE_THREADS", wish)
    message = convscope.wrong("info", run_file)
    assert f"CONVSCOPE_THREADS: expected 1 to {most_threads()} threads, received {wish}" in message
    monkeypatch.setenv("CONVSCOPE_THREADS", "1")
    convscope.good("info", run_file)
    assert f"received {most_threads() + 1}" in convscope.wrong(
        "info", run_file, "--threads", most_threads() + 1
    )


def test_a_run_is_saved_after_epochs_too(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, found = tmp_path / "run.safetensors", []
    original = LineReporter.epoch

    def look(self: LineReporter, event: EpochFinished) -> None:
        found.append(load(path).epoch if path.exists() else 0)
        original(self, event)

    monkeypatch.setattr(LineReporter, "epoch", look)
    words = ("train", *NET, "--data", digits_npz, "--epochs", 3, "--output", path)
    convscope.good(*words)
    assert found == [0, 0, 0]
    path.unlink()
    monkeypatch.setattr("engine.commands.keeping.SAVE_EVERY_S", 0.0)
    convscope.good(*words)
    assert found[3:] == [0, 1, 2]


def test_handlers_are_put_back(convscope: CommandLine, digits_npz: Path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    convscope.good("train", *NET, "--data", digits_npz, "--epochs", 1)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_finished_run_can_be_extended(convscope: CommandLine, digits_npz: Path, tmp_path: Path):
    path = tmp_path / "run.safetensors"
    words = (*NET[2:], "--data", digits_npz, "--output", path)
    convscope.good("train", *NET[:2], *words, "--epochs", 1)
    assert "trained for 1 epochs already" in convscope.wrong("train", "--resume", path, *words)
    before = bits_of(load(path).model)
    text = convscope.good("train", "--resume", path, *words, "--epochs", 2).out
    assert "goes on at epoch 1 · batch 0" in text
    run = load(path)
    assert (run.epoch, run.optimizer.learning_rate.steps) == (2, 2 * BATCHES)
    assert bits_of(run.model) != before


def test_other_batches_than_before_are_refused(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path
):
    path = tmp_path / "run.safetensors"
    convscope.good("train", *NET, "--data", digits_npz, "--epochs", 1, "--output", path)
    words = ("train", "--resume", path, "--data", digits_npz, "--epochs", 3, "--batch-size", 16)
    assert "batch size 32, now 16" in convscope.wrong(*words)


def test_the_bar_shows_loss_and_accuracy(
    convscope: CommandLine,
    digits_npz: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    figures: list[str] = []
    original = BarReporter.__call__

    def remember(self: BarReporter, event: object) -> None:
        self._drawn = 0.0  # no step is too soon after the one before
        original(self, event)  # type: ignore[arg-type]
        task = self.progress.tasks[0]
        figures.append(
            f"{task.description} {task.completed:g}/{task.total} {task.fields['figures']}"
        )

    monkeypatch.setattr(BarReporter, "__call__", remember)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    text = convscope.good("train", *NET, "--data", digits_npz, "--epochs", 1).out
    assert any(line.startswith("kernel 1/") for line in figures)
    assert any(line.startswith("testing 100") for line in figures)
    steps = [line for line in figures if line.startswith(f"epoch 0 of 1 {BATCHES}/{BATCHES} loss ")]
    assert steps
    assert "accuracy 0." in steps[0]
    assert "1/1 epochs   loss" in text


def test_a_broken_run_is_told_by_predict(
    convscope: CommandLine, digits_npz: Path, run_file: Path, tmp_path: Path
):
    run = load(run_file)
    bias = np.array(run.model.parameters["logits.bias"].value)
    bias[3] = np.nan
    run.model.parameters["logits.bias"].value = bias
    path = save(run, tmp_path / "broken.safetensors")
    message = convscope.wrong("predict", path, "--data", digits_npz)
    assert "the scores of sample 0 are NaN" in message


def test_interrupted_is_no_error_of_the_engine():
    from engine.errors import EngineError

    assert not issubclass(Interrupted, EngineError)


def test_a_training_that_ends_in_nan_is_told(convscope: CommandLine, digits_npz: Path):
    words = ("train", *NET, "--data", digits_npz, "--epochs", 2, "--learning-rate", 1e30)
    lines = convscope(*words, "--json").objects
    (note,) = (line for line in lines if line["event"] == "note")
    assert note["diverged"]
    assert "the training ends in nan: so is the loss since step" in note["note"]
    text = " ".join(convscope(*words).out.split())
    assert "find where it begins with the breakpoint any_nonfinite" in text
