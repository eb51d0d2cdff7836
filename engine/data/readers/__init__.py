"""Readers of data files: each gives arrays, or one error that names the file.

Nothing in a file is trusted: sizes are checked against the file before memory is taken for them,
and no reader executes anything a file contains.
"""

from __future__ import annotations

from engine.data.readers.cifar import read_cifar, read_cifar_folder
from engine.data.readers.csv import read_csv
from engine.data.readers.idx import read_idx
from engine.data.readers.image import read_image
from engine.data.readers.image_folder import read_image_folder
from engine.data.readers.npz import read_npy, read_npz

__all__ = [
    "read_cifar",
    "read_cifar_folder",
    "read_csv",
    "read_idx",
    "read_image",
    "read_image_folder",
    "read_npy",
    "read_npz",
]
