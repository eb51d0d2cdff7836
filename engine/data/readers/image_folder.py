"""A folder with one folder of pictures for each class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import cast

import numpy as np

from engine import arguments
from engine.data.dataset import Dataset
from engine.data.parts import listed
from engine.data.readers import names
from engine.data.readers.files import as_path, check_size, read_bytes, reason
from engine.data.readers.image import Channels, Picture, checked_settings, decode, holds_colours
from engine.errors import DataError, EngineError, FormatError, ShapeError
from engine.typing import Array

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp"})


def read_image_folder(
    path: str | PathLike[str],
    size: tuple[int, int] | None = None,
    channels: Channels | None = None,
    prepare: Callable[[Path], Array] | None = None,
) -> Dataset:
    """Read a set of pictures, sorted into one folder for each class.

    Classes are taken in the order of their names, numbers within them by value ("2" before "10"),
    and pictures in the order of theirs. Hidden entries and what systems leave behind (__MACOSX,
    Thumbs.db ...) are passed over; what else is not read, the notes of the set count.

    Parameters
    ----------
    path : path
        The folder that holds the class folders.
    size : (int, int), optional
        Height and width in pixels to resample all pictures to; by default they must be equal.
    channels : {1, 3}, optional
        Grey or RGB; by default RGB if any picture is stored with colours.
    prepare : callable, optional
        Reads a picture and returns it as float32 (c, h, w), in place of `size` and `channels`.

    Returns
    -------
    Dataset
        x float32 (n, channels, h, w) in [0, 1], y int64 (n,), classes the folders' names.

    Raises
    ------
    DataError
        If there is no such folder, it has no class folders, or one of them has no pictures.
    FormatError
        If pictures are damaged; the error names them and says how many they are.
    ShapeError
        If pictures differ in size and `size` is not given.
    ConfigurationError
        If `channels` or `size` is out of range, or `prepare` cannot be called.
    """
    if prepare is not None:
        where = "read_image_folder prepare"
        prepare = arguments.function(where, prepare, "a function that reads a picture")
    channels, size = checked_settings("read_image_folder", channels, size)
    root = as_path(path, "read_image_folder path", "a folder")
    folders = class_folders(root)
    files = [(file, number) for number, folder in enumerate(folders) for file in _pictures(folder)]
    notes = list(_left_out(root, folders))
    paths = [file for file, _ in files]
    if channels is None and prepare is None:
        channels, colours = _channels(paths)
        notes += colours
    images, on_black = _read(
        paths, partial(_decoded, channels=channels, size=size, prepare=prepare), root
    )
    if on_black:
        notes.append(
            f"{on_black:,} of {len(paths):,} pictures show white on nothing, so what is "
            "transparent became black in them and white in the others"
        )
    labels = np.array([number for _, number in files], np.int64)
    classes = [folder.name for folder in folders]
    notes += _numbering(classes)
    return Dataset(images, labels, classes, name=root.name, notes=notes)


def class_folders(root: Path) -> list[Path]:
    """Return the folders of the classes, in the order of their numbers.

    Raises
    ------
    DataError
        If there are none, or they are halves of a set.
    """
    folders = [entry for entry in visible(root) if entry.is_dir()]
    if not folders:
        raise DataError(f"{root}: expected one folder for each class inside, found none")
    if all(names.half(folder.name) for folder in folders):
        inside = ", ".join(folder.name for folder in folders)
        raise DataError(
            f"{root}: expected one folder for each class inside, found halves of a set ({inside}); "
            f"put class folders into each of them and read {folders[0]}"
        )
    return folders


def visible(folder: Path) -> list[Path]:
    """Return what a folder holds in the order of the names, without what nobody put there.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        entries = [entry for entry in folder.iterdir() if not names.is_passed_over(entry.name)]
    except FileNotFoundError as error:
        raise DataError(f"{folder}: there is no such folder") from error
    except NotADirectoryError as error:
        raise DataError(f"{folder}: expected a folder of class folders, this is a file") from error
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({reason(error)})") from error
    return sorted(entries, key=lambda entry: names.natural(entry.name))


def is_picture(file: Path) -> bool:
    """Return whether a file is named as the pictures are that can be read."""
    return file.suffix.lower() in SUFFIXES


def _pictures(folder: Path) -> list[Path]:
    # In the plain order of the names, as runs were recorded.
    files = sorted(file for file in visible(folder) if is_picture(file))
    if not files:
        raise DataError(
            f"{folder}: expected pictures ({' '.join(sorted(SUFFIXES))}), found none; fill the "
            "folder or remove it"
        )
    return files


def _left_out(root: Path, folders: Sequence[Path]) -> Iterator[str]:
    """Yield what is in the folders and not in the set."""
    beside = [entry for entry in visible(root) if is_picture(entry) and entry.is_file()]
    if beside:
        yield (
            f"{len(beside):,} pictures beside the class folders belong to no class and are left "
            f"out: {listed([file.name for file in beside])}"
        )
    others: list[Path] = []
    deeper: list[Path] = []
    for folder in folders:
        for entry in visible(folder):
            if is_picture(entry):
                continue
            (deeper if entry.is_dir() else others).append(entry)
    if others:
        kinds = names.tallied(entry.suffix.lower() or entry.name for entry in others)
        yield (
            f"{len(others):,} files in the class folders are left out, as they are named unlike "
            f"PNG, JPEG, BMP and WebP pictures: {kinds}"
        )
    if deeper:
        inside = listed([f"{entry.parent.name}/{entry.name}" for entry in deeper])
        yield f"folders within class folders are left out: {inside}"


def _numbering(classes: Sequence[str]) -> Iterator[str]:
    """Yield that names which are numbers are not the numbers of their classes."""
    different = [
        (number, name)
        for number, name in enumerate(classes)
        if name.isdecimal() and int(name) != number
    ]
    if different:
        number, name = different[0]
        yield (
            f"classes count from 0 in the order of their folders: folder {name!r} is class {number}"
        )


def _channels(files: Sequence[Path]) -> tuple[Channels, list[str]]:
    """Return 3 if any picture has colours, else 1, and what is to be said about it."""
    kinds = [holds_colours(read_bytes(file)) if file.is_file() else None for file in files]
    coloured, grey = (
        [file for file, kind in zip(files, kinds, strict=True) if kind is wanted]
        for wanted in (True, False)
    )
    if not coloured:
        return 1, []
    if not grey:
        return 3, []
    return 3, [
        f"{len(grey):,} of {len(files):,} pictures are grey ({listed([grey[0].name])}) and "
        f"{len(coloured):,} have colours ({listed([coloured[0].name])}), so all are read as "
        "RGB; channels=1 makes all grey"
    ]


def _read(
    files: Sequence[Path], decoded: Callable[[Path], Picture], root: Path
) -> tuple[Array, int]:
    """Return all pictures, and how many were put on black."""
    images: Array | None = None
    first, on_black = files[0], 0
    failures: list[EngineError] = []
    misfits: list[tuple[Path, Array]] = []
    for place, file in enumerate(files):
        try:
            picture = decoded(file)
        except EngineError as error:
            failures.append(error)
            continue
        on_black += picture.is_on_black
        if images is None:
            check_size(picture.values.nbytes * len(files), str(root))
            images, first = np.empty((len(files), *picture.values.shape), np.float32), file
        if picture.values.shape != images.shape[1:]:
            misfits.append((file, picture.values))
            continue
        images[place] = picture.values
    if failures:
        _raise(failures, len(files))
    images = cast(Array, images)
    if misfits:
        file, values = misfits[0]
        count = f" ({len(misfits):,} of {len(files):,} pictures differ)" if misfits[1:] else ""
        raise ShapeError(
            f"{file}: expected {images.shape[2]} x {images.shape[3]} pixels as {first.name} has, "
            f"received {values.shape[1]} x {values.shape[2]}{count}; use size=(height, width)"
        )
    return images, on_black


def _decoded(
    file: Path,
    channels: Channels | None,
    size: tuple[int, int] | None,
    prepare: Callable[[Path], Array] | None,
) -> Picture:
    if prepare is not None:
        values = arguments.array(f"{file}: result of prepare", prepare(file), "float32 (c, h, w)")
        if values.ndim != 3:
            raise ShapeError(
                f"{file}: expected prepare to return (c, h, w), received shape {values.shape}"
            )
        return Picture(values, len(values) == 1, False)
    return decode(read_bytes(file), str(file), channels, size)


def _raise(failures: Sequence[EngineError], count: int) -> None:
    """Raise the one failure, or the first with the number of all."""
    first = failures[0]
    if len(failures) == 1:
        raise first
    others = listed([str(error).split(": ", 1)[0] for error in failures[1:]])
    kind = FormatError if isinstance(first, FormatError) else DataError
    raise kind(
        f"{first} ({len(failures):,} of {count:,} pictures cannot be read, also: {others})"
    ) from first
