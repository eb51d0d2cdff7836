"""Digits in drawings and photographs: found, or said not to be there; never guessed at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine import load
from engine.commands.runs import BUNDLED_FILE
from engine.data import bundled, load_mnist_split
from engine.data.digits import prepare_digit
from engine.data.ink import closed, darkness, shapes
from engine.data.preparing import prepare_picture
from engine.errors import DataError
from engine.pictures import Look
from tests.photos import HEIGHT, PHOTOS, WIDTH, empty, ink_of, lines, noise, photo, ramp, sheet

DIGITS = Look((1, 28, 28), True, 0.0, 1.0)
OF_EACH = 2


@pytest.fixture(scope="module")
def labels() -> Any:
    return load_mnist_split("test").y


@pytest.fixture(scope="module")
def numbers(labels: Any) -> list[int]:
    """Return some test digits of each class."""
    return [int(i) for k in range(10) for i in np.flatnonzero(labels == k)[:OF_EACH]]


@pytest.fixture(scope="module")
def net() -> Any:
    return load(bundled.path(BUNDLED_FILE)).model


def judged(net: Any, digit: Any) -> tuple[int, float]:
    scores = net(digit[np.newaxis, np.newaxis])[0].astype(np.float64)
    share = np.exp(scores - scores.max())
    return int(scores.argmax()), float((share / share.sum()).max())


def right(net: Any, kind: str, numbers: list[int], labels: Any) -> tuple[float, list[Any]]:
    """Return the share of right answers, and the wrong ones (refusals are neither)."""
    good, wrong = 0, []
    for number in numbers:
        try:
            digit, _ = prepare_digit(photo(kind, number))
        except DataError:
            continue
        answer, share = judged(net, digit)
        good += answer == labels[number]
        if answer != labels[number]:
            wrong.append((number, int(labels[number]), answer, share))
    return good / len(numbers), wrong


@pytest.mark.parametrize("kind", PHOTOS)
def test_photographs_are_read(kind: str, net: Any, numbers: list[int], labels: Any):
    share, wrong = right(net, kind, numbers, labels)
    assert share >= (0.95 if kind in ("clean", "inverted") else 0.9), wrong
    assert len(wrong) <= 1


@pytest.mark.parametrize("kind", PHOTOS)
def test_a_sheet_that_nobody_wrote_on_has_no_digit(kind: str):
    for number in range(6):
        with pytest.raises(DataError) as caught:
            prepare_digit(empty(kind, number), "sheet.jpg")
        text = str(caught.value)
        assert text.startswith(("sheet.jpg: no clear digit: ", "sheet.jpg: expected a digit"))


def transparent(ink: Any) -> Any:
    """Return white ink on nothing, as drawing programs save it."""
    pixels = np.full((*ink.shape, 4), 255, np.uint8)
    pixels[..., 3] = np.rint(ink * 255)
    return pixels


AS_ARRAYS = {
    "white ink on nothing": transparent,
    "16 bits": lambda ink: np.rint(sheet(ink) * ramp(0.35, 0.75, 1.0) * 65535).astype(np.uint16),
    "0 to 255": lambda ink: np.rint(sheet(ink) * ramp(0.35, 0.75, 1.0) * 255).astype(np.float64),
    "colours": lambda ink: np.stack(
        [np.rint(sheet(ink, p, 0.1) * ramp(0.4, 0.9, 2.0) * 255) for p in (0.9, 0.8, 0.7)], axis=2
    ).astype(np.uint8),
}


@pytest.mark.parametrize("kind", AS_ARRAYS)
def test_arrays_are_read_too(kind: str, net: Any, numbers: list[int], labels: Any):
    good = 0
    for number in numbers:
        ink = ink_of(number, np.random.default_rng(number))
        ready = prepare_picture(AS_ARRAYS[kind](ink), (1, 28, 28), DIGITS)
        good += judged(net, ready.x[0])[0] == labels[number]
    assert good >= 0.9 * len(numbers)


def test_a_digit_of_mnist_stays_bit_for_bit():
    test = load_mnist_split("test")
    for picture in test.x[:500, 0]:
        assert np.array_equal(prepare_digit(picture)[0], picture)


# -- what else lies on a sheet ---------------------------------------------------------------------


def test_specks_are_left_out(net: Any, numbers: list[int], labels: Any):
    good = 0
    for number in numbers:
        rng = np.random.default_rng(number)
        paper = sheet(ink_of(number, rng))
        for row, column in zip(rng.integers(0, 300, 6), rng.integers(0, 260, 6), strict=True):
            paper[row : row + 3, column : column + 3] = 0.2
        digit, steps = prepare_digit(paper)
        good += judged(net, digit)[0] == labels[number]
    assert good >= 0.9 * len(numbers)
    assert "specks left out" in steps


def test_a_sheet_on_a_table_is_cut_out(net: Any, numbers: list[int], labels: Any):
    good = 0
    for number in numbers[::2]:
        rng = np.random.default_rng(number)
        table = np.full((HEIGHT + 100, WIDTH + 100), 0.25) + rng.normal(0, 0.01, (420, 380))
        table[50:-50, 50:-50] = sheet(ink_of(number, rng)) * ramp(0.6, 0.9, 1.0)
        digit, steps = prepare_digit(table)
        good += judged(net, digit)[0] == labels[number]
        assert steps[0] == "sheet cut out of what it lies on"
        table[50:-50, 50:-50] = 0.9 * ramp(0.6, 0.9, 1.0)
        with pytest.raises(DataError, match="no clear digit"):
            prepare_digit(table)
    assert good >= 0.9 * len(numbers[::2])


def test_two_digits_are_one_too_many():
    rng = np.random.default_rng(0)
    two = np.concatenate([sheet(ink_of(0, rng)), sheet(ink_of(3, rng))], axis=1)
    for picture in (two, two * np.linspace(0.5, 0.9, two.shape[1])):
        with pytest.raises(DataError, match="more than one shape"):
            prepare_digit(picture, "two.png")


def test_a_bold_digit_that_fills_its_picture_is_not_turned_inside_out(net: Any, labels: Any):
    for number in (0, 3, 10, 25):
        ink = ink_of(number, np.random.default_rng(number))
        rows, columns = np.nonzero(ink > 0.5)
        cut = (sheet(ink) * ramp(0.35, 0.75, 2.0))[
            rows.min() - 4 : rows.max() + 5, columns.min() - 4 : columns.max() + 5
        ]
        digit, steps = prepare_digit(cut)
        assert "bright ink" not in steps[0]
        assert judged(net, digit)[0] == labels[number]


def stain(width: float) -> Any:
    """Return a sheet with a stain that fades into it: no edge of ink."""
    y, x = np.indices((300, 300))
    far = (x - 140.0) ** 2 + (y - 160.0) ** 2
    return 0.85 - 0.4 * np.exp(-far / (2 * width**2))


NO_DIGIT = {
    "noise": lambda rng: rng.random((200, 200)),
    "small noise": lambda rng: rng.random((28, 28)),
    "grain": lambda rng: np.clip(0.5 + rng.normal(0, 0.1, (300, 300)), 0, 1),
    "two halves": lambda rng: np.where(np.indices((200, 200))[1] < 100, 0.2, 0.8),
    "a ramp": lambda rng: np.linspace(0, 1, 90_000).reshape(300, 300),
    "stripes": lambda rng: np.indices((200, 200))[0] // 10 % 2 * 1.0,
    "squares": lambda rng: np.indices((200, 200)).sum(0) // 20 % 2 * 1.0,
    "one line": lambda rng: np.where(np.indices((200, 200))[0] // 3 == 30, 0.4, 0.9),
    "a soft stain": lambda rng: stain(30) + 0.01 * rng.normal(0, 1, (300, 300)),
    "a soft stain without grain": lambda rng: stain(25),
    "folds": lambda rng: 0.8 + 0.1 * np.sin(np.indices((300, 300)).sum(0) / 25),
}


@pytest.mark.parametrize("kind", NO_DIGIT)
def test_what_is_no_digit_gets_no_class(kind: str):
    for seed in range(3):
        with pytest.raises(DataError):
            prepare_digit(NO_DIGIT[kind](np.random.default_rng(seed)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (3, 3), (7, 300), (280, 280), (300, 7)])
def test_every_size_gives_a_digit_or_one_sentence(shape: tuple[int, int]):
    rng = np.random.default_rng(0)
    bar = np.zeros(shape)
    bar[: shape[0] // 2 + 1] = 1
    for picture in (np.zeros(shape), np.full(shape, np.nan), rng.random(shape), bar, bar.T):
        try:
            digit, steps = prepare_digit(picture)
        except DataError as error:
            assert "\n" not in str(error)
            continue
        assert digit.shape == (28, 28)
        assert digit.dtype == np.float32
        assert np.isfinite(digit).all()
        assert 0 <= digit.min() <= digit.max() <= 1
        assert steps


# -- the tools -------------------------------------------------------------------------------------


def test_shapes_are_those_that_a_flood_finds():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((17, 23)) < 0.35
        labels, count = shapes(mask)
        expected = np.zeros(mask.shape, int)
        found = 0
        for start in np.argwhere(mask):
            if expected[tuple(start)]:
                continue
            found += 1
            waiting = [tuple(start)]
            while waiting:
                row, column = waiting.pop()
                if not (0 <= row < 17 and 0 <= column < 23):
                    continue
                if not mask[row, column] or expected[row, column]:
                    continue
                expected[row, column] = found
                waiting += [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        assert count == found
        assert np.array_equal(labels == 0, expected == 0)
        pairs = set(zip(labels[mask].tolist(), expected[mask].tolist(), strict=True))
        assert len(pairs) == count


def test_a_ramp_is_a_sheet_up_to_its_border():
    plane = ramp(0.2, 0.9, 0.7)[::5, ::5]
    assert np.allclose(closed(plane, 17), plane)


def test_dark_ink_is_known_from_bright():
    rng = np.random.default_rng(0)
    paper = sheet(ink_of(0, rng)) * ramp(0.4, 0.9, 1.0) * lines(rng, 30, 0.75) + noise(rng, 0.02)
    assert darkness(np.clip(paper, 0, 1)) > 0.9
    assert darkness(1 - np.clip(paper, 0, 1)) < -0.9
    assert darkness(np.full((30, 30), 0.5)) == 0


@pytest.mark.parametrize("side", [28, 84, 280])
def test_an_enlarged_digit_is_sharp_enough(side: int, net: Any, numbers: list[int], labels: Any):
    good = 0
    for number in numbers:
        small = Image.fromarray(
            np.rint(load_mnist_split("test").x[number, 0] * 255).astype(np.uint8)
        )
        large = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)) / 255
        picture = np.pad(large, ((0, 20), (9, 0)))
        good += judged(net, prepare_digit(picture)[0])[0] == labels[number]
    assert good >= 0.95 * len(numbers)


def test_a_drawing_may_run_out_of_its_sheet(net: Any):
    picture = Image.new("L", (280, 280), 0)
    ImageDraw.Draw(picture).line([(20, 8), (279, 8), (90, 279)], fill=255, width=24)
    digit, steps = prepare_digit(np.asarray(picture) / 255)
    assert steps[0].startswith("cut out")
    assert judged(net, digit)[0] == 7


def test_a_thin_pen_is_read(net: Any):
    picture = Image.new("L", (300, 300), 230)
    ImageDraw.Draw(picture).line([(90, 70), (210, 70), (130, 250)], fill=30, width=4)
    values = np.asarray(picture) / 255 * np.linspace(0.6, 1, 300)
    assert judged(net, prepare_digit(values)[0])[0] == 7
