"""A folder with one folder of pictures for each class."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from engine.data.dataset import Dataset
from engine.data.readers.files import as_path, check_size
from engine.data.readers.image import Channels, read_image
from engine.errors import DataError, ShapeError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})


def read_image_folder(
    path: str | PathLike[str],
    size: tuple[int, int] | None = None,
    channels: Channels | None = None,
) -> Dataset:
    """Read a set of pictures, sorted into one folder for each class.

    Classes and pictures are taken in the order of their names. Hidden files and files whose names
    do not end as pictures do (.png .jpg .jpeg .bmp .webp) are passed over.

    Parameters
    ----------
    path : path
        The folder that holds the class folders.
    size : (int, int), optional
        Height and width in pixels to resample all pictures to; by default they must be equal.
    channels : {1, 3}, optional
        Grey or RGB; by default what the first picture holds.

    Returns
    -------
    Dataset
        x float32 (n, channels, h, w) in [0, 1], y int64 (n,), classes the folders' names.

    Raises
    ------
    DataError
        If there is no such folder, it has no class folders, or one of them has no pictures.
    FormatError
        If a picture is damaged; the error names it.
    ShapeError
        If pictures differ in size and `size` is not given.
    """
    root = as_path(path)
    folders = _class_folders(root)
    files = [(file, number) for number, folder in enumerate(folders) for file in _pictures(folder)]
    first = read_image(files[0][0], channels, size)
    channels = 1 if first.shape[0] == 1 else 3
    check_size(first.nbytes * len(files), str(root))
    images = np.empty((len(files), *first.shape), np.float32)
    images[0] = first
    for place, (file, _) in enumerate(files[1:], start=1):
        image = read_image(file, channels, size)
        if image.shape != first.shape:
            raise ShapeError(
                f"{file}: expected {first.shape[1]} x {first.shape[2]} pixels as "
                f"{files[0][0].name} has, received {image.shape[1]} x {image.shape[2]}; "
                "use size=(height, width)"
            )
        images[place] = image
    labels = np.array([number for _, number in files], np.int64)
    return Dataset(images, labels, [folder.name for folder in folders], name=root.name)


def _class_folders(root: Path) -> list[Path]:
    folders = [entry for entry in _visible(root) if entry.is_dir()]
    if not folders:
        raise DataError(f"{root}: expected one folder for each class inside, found none")
    return folders


def _pictures(folder: Path) -> list[Path]:
    files = [file for file in _visible(folder) if file.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(
            f"{folder}: expected pictures ({' '.join(sorted(SUFFIXES))}), found none; fill the "
            "folder or remove it"
        )
    return files


def _visible(folder: Path) -> list[Path]:
    """Return what a folder holds, hidden entries aside, in the order of the names."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except FileNotFoundError as error:
        raise DataError(f"{folder}: there is no such folder") from error
    except NotADirectoryError as error:
        raise DataError(f"{folder}: expected a folder of class folders, this is a file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: cannot be read ({error})") from error
