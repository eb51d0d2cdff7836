"""The frame of the command line: options that hold everywhere, errors as one line, the window."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from engine import cli
from engine.errors import ShapeError
from tests.unit.cli_tools import CommandLine

ROOT = Path(__file__).parents[2]

WRONG: list[tuple[str, str]] = [
    ("nosuch", "No such command 'nosuch'"),
    ("--nosuch", "No such option: --nosuch"),
    ("train --epochs 0", "'--epochs'"),
    ("train --epochs many", "'--epochs'"),
    ("train --batch-size 0", "'--batch-size'"),
    ("train --threads 0", "'--threads'"),
    ("train --seed -1", "'--seed'"),
    ("train --device tpu", "'tpu' is not one of"),
    ("train surplus", "extra argument"),
    ("train --output", "'--output' requires an argument"),
    ("train --model alexander", "unknown model 'alexander'; there are: digits_cnn"),
    ("train --data {tmp}/none", "expected mnist, a folder or a file"),
    ("train --data {tmp}", "expected one folder for each class inside"),
    ("train --data {run}", "no intact npz archive"),
    ("train --data {npz} --learning-rate -1", "--learning-rate: expected a number above 0"),
    ("train --data {npz} --learning-rate nan", "--learning-rate: expected a number above 0"),
    ("train --data {npz} --output {tmp}", "--output: expected the path of a file"),
    ("train --data {npz} --output {tmp}/none/run", "the folder {tmp}/none does not exist"),
    ("train --data {npz} --image-size 28", "--image-size: expected HEIGHTxWIDTH"),
    ("train --data {npz} --output {tmp}/" + 300 * "n", "File name too long"),
    ("train --data {npz} --output /dev/null", "expected the path of an ordinary file"),
    ("train --data {npz} --threads 1000", "threads: expected 1 to"),
    ("info {run} --threads 65536", "threads, received 65536; leave it out"),
    ("train --resume {tmp}/none", "there is no such run file"),
    ("train --resume {run} --model lenet5", "--model: comes from the run"),
    ("train --resume {run} --learning-rate 0.1", "--learning-rate: comes from the run"),
    ("train --resume {run} --data {npz} --seed 4", "--seed: the run"),
    ("train --resume {run} --data {npz}", "--epochs: how many epochs"),
    ("evaluate", "Missing argument 'RUN'"),
    ("evaluate {tmp}", "{tmp}: expected a run file, this is a folder"),
    ("evaluate {npz}", "{npz}"),
    ("evaluate {run} --data {tmp}/none.npz", "{tmp}/none.npz: there is no such file"),
    ("predict {run}", "expected pictures or --data, received neither"),
    ("predict {run} a.png --data mnist", "expected pictures or --data, received both"),
    ("predict {run} {tmp}/none.png", "{tmp}/none.png: there is no such file"),
    ("predict {run} {run}", "expected a PNG, JPEG, BMP or WebP picture"),
    ("explain {run} --index 0,0,0,0", "Missing option '--layer'"),
    ("explain {run} --layer conv1", "Missing option '--index'"),
    (
        "explain {run} --layer conv9 --index 0,0,0,0",
        "unknown layer 'conv9'; there are: input, conv1",
    ),
    ("explain {run} --layer conv1 --index 0,x,0,0", "--index: expected whole numbers"),
    ("explain {run} --layer conv1 --index 0,0", "expected an index within shape (8, 4, 28, 28)"),
    ("explain {run} --layer conv1 --index 0,9,0,0", "expected an index within shape"),
    ("explain {run} --layer conv1 --index 0,0,0,0 --tensor gewicht", "does not compute 'gewicht'"),
    ("explain {run} --layer conv1 --index 0,0,0,0 --sample 10000", "--sample: expected 0 to 9999"),
    ("step {tmp}/none", "there is no such run file"),
    ("step {run} --keys n --tour", "--keys: does not go together"),
    ("step {run} --keys n --break conv1:sideways", "--break: expected one of the phases"),
    ("step {run} --keys n --break conv9", "unknown layer 'conv9'"),
    ("step {run} --keys n --when import", "condition 'import'"),
    (
        "step {run} --keys n --layer conv1 --index 0,0",
        "pick index: expected a place within conv1's shape",
    ),
    ("info", "Missing argument 'RUN'"),
    ("info {npz}", "{npz}"),
    ("doctor surplus", "extra argument"),
]


@pytest.mark.parametrize(("line", "text"), WRONG)
def test_wrong_use_is_one_line_and_status_2(
    convscope: CommandLine, run_file: Path, digits_npz: Path, tmp_path: Path, line: str, text: str
):
    names = {"run": run_file, "npz": digits_npz, "tmp": tmp_path}
    words = [word.format(**names) for word in line.split()]
    message = convscope.wrong(*words)
    assert message.startswith("convscope: ")
    assert text.format(**names) in message


@pytest.mark.parametrize("words", [["nosuch"], ["evaluate", "none"], ["train", "--epochs", "0"]])
def test_the_process_itself_leaves_with_status_2(words: list[str]):
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("convscope: ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["app"]),
        (["--json"], ["app", "--json"]),
        (["train", "--json"], ["train", "--json"]),
        (["--json", "train", "--epochs", "2"], ["train", "--json", "--epochs", "2"]),
        (
            ["--seed", "3", "--device=cpu", "info", "x"],
            ["info", "--seed", "3", "--device=cpu", "x"],
        ),
        (["--help"], ["--help"]),
        (["--seed"], ["--seed"]),
    ],
)
def test_options_that_hold_everywhere_may_come_first(given: list[str], expected: list[str]):
    assert cli.ordered(given) == expected


def test_json_may_come_before_the_command(convscope: CommandLine, run_file: Path):
    assert convscope.good("--json", "info", run_file).objects[0]["parameters"] == 4266


def test_without_a_command_the_window_starts(
    convscope: CommandLine, monkeypatch: pytest.MonkeyPatch
):
    started: list[bool] = []

    def window(as_json: bool = False) -> None:
        started.append(as_json)

    entry = metadata.EntryPoint("app", "nowhere:window", cli.GROUP)
    monkeypatch.setattr(metadata.EntryPoint, "load", lambda self: window)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry])
    convscope.good()
    convscope.good("app", "--as-json", "--debug")
    assert started == [False, True]


def test_a_window_that_cannot_start_is_one_line(
    convscope: CommandLine, monkeypatch: pytest.MonkeyPatch
):
    entry = metadata.EntryPoint("app", "no_such_module:window", cli.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry])
    assert "app: cannot be started" in convscope.wrong("app")
    assert "train" in convscope.good("--help").out  # help does not need it


def test_without_the_window_installed_it_says_so(
    convscope: CommandLine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(metadata, "entry_points", lambda group: [])
    assert "the window is not installed" in convscope.wrong()


def test_the_window_is_an_entry_point():
    (entry,) = [e for e in metadata.entry_points(group=cli.GROUP) if e.name == "app"]
    assert entry.value == "gui.app:command"


def test_unexpected_errors_are_one_line_and_status_1(
    convscope: CommandLine, monkeypatch: pytest.MonkeyPatch, run_file: Path
):
    def fail(*words: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("engine.commands.info.open_run", fail)
    result = convscope("info", run_file)
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "convscope: unexpected ZeroDivisionError: by zero; add --debug to see where it comes from\n"
    )
    shown = convscope("info", run_file, "--debug")
    assert shown.status == 1
    assert shown.err.startswith("Traceback")
    assert "in fail" in shown.err


def test_errors_of_the_engine_show_where_they_come_from_on_demand(
    convscope: CommandLine, monkeypatch: pytest.MonkeyPatch, run_file: Path
):
    def fail(*words: object) -> None:
        raise ShapeError("conv1: too small")

    monkeypatch.setattr("engine.commands.info.open_run", fail)
    assert convscope.wrong("info", run_file) == "convscope: conv1: too small"
    shown = convscope("--debug", "info", run_file)
    assert shown.status == 2
    assert "in fail" in shown.err


def test_a_path_that_the_system_refuses_is_wrong_use(convscope: CommandLine):
    assert "name too long" in convscope.wrong("info", "x" * 5000)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_anything_is_one_line_and_status_130(
    convscope: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    run_file: Path,
    number: signal.Signals,
):
    def interrupt(*words: object) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr("engine.commands.info.open_run", interrupt)
    result = convscope("info", run_file)
    assert (result.status, result.out, result.err) == (130, "", "convscope: interrupted\n")


def test_version(convscope: CommandLine):
    assert convscope.good("--version").out == f"convscope {metadata.version('convscope')}\n"


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_fits_into_80_columns(convscope: CommandLine, command: str):
    text = convscope.good(*command.split(), "--help").out
    assert "Usage: convscope" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_info(convscope: CommandLine, run_file: Path):
    (data,) = convscope.good("info", run_file, "--json").objects
    assert [layer["name"] for layer in data["layers"]][:3] == ["input", "conv1", "relu1"]
    assert data["layers"][1]["output_shape"] == [4, 28, 28]
    assert data["optimizer"]["config"]["momentum"] == 0.9
    assert (data["epoch"], data["batch"], data["steps"], data["learning_rate"]) == (0, 0, 0, 0.05)
    text = convscope.good("info", run_file).out
    assert "SGD(learning_rate=0.05, momentum=0.9)" in text
    assert "4,266" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_doctor(convscope: CommandLine):
    (data,) = convscope.good("doctor", "--json").objects
    assert data["healthy"] is True
    assert data["versions"]["numba"] == metadata.version("numba")
    assert {"system", "processor", "device", "kernel_cache", "cuda", "window"} <= data.keys()
    assert "equals the stored bits" in data["self_check"]
    text = convscope.good("doctor").out
    assert "all is well" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_doctor_notices_a_wrong_convolution(
    convscope: CommandLine, monkeypatch: pytest.MonkeyPatch
):
    from engine.commands import doctor

    right = doctor._convolved
    monkeypatch.setattr(doctor, "_convolved", lambda x, weight: right(x, weight) + 1e-3)
    result = convscope("doctor")
    assert result.status == 1
    assert "the self-check failed" in result.out


def test_json_is_strict(capsys: pytest.CaptureFixture[str]):
    from engine.commands.output import Output

    Output(as_json=True).json(loss=float("nan"), best=float("-inf"), path=Path("a"))
    line = capsys.readouterr().out
    assert json.loads(line, parse_constant=pytest.fail) == {
        "loss": "nan",
        "best": "-inf",
        "path": "a",
    }
