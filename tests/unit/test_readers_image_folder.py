"""One folder of pictures for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.readers import read_image_folder
from engine.errors import ConfigurationError, DataError, FormatError, ShapeError
from tests.unit import damage


def picture(path: Path, value: int, size: tuple[int, int] = (3, 4), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size[1], size[0]), value if mode == "L" else (value,) * 3).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "animals"
    picture(root / "dog" / "2.png", 20)
    picture(root / "dog" / "10.BMP", 10)
    picture(root / "cat" / "a.png", 51)
    return root


def test_classes_and_order_follow_the_names(folder):
    data = read_image_folder(folder)
    assert data.classes == ("cat", "dog")
    assert data.y.tolist() == [0, 1, 1]
    assert data.x.shape == (3, 1, 3, 4)
    assert np.array_equal(data.x[:, 0, 0, 0], np.float32([51, 10, 20]) / np.float32(255))
    assert data.name == "animals"


def test_all_formats(tmp_path):
    for name in ("a.png", "b.jpg", "c.jpeg", "d.bmp", "e.webp"):
        picture(tmp_path / "grey" / name, 128, mode="RGB")
    assert np.abs(read_image_folder(tmp_path).x - 128 / 255).max() < 0.01


def test_other_files_are_passed_over(folder):
    (folder / "cat" / "notes.txt").write_text("nothing")
    (folder / "cat" / ".hidden.png").write_text("nothing")
    (folder / ".cache").mkdir()
    (folder / "readme.md").write_text("nothing")
    assert len(read_image_folder(folder)) == 3


def test_sizes_must_agree_unless_resampled(folder):
    picture(folder / "dog" / "3.png", 9, (5, 5))
    with pytest.raises(
        ShapeError, match=r"3\.png: expected 3 x 4 pixels as a.png has, received 5 x 5"
    ):
        read_image_folder(folder)
    assert read_image_folder(folder, size=(2, 2)).x.shape == (4, 1, 2, 2)


def test_any_picture_with_colours_makes_all_coloured(folder):
    assert read_image_folder(folder).x.shape == (3, 1, 3, 4)
    picture(folder / "dog" / "3.png", 9, mode="RGB")
    mixed = read_image_folder(folder)
    assert mixed.x.shape == (4, 3, 3, 4)
    assert np.array_equal(mixed.x[0], np.full((3, 3, 4), np.float32(51) / np.float32(255)))
    assert "3 of 4 pictures are grey" in mixed.notes[0]
    for channels in (1, 3):
        told = read_image_folder(folder, channels=channels)
        assert told.x.shape == (4, channels, 3, 4)
        assert told.notes == ()


def test_numbers_in_names_count_by_value(tmp_path):
    for name in ("img10", "img9", "10", "9", "1", "b", "A", "01"):
        picture(tmp_path / name / "a.png", 1)
    assert read_image_folder(tmp_path).classes == (
        "01", "1", "9", "10", "A", "b", "img9", "img10",
    )  # fmt: skip


def test_all_that_is_damaged_is_counted(folder):
    for name in ("3.png", "4.png", "5.png", "6.png"):
        picture(folder / "dog" / name, 3)
        file = folder / "dog" / name
        file.write_bytes(file.read_bytes()[:-1])
    picture(folder / "dog" / "7.png", 3, (9, 9))
    with pytest.raises(FormatError, match=r"dog/3\.png: .*truncated \(4 of 8 pictures cannot be"):
        read_image_folder(folder)
    for name in ("3.png", "4.png", "5.png", "6.png"):
        picture(folder / "dog" / name, 3, (9, 9))
    with pytest.raises(ShapeError, match=r"3\.png: .*received 9 x 9 \(5 of 8 pictures differ\)"):
        read_image_folder(folder)


@pytest.mark.parametrize("settings", [{"channels": 2}, {"size": (0, 3)}, {"size": 3}])
def test_settings_out_of_range(folder, settings):
    with pytest.raises(ConfigurationError, match=r"^read_image_folder: expected"):
        read_image_folder(folder, **settings)


def test_a_damaged_picture_is_named(folder):
    file = folder / "dog" / "10.BMP"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"dog/10\.BMP: .* truncated"):
        read_image_folder(folder)
    file.unlink()
    file.mkdir()
    with pytest.raises(DataError, match=r"dog/10\.BMP: expected a file, this is a folder"):
        read_image_folder(folder)


def test_folders_that_do_not_fit(folder, tmp_path):
    damage.refused(read_image_folder, tmp_path / "missing", "no such folder", DataError)
    damage.refused(read_image_folder, folder / "cat", "found none", DataError)
    damage.refused(read_image_folder, folder / "cat" / "a.png", "this is a file", DataError)
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: expected pictures .* found none"):
        read_image_folder(folder)


def test_more_than_the_limit(folder, monkeypatch):
    monkeypatch.setattr("engine.data.readers.files.MAX_BYTES", 140)
    with pytest.raises(FormatError, match="holds 144 bytes; at most 140 are read"):
        read_image_folder(folder, channels=1)
