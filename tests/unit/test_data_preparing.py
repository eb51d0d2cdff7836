"""One picture for one net: files, arrays of any kind, drawings; the same way from everywhere."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.data.preparing import Preparation, brightness, prepare_picture
from engine.data.readers import read_image
from engine.errors import ConfigurationError, DataError, FormatError, ShapeError
from engine.pictures import Look, look_of

COLOUR = Look((3, 12, 16), False, 0.0, 1.0)
GREY = Look((1, 12, 16), False, 0.0, 1.0)
DIGITS = Look((1, 28, 28), True, 0.0, 1.0)
OWN = Look((1, 28, 28), False, 0.0, 1.0)


def photograph(height: int = 40, width: int = 30, channels: int = 3, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 5, width // 5, channels), np.uint8)
    return np.repeat(np.repeat(small, 5, axis=0), 5, axis=1)


def write(path: Path, pixels: Any) -> Path:
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path)
    return path


@pytest.mark.parametrize("look", [COLOUR, GREY])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_array_is_prepared_as_a_file_with_the_same_picture(
    tmp_path: Path, channels: int, look: Look
):
    pixels = photograph(channels=channels)
    of_file = prepare_picture(write(tmp_path / "a.png", pixels), look.shape, look)
    of_array = prepare_picture(pixels, look.shape, look)
    assert np.array_equal(of_file.x, of_array.x)
    assert of_file.steps == of_array.steps
    assert of_file.x.shape == look.shape
    expected = read_image(tmp_path / "a.png", look.shape[0], look.shape[1:])  # as folders are read
    assert np.array_equal(of_file.x, expected)
    np.save(tmp_path / "a.npy", pixels)
    assert np.array_equal(prepare_picture(tmp_path / "a.npy", look.shape, look).x, expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", ["(h, w, c)", "(c, h, w)", "(1, c, h, w)"])
def test_channels_stand_first_or_last(channels: int, layout: str, tmp_path: Path):
    pixels = photograph(channels=channels)
    look = COLOUR if channels == 3 else GREY
    expected = prepare_picture(pixels, look.shape, look).x
    turned = pixels if layout == "(h, w, c)" else pixels.transpose(2, 0, 1)
    turned = turned[np.newaxis] if layout == "(1, c, h, w)" else turned
    np.save(tmp_path / "a.npy", turned)
    np.savez(tmp_path / "a.npz", picture=turned)
    for name in ("a.npy", "a.npz"):
        assert np.array_equal(prepare_picture(tmp_path / name, look.shape, look).x, expected)


SAME: dict[str, Any] = {
    "bytes": lambda grey: grey,
    "16 bits": lambda grey: grey.astype(np.uint16) * 257,
    "16 bits that hold bytes": lambda grey: grey.astype(np.uint16),
    "int64 up to 255": lambda grey: grey.astype(np.int64),
    "int32 up to 65535": lambda grey: grey.astype(np.int32) * 257,
    "float32 up to 255": lambda grey: grey.astype(np.float32),
    "float64 up to 1": lambda grey: grey / 255,
    "float64 up to 65535": lambda grey: grey * 257.0,
    "float16 up to 1": lambda grey: (grey / 255).astype(np.float16),
}


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.parametrize("look", [GREY, OWN, DIGITS])
def test_numbers_of_every_kind_are_the_same_picture(kind: str, look: Look):
    if look.centred:
        grey = np.zeros((60, 50), np.uint8)
        grey[10:50, 20:27] = 255
        grey[10:50, 27] = 128
    else:
        grey = photograph(28, 28, 1)[..., 0] if look is OWN else photograph(channels=1)[..., 0]
        grey = (
            np.pad(grey, ((0, 28 - grey.shape[0]), (0, 28 - grey.shape[1])))
            if look is OWN
            else grey
        )
        grey = np.where(grey == grey.max(), 255, grey).astype(np.uint8)
    expected = prepare_picture(grey, look.shape, look).x
    found = prepare_picture(SAME[kind](grey), look.shape, look).x
    assert np.abs(found - expected).max() < 0.004  # half a step of 255 where pixels are resampled
    assert 0.9 < found.max() <= 1


def test_what_a_white_number_is():
    assert brightness(np.array([0, 1])).tolist() == [0, 1]
    assert brightness(np.array([False, True])).tolist() == [0, 1]
    assert brightness(np.array([0, 1], np.uint8)).tolist() == [0, 1 / 255]
    assert brightness(np.array([0.0, 1.0005])).tolist() == [0, 1]
    assert np.isnan(brightness(np.array([np.nan, 0.5]))).tolist() == [True, False]


WRONG: list[tuple[Any, type[Exception], str]] = [
    (np.full((4, 4), -1.0), DataError, "received values from -1 to -1"),
    (np.full((4, 4), 1e6), DataError, "to 1e\\+06"),
    (np.full((4, 4), np.nan), DataError, "no finite number"),
    (np.full((4, 4), 1j), DataError, "expected numbers"),
    (np.zeros(5), FormatError, r"received \(5,\)"),
    (np.zeros((2, 7, 7)), FormatError, r"received \(2, 7, 7\)"),
    (np.zeros((0, 7)), FormatError, r"received \(0, 7, 1\)"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_is_no_picture_is_refused(number: int):
    array, kind, words = WRONG[number]
    with pytest.raises(kind, match=words):
        prepare_picture(array, GREY.shape, GREY)


def test_nan_can_be_hunted_where_nothing_is_resampled():
    array = np.zeros((12, 16))
    array[3, 4] = np.nan
    assert np.argwhere(np.isnan(prepare_picture(array, GREY.shape, GREY).x)).tolist() == [[0, 3, 4]]
    with pytest.raises(DataError, match=r"holds nan at \(0, 3, 4\)"):
        prepare_picture(array, COLOUR.shape, COLOUR)


# -- what belongs to the run -----------------------------------------------------------------------


def test_own_pictures_of_the_nets_size_are_taken_as_they_are():
    """Bright, not centred, 28 x 28: MNIST's preparation would invert and move it."""
    picture = np.full((28, 28), 220, np.uint8)
    picture[2:10, 3:6] = 40
    ready = prepare_picture(picture, (1, 28, 28), OWN)
    assert np.array_equal(ready.x[0], (picture / np.float32(255)).astype(np.float32))
    assert ready.steps == ("28×28 grey", "taken as it is")
    digit = prepare_picture(picture, (1, 28, 28), DIGITS)
    assert "bright background: inverted" in digit.steps
    assert np.array_equal(prepare_picture(picture, (1, 28, 28), None).x, ready.x)


def test_without_a_record_a_picture_of_another_size_is_not_guessed():
    picture = np.full((50, 40), 220, np.uint8)
    picture[10:40, 18:22] = 10
    with pytest.raises(DataError, match="not recorded: add --preparation digit"):
        prepare_picture(picture, (1, 28, 28))
    digit = prepare_picture(picture, (1, 28, 28), how=Preparation.digit)
    plain = prepare_picture(picture, (1, 28, 28), how=Preparation.plain)
    assert digit.steps[-1].startswith("centre of mass")
    assert plain.steps[-1] == "resampled to 28×28 grey"
    assert prepare_picture(picture, (1, 32, 32)).x.shape == (1, 32, 32)  # never digits


def test_a_run_on_values_that_no_picture_has_says_so():
    look = Look((1, 28, 28), False, -0.42, 2.82)
    picture = np.zeros((28, 28), np.uint8)
    with pytest.raises(DataError, match=r"trained on values from -0.42 to 2.82.*Normalize"):
        prepare_picture(picture, look.shape, look)
    own = np.full((1, 28, 28), 2.5, np.float32)  # its own kind of array is taken
    assert np.array_equal(prepare_picture(own, look.shape, look).x, own)


def test_nets_that_take_no_pictures():
    for shape in ((784,), (2, 28, 28), (4,)):
        with pytest.raises(ShapeError, match="expected a net for pictures"):
            prepare_picture(np.zeros((28, 28)), shape)


def test_white_ink_on_nothing_is_seen(tmp_path: Path):
    pixels = np.zeros((100, 80, 4), np.uint8)
    pixels[20:80, 36:44] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for picture in (tmp_path / "a.png", pixels):
        ready = prepare_picture(picture, (1, 28, 28), DIGITS)
        assert ready.x.max() == 1
        assert np.argwhere(ready.x[0] > 0.5).shape[0] > 30


# -- what is concluded from a set ------------------------------------------------------------------


def test_mnist_is_known_by_its_pictures():
    from engine.data import load_mnist_split

    test = load_mnist_split("test")
    assert look_of(test.x) == DIGITS
    assert look_of(test.x[:20]) == Look((1, 28, 28), True, 0.0, float(test.x[:20].max()))
    moved = np.roll(test.x, 4, axis=3)
    for other in (moved, 1 - test.x, test.x * 2 - 1, test.x[:7], test.x[:, :, 2:-2, 2:-2]):
        found = look_of(np.ascontiguousarray(other))
        assert found is not None
        assert not found.centred
    assert look_of(test.y) is None
    assert look_of(np.zeros((5, 784), np.float32)) is None
    assert look_of({"a": test.x}) is None


def test_files_of_every_format_pass_through(tmp_path: Path):
    pixels = photograph()
    for suffix in ("png", "bmp", "webp", "jpg"):
        options = {"lossless": True} if suffix == "webp" else {"quality": 95}
        stream = io.BytesIO()
        Image.fromarray(pixels).save(
            stream, "JPEG" if suffix == "jpg" else suffix.upper(), **options
        )
        (tmp_path / f"a.{suffix}").write_bytes(stream.getvalue())
        ready = prepare_picture(tmp_path / f"a.{suffix}", COLOUR.shape, COLOUR)
        assert ready.x.shape == COLOUR.shape


def test_a_way_by_its_name_is_the_way_itself() -> None:
    """A text equals a member of Preparation without being it, and was taken for another way."""
    drawn = np.zeros((60, 40), np.uint8)
    drawn[10:50, 18:24] = 255
    ways = (Preparation.digit, "digit")
    one, other = (prepare_picture(drawn, (1, 28, 28), how=how) for how in ways)
    assert one.steps == other.steps
    assert np.array_equal(one.x, other.x)
    with pytest.raises(ConfigurationError, match="how: expected one of"):
        prepare_picture(drawn, (1, 28, 28), how="digits")
