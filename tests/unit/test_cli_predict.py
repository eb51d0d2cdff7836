"""`convscope predict` and `evaluate`: drawn digits, any picture, whole sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine import Model, Scheduler, load, save
from engine.data import load_mnist_split
from engine.data.digits import prepare_digit
from engine.data.preparing import Preparation, Prepared, prepare_picture
from engine.errors import DataError, ShapeError
from engine.layers import Conv2d, Dense, Flatten, Softmax
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.pictures import Look
from tests.unit.cli_tools import CommandLine

DIGITS = Look((1, 28, 28), True, 0.0, 1.0)
SEVEN = [(60, 40), (140, 40), (90, 170)]


def draw(path: Path, ink: int, paper: int, mode: str = "L", shift: int = 0) -> Path:
    """Draw a seven with a thick pen."""
    picture = Image.new("L", (300, 200), paper)
    points = [(x + shift, y) for x, y in SEVEN]
    ImageDraw.Draw(picture).line(points, fill=ink, width=14, joint="curve")
    picture.convert(mode).save(path)
    return path


def prepare(path: Path, shape: tuple[int, ...], how: Preparation = Preparation.auto) -> Prepared:
    """Prepare a picture as a run of MNIST's digits does, or one that recorded nothing."""
    return prepare_picture(path, shape, DIGITS if shape == (1, 28, 28) else None, how)


def write_mnist(path: Path, number: int, inverted: bool = False) -> int:
    """Write a picture of the test set as PNG and return its label."""
    test = load_mnist_split("test")
    pixels = (test.x[number, 0] * 255).round().astype(np.uint8)
    Image.fromarray(255 - pixels if inverted else pixels).save(path)
    return int(test.y[number])


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
def test_digits_of_mnist_stay_as_they_are(tmp_path: Path, number: int):
    test = load_mnist_split("test")
    write_mnist(tmp_path / "plain.png", number)
    write_mnist(tmp_path / "inverted.png", number, inverted=True)
    plain = prepare(tmp_path / "plain.png", (1, 28, 28))
    inverted = prepare(tmp_path / "inverted.png", (1, 28, 28))
    assert np.array_equal(plain.x, test.x[number])
    assert plain.steps == ("28×28 grey", "size and place fit")
    assert np.allclose(inverted.x, test.x[number], atol=1e-6)
    assert inverted.steps[1] == "bright background: inverted"


@pytest.mark.parametrize(
    ("ink", "paper", "mode", "shift"),
    [(0, 255, "L", 0), (255, 0, "L", 0), (20, 200, "RGB", 0), (0, 255, "L", 120)],
)
def test_a_drawing_becomes_a_digit_like_those_of_mnist(
    tmp_path: Path, ink: int, paper: int, mode: str, shift: int
):
    path = draw(tmp_path / "seven.png", ink, paper, mode, shift)
    ready = prepare(path, (1, 28, 28))
    digit = ready.x[0]
    assert digit.dtype == np.float32
    assert digit.min() == 0
    assert 0.9 < digit.max() <= 1
    rows, columns = np.nonzero(digit > 0.1)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    weights = digit / digit.sum()
    centre = ((weights.sum(1) * np.arange(28)).sum(), (weights.sum(0) * np.arange(28)).sum())
    assert np.allclose(centre, 14, atol=0.5)
    assert ready.steps[-1] == "centre of mass put into the middle of 28×28"
    assert ("bright background: inverted" in ready.steps) == (paper > ink)


def test_where_and_how_it_was_drawn_does_not_matter(tmp_path: Path):
    black = prepare(draw(tmp_path / "a.png", 0, 255), (1, 28, 28))
    white = prepare(draw(tmp_path / "b.png", 255, 0), (1, 28, 28))
    moved = prepare(draw(tmp_path / "c.png", 0, 255, shift=100), (1, 28, 28))
    assert np.allclose(black.x, white.x, atol=1e-6)
    assert np.allclose(black.x, moved.x, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_an_empty_picture_is_no_digit(value: float):
    with pytest.raises(DataError, match="nothing stands out"):
        prepare_digit(np.full((40, 30), value))


def test_a_single_dot_is_prepared():
    picture = np.zeros((50, 60))
    picture[10, 20] = 1
    digit, _ = prepare_digit(picture)
    assert digit.shape == (28, 28)
    assert digit.max() == 1


def test_pictures_for_other_nets(tmp_path: Path):
    path = draw(tmp_path / "seven.png", 0, 255, "RGB")
    assert prepare(path, (3, 32, 48)).x.shape == (3, 32, 48)
    assert prepare(path, (1, 32, 32)).x.shape == (1, 32, 32)
    same = prepare(path, (3, 200, 300))
    assert same.steps == ("300×200 RGB", "taken as it is")
    plain = prepare(path, (1, 28, 28), Preparation.plain)
    assert plain.steps[-1] == "resampled to 28×28 grey"
    with pytest.raises(ShapeError, match="digits are prepared for nets that take"):
        prepare(path, (1, 32, 32), Preparation.digit)
    with pytest.raises(ShapeError, match="expected a net for pictures"):
        prepare(path, (5, 32, 32))


def test_the_bundled_net_reads_drawings_and_digits_in_order(convscope: CommandLine, tmp_path: Path):
    seven = draw(tmp_path / "seven.png", 0, 255)
    expected, paths = [7], [seven]
    for number in range(3, 8):
        paths.append(tmp_path / f"{number}.png")
        expected.append(write_mnist(paths[-1], number))
    lines = convscope.good("predict", "bundled", *paths, "--json").objects
    assert [line["prediction"] for line in lines] == expected
    assert [line["picture"] for line in lines] == [str(path) for path in paths]
    assert all(0.5 < line["probability"] <= 1 for line in lines)
    text = convscope.good("predict", "bundled", seven).out
    assert text.startswith(f"{seven}: 7 (")
    assert "300×200 grey → bright background: inverted → cut out" in text


def test_one_bad_picture_is_all_that_is_said(convscope: CommandLine, tmp_path: Path):
    good, bad = draw(tmp_path / "seven.png", 0, 255), tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:100])
    assert str(bad) in convscope.wrong("predict", "bundled", good, bad, "--json")


def test_a_whole_set(convscope: CommandLine, run_file: Path, digits_npz: Path):
    lines = convscope.good("predict", run_file, "--data", digits_npz, "--json").objects
    with np.load(digits_npz) as arrays:
        x, y = arrays["x_test"][:, None] / np.float32(255), arrays["y_test"]
    scores = load(run_file).model(x.astype(np.float32))
    assert [line["prediction"] for line in lines] == scores.argmax(1).tolist()
    assert [line["label"] for line in lines] == y.tolist()
    assert "60 samples" in convscope.good("predict", run_file, "--data", digits_npz).out


def test_probabilities_of_a_softmax_layer_are_taken_as_they_are(
    convscope: CommandLine, tmp_path: Path, digits_npz: Path
):
    model = Model([Flatten(), Dense(784, 10, name="scores"), Softmax()], input_shape=(1, 28, 28))
    path = save(model, tmp_path / "run.safetensors")
    lines = convscope.good("predict", path, "--data", digits_npz, "--json").objects
    with np.load(digits_npz) as arrays:
        share = load(path).model((arrays["x_test"][:, None] / 255).astype(np.float32))
    assert [line["probability"] for line in lines] == pytest.approx(share.max(1).tolist())


def test_a_net_without_classes_cannot_predict(
    convscope: CommandLine, tmp_path: Path, digits_npz: Path
):
    model = Model([Conv2d(1, 2, 3, name="conv")], input_shape=(1, 28, 28))
    path = save(model, tmp_path / "run.safetensors")
    message = convscope.wrong("predict", path, "--data", digits_npz)
    assert "expected a model with one input and an output (n, classes)" in message


def test_evaluate(convscope: CommandLine, run_file: Path, digits_npz: Path):
    words = ("evaluate", run_file, "--data", digits_npz, "--confusion")
    (data,) = convscope.good(*words, "--json").objects
    matrix = np.array(data["confusion"])
    assert matrix.shape == (10, 10)
    assert matrix.sum() == data["samples"] == 60
    assert np.trace(matrix) / 60 == data["accuracy"]
    text = convscope.good(*words).out
    assert "label down, prediction across" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_evaluate_by_class(convscope: CommandLine, run_file: Path, digits_npz: Path):
    words = ("evaluate", run_file, "--data", digits_npz, "--per-class")
    (data,) = convscope.good(*words, "--confusion", "--json").objects
    matrix, classes = np.array(data["confusion"]), data["per_class"]
    assert [one["support"] for one in classes] == matrix.sum(1).tolist()
    assert [one["predicted"] for one in classes] == matrix.sum(0).tolist()
    for one, right in zip(classes, np.diag(matrix), strict=True):
        assert one["recall"] == (right / one["support"] if one["support"] else None)
        assert one["precision"] == (right / one["predicted"] if one["predicted"] else None)
    lines = convscope.good(*words).out.splitlines()
    assert any(line.split()[:3] == ["class", "precision", "recall"] for line in lines)
    assert "label down" not in "".join(lines)


def test_evaluate_says_what_it_could_not_count(
    convscope: CommandLine, tmp_path: Path, digits_npz: Path
):
    """A label that the run's own loss ignores, and scores of NaN."""
    model = Model([Flatten(), Dense(784, 10, name="fc")], input_shape=(1, 28, 28), seed=0)
    path = tmp_path / "run.safetensors"
    save(Scheduler(model, CrossEntropyLoss(ignore_index=3), SGD()), path)
    with np.load(digits_npz) as arrays:
        labels, threes = arrays["y_test"], int((arrays["y_test"] == 3).sum())
    words = ("evaluate", path, "--data", digits_npz, "--confusion", "--per-class")
    (data,) = convscope.good(*words, "--json").objects
    assert (data["counted"], data["skipped"]) == (60 - threes, threes) != (60, 0)
    assert np.sum(data["confusion"]) == 60 - threes
    assert data["per_class"][3]["recall"] is None
    assert f"{threes} of 60 labels are ignored" in convscope.good(*words).out
    weight = np.array(model["fc"].weight.value)
    weight[0, 300] = np.inf  # inf × 0 is NaN: nearly all pictures are black there or not
    model["fc"].weight.value = weight
    save(Scheduler(model, CrossEntropyLoss(), SGD()), path)
    (data,) = convscope.good(*words, "--json").objects
    assert data["first_nan"] is not None
    assert "NaN, which is never right" in data["note"]
    assert data["counted"] == len(labels) == 60


def test_the_bundled_net_is_as_good_as_it_is_said_to_be(convscope: CommandLine):
    (data,) = convscope.good("evaluate", "bundled", "--json").objects
    assert data["accuracy"] >= 0.988
    assert data["samples"] == 10_000


def test_data_that_do_not_fit_the_net(convscope: CommandLine, run_file: Path, tmp_path: Path):
    np.savez(tmp_path / "wide.npz", x=np.zeros((20, 9, 9), np.uint8), y=np.zeros(20, np.int64))
    message = convscope.wrong("evaluate", run_file, "--data", tmp_path / "wide.npz")
    assert "input: expected (n, 1, 28, 28), received (20, 1, 9, 9)" in message
