"""`convscope train`: what it says, what it saves, how it is interrupted and goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import load, save
from engine.commands.output import Interrupted
from engine.commands.progress import BarReporter, LineReporter
from engine.data import load_mnist_split
from engine.events import Compiling, EpochFinished, StepFinished
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
    assert text.index(warning) < text.index("epoch 1/1")
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
    assert "epoch 1/2   loss" in text
    assert "epoch 2/2   loss" in text
    assert f"saved to {path}\n" in text
    lines = [line for line in text.splitlines() if str(path) not in line]
    assert max(len(line) for line in lines) <= 80
    assert "not saved" in convscope.good("train", *NET, "--data", digits_npz, "--epochs", 1).out


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
        "convscope: interrupted at epoch 1, batch 1; not saved, because there is no --output\n"
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
    assert "interrupted at epoch 1, batch 0; saved" in result.err


def test_interrupting_twice_leaves_at_once(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def press(self: LineReporter, event: object) -> None:
        if isinstance(event, StepFinished):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(LineReporter, "__call__", press)
    path = tmp_path / "run.safetensors"
    result = convscope("train", *NET, "--data", digits_npz, "--output", path)
    assert (result.status, path.exists()) == (130, False)
    assert result.err == "convscope: interrupted twice: left at once, without saving\n"


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
    monkeypatch.setattr("engine.commands.train.SAVE_EVERY_S", 0.0)
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
    assert "goes on at epoch 2, batch 0" in text
    run = load(path)
    assert (run.epoch, run.optimizer.learning_rate.steps) == (2, 2 * BATCHES)
    assert bits_of(run.model) != before


def test_other_batches_than_before_are_refused(
    convscope: CommandLine, digits_npz: Path, tmp_path: Path
):
    path = tmp_path / "run.safetensors"
    convscope.good("train", *NET, "--data", digits_npz, "--epochs", 1, "--output", path)
    words = ("train", "--resume", path, "--data", digits_npz, "--epochs", 3, "--batch-size", 16)
    assert f"has seen {BATCHES} batches in an epoch" in convscope.wrong(*words)


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
    steps = [line for line in figures if line.startswith(f"epoch 1/1 {BATCHES}/{BATCHES} loss ")]
    assert steps
    assert "accuracy 0." in steps[0]
    assert "epoch 1/1   loss" in text


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
    epochs = [line for line in lines if line["event"] == "epoch"]
    assert all("the scores of 60 samples are NaN" in epoch["note"] for epoch in epochs)
    text = " ".join(convscope(*words).out.split())
    assert "find where it begins with the breakpoint any_nonfinite" in text
    assert "which is never right; the first is sample 0" in text
