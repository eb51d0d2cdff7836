"""`convscope step` and `explain`: the debugger in the terminal."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engine import load
from engine.commands.drawing import picture_text
from engine.commands.output import Output
from engine.data import load_mnist_split
from tests.unit.cli_tools import CommandLine


def headlines(text: str) -> list[str]:
    """Return the places that were shown, one after the other."""
    pattern = (
        r"^(?:epoch \d+ · batch \d+ · )?(?:load|forward|loss|backward|update) · .*$|^the end.*$"
    )
    return re.findall(pattern, text, flags=re.MULTILINE)


def test_the_tour(convscope: CommandLine):
    text = convscope.good("step", "--tour").out
    for heading in (
        "1. The input",
        "2. Stepping over",
        "3. What it says",
        "4. Where",
        "5. The same",
    ):
        assert heading in text
    assert "label 7" in text
    assert "7         100.00 %" in text
    assert "the same bits" in text
    assert "NOT" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
    # Into the strongest term, and back by one step.
    into = re.search(r"into, +(\d+) over: .*term (\d+) of \d+$", text, flags=re.MULTILINE)
    back = re.search(r"step back: .*term (\d+) of \d+$", text, flags=re.MULTILINE)
    assert into is not None
    assert back is not None
    assert into[1] == into[2]
    assert int(back[1]) == int(into[2]) - 1


def test_without_a_terminal_it_takes_the_tour(convscope: CommandLine, run_file: Path):
    assert convscope.good("step", run_file).out.startswith("1. The input: mnist test sample 0")


def test_the_tour_of_a_chosen_pixel(convscope: CommandLine, run_file: Path):
    words = ("step", run_file, "--tour", "--layer", "conv1", "--index", "0,2,3,4", "--sample", 5)
    text = convscope.good(*words).out
    assert "conv1.output[0, 2, 3, 4]" in text
    assert "sample 5, label 1" in text
    assert "of the input it sees rows 2 to 4 and columns 3 to 5" in text


def test_the_tour_of_any_layer(convscope: CommandLine, run_file: Path):
    for layer in ("relu1", "pool1", "flatten", "logits"):
        text = convscope.good("step", run_file, "--tour", "--layer", layer).out
        assert f"before the layer: forward · {layer}" in text


def test_keys_go_over_into_out_of_and_back(convscope: CommandLine, run_file: Path):
    text = convscope.good("step", run_file, "--keys", "nniinobbbb").out
    assert headlines(text) == [
        "load · input",
        "forward · conv1",  # n
        "forward · relu1",  # n
        "forward · relu1 · channel 0",  # i
        "forward · relu1 · channel 0 · pixel (0, 0)",  # i
        "forward · relu1 · channel 0 · pixel (0, 1)",  # n
        "forward · relu1 · channel 1",  # o
        "forward · relu1 · channel 0 · pixel (0, 1)",  # b
        "forward · relu1 · channel 0 · pixel (0, 0)",
        "forward · relu1 · channel 0",
        "forward · relu1",
    ]
    assert max(len(line) for line in text.splitlines()) <= 80


def test_keys_go_to_a_picked_pixel_and_its_terms(convscope: CommandLine, run_file: Path):
    words = ("step", run_file, "--layer", "conv1", "--index", "0,1,2,3", "--keys", "niinn")
    text = convscope.good(*words).out
    assert headlines(text)[2:] == [
        "forward · conv1 · channel 1 · pixel (2, 3)",
        "forward · conv1 · channel 1 · pixel (2, 3) · term 0 of 9",
        "forward · conv1 · channel 1 · pixel (2, 3) · term 1 of 9",
        "forward · conv1 · channel 1 · pixel (2, 3) · term 2 of 9",
    ]
    assert "order: kernel row, kernel column, input" in text


def test_running_to_the_end_and_back(convscope: CommandLine, run_file: Path):
    text = convscope.good("step", run_file, "--keys", "nrb").out
    assert headlines(text) == [
        "load · input",
        "forward · conv1",
        "the end of the run",
        "forward · conv1",
    ]
    assert "probability" in text


def test_q_leaves_and_other_keys_help(convscope: CommandLine, run_file: Path):
    text = convscope.good("step", run_file, "--keys", "?snqnnn").out
    assert headlines(text) == ["load · input", "forward · conv1"]
    assert text.count("n over  i into") == 1
    assert "forward pass  1 sample" in text


def test_running_to_breakpoints_of_a_training_step(convscope: CommandLine, run_file: Path):
    words = ("step", run_file, "--training", "--break", "conv2:backward", "--keys", "rniir")
    text = convscope.good(*words, "--when", "loss > 0").out
    assert headlines(text)[:3] == [
        "epoch 0 · batch 0 · load · input",
        "epoch 0 · batch 0 · backward · loss",  # after the loss, which met the condition
        "epoch 0 · batch 0 · backward · logits",
    ]
    assert "loss > 0 holds after loss loss" in text
    assert headlines(text)[-1] == "epoch 0 · batch 0 · backward · conv2"
    assert "breakpoint 1: before conv2 backward" in text


def test_a_training_step_at_once(convscope: CommandLine, run_file: Path):
    text = convscope.good("step", run_file, "--training").out
    for phase in ("load", "forward", "loss", "backward", "update"):
        assert f"\n{phase}\n" in text
    assert "8×4×28×28" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_step_as_json(convscope: CommandLine, run_file: Path):
    lines = convscope.good("step", run_file, "--json").objects
    assert [line["tensor"] for line in lines][:3] == ["input", "conv1.output", "relu1.output"]
    outputs = load(run_file).model.activations(load_mnist_split("test").x[:1], ["conv1"])
    assert lines[1]["max"] == outputs["conv1"].max()
    training = convscope.good("step", run_file, "--json", "--training").objects
    assert training[-1]["tensor"] == "logits.bias"
    assert {line["phase"] for line in training} == {"load", "forward", "loss", "backward", "update"}


def test_a_picture_cannot_be_trained_on(convscope: CommandLine, run_file: Path, tmp_path: Path):
    from PIL import Image

    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(tmp_path / "line.png")
    shown = convscope.good("step", run_file, "--keys", "n", "--picture", tmp_path / "line.png").out
    assert "taken as it is" in shown
    message = convscope.wrong("step", run_file, "--training", "--picture", tmp_path / "line.png")
    assert "--picture: a training step needs a label" in message


# -- explain -------------------------------------------------------------------------------------


def test_an_explained_output_is_the_stored_one(convscope: CommandLine, run_file: Path):
    words = ("explain", run_file, "--layer", "conv2", "--index", "0,5,7,4", "--sample", 11)
    (data,) = convscope.good(*words, "--json").objects
    stored = load(run_file).model.activations(load_mnist_split("test").x[11:19], ["conv2"])
    value = stored["conv2"][0, 5, 7, 4]
    assert np.float32(data["stored"]) == value
    assert data["bits"] == f"0x{value.view(np.uint32):08x}"
    assert data["exact"] is True
    assert len(data["terms"]) == 36
    first = data["terms"][0]["operands"]
    assert [operand["tensor"] for operand in first] == ["pool1.output", "conv2.weight"]
    product = first[0]["value"] * first[1]["value"]
    assert data["terms"][0]["contribution"] == pytest.approx(product)
    text = convscope.good(*words).out
    assert "the same bits" in text
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize(
    ("layer", "index", "tensor", "phase"),
    [
        ("conv1", "3,0,1,1", "weight.gradient", "backward"),
        ("conv1", "3", "bias.gradient", "backward"),
        ("conv2", "0,3,4,4", "input.gradient", "backward"),
        ("conv2", "7,3,2,2", "weight", "update"),
        ("logits", "9", "bias", "update"),
        ("loss", "0", "output", "loss"),
        ("pool1", "0,2,3,3", "output", "forward"),
        ("relu1", "0,2,3,3", "output", "forward"),
    ],
)
def test_everything_can_be_explained(
    convscope: CommandLine, run_file: Path, layer: str, index: str, tensor: str, phase: str
):
    words = ("explain", run_file, "--layer", layer, "--index", index, "--tensor", tensor)
    (data,) = convscope.good(*words, "--json").objects
    assert data["exact"] is True
    assert data["phase"] == phase or layer == "loss"
    assert "the same bits" in convscope.good(*words).out


def test_all_terms_on_demand(convscope: CommandLine, run_file: Path):
    words = ("explain", run_file, "--layer", "conv2", "--index", "0,5,7,4")
    short, full = (convscope.good(*words, *more).out for more in ((), ("--all",)))
    assert "⋮" in short
    assert "⋮" not in full
    for number in range(36):
        assert re.search(rf"^▶? +{number}  0,", full, flags=re.MULTILINE)


# -- drawing -------------------------------------------------------------------------------------


def test_pictures_as_text():
    console = Output(as_json=False).console
    image = np.zeros((4, 3))
    image[0, 0] = image[1, 0] = 1
    image[2, 2] = 1
    assert picture_text(image, console).plain == "█  \n  ▒"
    assert picture_text(np.full((2, 2), 7.0), console).plain == "  "
    assert picture_text(np.full((3, 2), np.nan), console).plain.count("\n") == 1
    large = picture_text(np.eye(200), console).plain.splitlines()
    assert max(len(line) for line in large) <= 64
