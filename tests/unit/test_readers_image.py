"""Pictures: modes, transparency, orientation; truncation, garbage and bombs."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.readers import read_image
from engine.data.readers.image import check_complete
from engine.errors import ConfigurationError, FormatError
from tests.unit import damage

FORMATS = ["PNG", "JPEG", "BMP", "WEBP"]


def pixels(height: int = 6, width: int = 9, channels: int = 3) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return values if channels > 1 else values[:, :, 0]


def packed(picture: Image.Image, form: str, **settings: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **settings)
    return stream.getvalue()


def write(folder: Path, picture: Image.Image, form: str = "PNG", **settings: object) -> Path:
    file = folder / f"picture.{form.lower()}"
    file.write_bytes(packed(picture, form, **settings))
    return file


@pytest.mark.parametrize("form", ["PNG", "BMP", "WEBP"])
def test_colours(tmp_path, form: str):
    values = pixels()
    settings = {"lossless": True} if form == "WEBP" else {}
    result = read_image(write(tmp_path, Image.fromarray(values), form, **settings))
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert np.array_equal(result, values.transpose(2, 0, 1) / np.float32(255))


def test_jpeg(tmp_path):
    smooth = np.linspace(0, 255, 16 * 16).reshape(16, 16).astype(np.uint8)
    result = read_image(write(tmp_path, Image.fromarray(smooth), "JPEG", quality=95))
    assert result.shape == (1, 16, 16)
    assert np.abs(result[0] - smooth / 255).max() < 0.03


def test_grey_and_colour_on_demand(tmp_path):
    grey = pixels(channels=1)
    file = write(tmp_path, Image.fromarray(grey))
    assert np.array_equal(read_image(file)[0], grey / np.float32(255))
    assert np.array_equal(read_image(file, channels=3), np.stack([grey / np.float32(255)] * 3))
    assert read_image(write(tmp_path, Image.fromarray(pixels())), channels=1).shape == (1, 6, 9)


def test_black_and_white_and_palette(tmp_path):
    grey = Image.fromarray(pixels(channels=1))
    black_white = grey.convert("1")
    expected = np.asarray(black_white).astype(np.float32)
    assert np.array_equal(read_image(write(tmp_path, black_white))[0], expected)
    palette = Image.fromarray(pixels()).quantize(7)
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1) / np.float32(255)
    assert np.array_equal(read_image(write(tmp_path, palette)), expected)


def test_sixteen_bits(tmp_path):
    deep = np.array([[0, 1, 257], [32768, 65534, 65535]], np.uint16)
    file = write(tmp_path, Image.fromarray(deep))
    assert np.array_equal(read_image(file)[0], deep / np.float32(65535))
    assert np.allclose(read_image(file, channels=3), deep / 65535, atol=1 / 255)
    assert read_image(file, size=(4, 6)).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_parts_become_white(tmp_path, mode: str):
    """A digit drawn in black on nothing must not come out black on black."""
    picture = Image.new(mode, (2, 1), (0,) * len(mode))
    picture.putpixel((1, 0), (0,) * (len(mode) - 1) + (255,))
    result = read_image(write(tmp_path, picture))
    assert result.shape[0] == (1 if mode == "LA" else 3)
    assert result[:, 0].tolist() == [[1, 0]] * result.shape[0]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize(("ink", "ground"), [(255, 0), (250, 0), (0, 1), (128, 1), (200, 1)])
def test_ink_on_nothing_can_be_seen(tmp_path, mode: str, ink: int, ground: int):
    """White ink on a white ground would be an empty picture."""
    picture = Image.new(mode, (5, 4), (255,) * (len(mode) - 1) + (0,))
    picture.putpixel((1, 1), (ink,) * (len(mode) - 1) + (255,))
    picture.putpixel((2, 1), (ink,) * (len(mode) - 1) + (128,))
    result = read_image(write(tmp_path, picture))
    assert result.shape[0] == (1 if mode == "LA" else 3)
    assert (result[:, 0] == ground).all()
    assert np.allclose(result[:, 1, 1], ink / 255)
    assert (np.abs(result[:, 1, 2] - (ink / 255 + ground) / 2) < 0.01).all()


def test_a_picture_of_nothing_stays_white(tmp_path):
    for alpha in (0, 255):
        picture = Image.new("RGBA", (5, 4), (255, 255, 255, alpha))
        assert (read_image(write(tmp_path, picture)) == 1).all()


def test_turned_upright(tmp_path):
    values = pixels(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    result = read_image(write(tmp_path, Image.fromarray(values), exif=exif.tobytes()))
    assert np.array_equal(result, np.rot90(values, -1).transpose(2, 0, 1) / np.float32(255))


def test_a_damaged_note_of_the_camera_is_ignored(tmp_path):
    file = write(tmp_path, Image.fromarray(pixels()), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(file).shape == (3, 6, 9)


def test_resampled(tmp_path):
    grey = np.zeros((4, 4), np.uint8)
    grey[:, 2:] = 255
    result = read_image(write(tmp_path, Image.fromarray(grey)), size=(2, 4))
    assert result.tolist() == [[[0, 0, 1, 1]] * 2]
    assert read_image(write(tmp_path, Image.fromarray(pixels())), size=(3, 5)).shape == (3, 3, 5)


def test_the_content_decides_not_the_name(tmp_path):
    file = write(tmp_path, Image.fromarray(pixels()), "BMP").rename(tmp_path / "picture.png")
    assert read_image(file).shape == (3, 6, 9)


@pytest.mark.parametrize("form", FORMATS)
def test_truncated_at_every_length(tmp_path, form: str):
    damage.refused_when_truncated(read_image, write(tmp_path, Image.fromarray(pixels()), form))


def test_a_progressive_jpeg_truncated_at_every_length(tmp_path):
    picture = Image.fromarray(pixels(24, 24))
    file = write(tmp_path, picture, "JPEG", progressive=True)
    damage.refused_when_truncated(read_image, file)


@pytest.mark.parametrize("form", FORMATS)
def test_every_flipped_byte(tmp_path, form: str):
    whole = packed(Image.fromarray(pixels(3, 4)), form)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused = damage.refused_or_read(
            read_image, tmp_path / "flipped", damage.damaged_bytes(whole)
        )
    if form == "PNG":
        assert refused == 2 * len(whole)  # every byte of a PNG is checked


def test_what_is_no_file(tmp_path):
    damage.refuses_what_is_no_file(read_image, tmp_path)


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PPM", "ICO"])
def test_other_formats_are_not_opened(tmp_path, form: str):
    file = write(tmp_path, Image.fromarray(pixels(32, 32)), form)
    damage.refused(read_image, file, "expected a PNG, JPEG, BMP or WebP picture")


def png_of(width: int, height: int) -> bytes:
    """Return a small PNG that declares any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    head = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(9500, 9500), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_bombs_take_no_memory(tmp_path, size: tuple[int, int]):
    file = tmp_path / "bomb.png"
    file.write_bytes(png_of(*size))
    damage.refused_cheaply(read_image, file, "scale the picture down")


def test_wrong_lengths_inside_a_png(tmp_path):
    file = tmp_path / "wrong.png"
    whole = png_of(3, 3)
    file.write_bytes(whole[:8] + b"\xff\xff\xff\xff" + whole[12:])
    damage.refused_cheaply(read_image, file, "ends in the middle")
    file.write_bytes(whole[:8])
    damage.refused(read_image, file, "ends in the middle")


FILM = np.random.default_rng(1).bytes(2**16 - 3) + b"\xff\xda\x00"
"""What a telephone puts behind a photograph; its end looks like the start of another scan."""


@pytest.mark.parametrize("tail", [b"\0" * 16, FILM, b"\xff\xd8\xff\xe0", b"\xff" * 40])
@pytest.mark.parametrize("settings", [{}, {"progressive": True}])
def test_bytes_after_the_end_are_ignored(tmp_path, tail: bytes, settings: dict):
    for form in FORMATS:
        more = settings if form == "JPEG" else {}
        file = write(tmp_path, Image.fromarray(pixels(24, 24)), form, **more)
        whole = read_image(file)
        file.write_bytes(file.read_bytes() + tail)
        assert np.array_equal(read_image(file), whole)


def test_a_second_picture_behind_the_first_is_ignored(tmp_path):
    """As cameras with two lenses write it (MPO): each picture with its own end."""
    first, second = (packed(Image.fromarray(pixels(16, 16)[:, ::s]), "JPEG") for s in (1, -1))
    file = tmp_path / "two.jpg"
    file.write_bytes(first)
    whole = read_image(file)
    file.write_bytes(first + second)
    assert np.array_equal(read_image(file), whole)
    file.write_bytes(first[: len(first) // 2] + second)
    damage.refused_or_read(read_image, file, iter([("cut", file.read_bytes())]))


def test_a_thumbnail_with_an_end_of_its_own(tmp_path):
    """The end of a thumbnail is not the end of the picture."""
    thumbnail = packed(Image.fromarray(pixels(8, 8)), "JPEG")
    whole = packed(Image.fromarray(pixels(16, 16)), "JPEG")
    segment = b"\xff\xed" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    file = tmp_path / "thumbnail.jpg"
    file.write_bytes(whole[:2] + segment + whole[2:])
    assert read_image(file).shape == (3, 16, 16)
    content = file.read_bytes()
    check_complete(content, "whole")
    for length in range(3, len(content)):
        # Not left to the decoder: how much it forgives differs from version to version.
        with pytest.raises(FormatError, match="has no end"):
            check_complete(content[:length], "cut")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"channels": 2}, "expected channels 1 or 3, received 2"),
        ({"size": 28}, "expected size as"),
        ({"size": (28,)}, "expected size as"),
        ({"size": (0, 28)}, "expected size as"),
        ({"size": (2.5, 28)}, "expected size as"),
        ({"size": (10**5, 10**5)}, "more than 89,478,485 pixels"),
    ],
)
def test_settings_out_of_range(tmp_path, settings, text: str):
    with pytest.raises(ConfigurationError, match=text):
        read_image(write(tmp_path, Image.fromarray(pixels())), **settings)
