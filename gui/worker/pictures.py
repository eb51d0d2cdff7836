"""Where pictures come from: bundled sets, files, pixels, rules. Runs in the worker thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gui.models.layout import Array
from gui.models.snapshot import Picture
from gui.models.state import Task

if TYPE_CHECKING:
    from engine.data import Dataset

SETS = ("test", "train")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture ready for the net.

    Parameters
    ----------
    x : array, shape (1, ...)
        A batch of one.
    picture : Picture
        For the input panel.
    """

    x: Array
    picture: Picture


class Library:
    """The bundled sets, the small one first, the large one read beside the work.

    Parameters
    ----------
    tell : callable
        Takes the state of reading the large set, for the activity list.
    """

    def __init__(self, tell: Callable[[Task], None]) -> None:
        self._tell = tell
        self._sets: dict[str, Dataset] = {}
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None

    def get(self, name: str) -> Dataset:
        """Return a set; reads it if nobody has yet."""
        from engine.data import load_mnist_split

        with self._lock:
            if name not in self._sets:
                title = f"Reading the {name} set"
                self._tell(Task(f"read {name}", title))
                self._sets[name] = load_mnist_split("train" if name == "train" else "test")
                count = f"{len(self._sets[name]):,} pictures"
                self._tell(Task(f"read {name}", title, count, 1, 1, True))
            return self._sets[name]

    def preload(self) -> None:
        """Read the training set in the background; no kernel runs there."""
        if self._reader is None:
            self._reader = threading.Thread(
                target=self.get, args=("train",), name="convscope-reader", daemon=True
            )
            self._reader.start()

    def sizes(self, input_shape: tuple[int, ...]) -> dict[str, int]:
        """Return how many pictures each set has, if they fit the net."""
        test = self.get("test")
        if test.sample_shape != tuple(input_shape):
            return {}
        return {"test": len(test), "train": 60_000}


def sample_of(dataset: Dataset, name: str, number: int) -> Sample:
    """Return picture `number` of a set.

    Raises
    ------
    ConfigurationError
        If there is no such picture.
    """
    from engine.errors import ConfigurationError

    if not 0 <= number < len(dataset):
        raise ConfigurationError(
            f"{name} set: expected a picture number below {len(dataset)}, received {number}"
        )
    x = np.array(dataset.x[number : number + 1])
    label = int(dataset.y[number]) if dataset.y.ndim == 1 else None
    title = f"{name} #{number}" + (f" · label {label}" if label is not None else "")
    return Sample(x, Picture(x[0], title, label, f"{name}#{number}"))


def sample_of_array(x: Array, title: str, source: str) -> Sample:
    """Return an array of the net's input shape as a sample without label."""
    batch = np.ascontiguousarray(x, np.float32)[np.newaxis]
    return Sample(batch, Picture(batch[0].copy(), title, None, source))


def fit_pixels(pixels: Array, input_shape: tuple[int, ...]) -> tuple[Array, str]:
    """Bring any picture to what the net takes.

    Parameters
    ----------
    pixels : array, shape (h, w), (h, w, 3) or (c, h, w)
        uint8, or float in [0, 1].
    input_shape : tuple of int
        (c, h, w).

    Returns
    -------
    x : float32 array, shape `input_shape`
    stages : str
        What was done, in order.

    Raises
    ------
    ShapeError
        If the net takes no pictures.
    """
    from PIL import Image

    from engine.errors import ShapeError

    if len(input_shape) != 3 or input_shape[0] not in (1, 3):
        raise ShapeError(
            f"this net takes inputs of shape {input_shape}; pictures fit (1, h, w) and (3, h, w)"
        )
    values: Array = np.asarray(pixels, np.float32)
    if pixels.dtype == np.uint8:
        values = values / 255
    if values.ndim == 3 and values.shape[0] in (1, 3) and values.shape[2] not in (1, 3):
        values = values.transpose(1, 2, 0)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    channels, rows, columns = input_shape
    stages = [f"{values.shape[1]}×{values.shape[0]}"]
    if channels == 1 and values.ndim == 3:
        values = np.dot(values, np.array([0.299, 0.587, 0.114], np.float32))
        stages.append("grey")
    if channels == 3 and values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
        stages.append("grey as RGB")
    if channels == 1 and values.shape != (rows, columns):
        edge = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
        if float(np.median(edge)) > 0.5:
            values = 1 - values
            stages.append("inverted")
    if values.shape[:2] != (rows, columns):
        scale = min(rows / values.shape[0], columns / values.shape[1])
        size = (max(round(values.shape[1] * scale), 1), max(round(values.shape[0] * scale), 1))
        planes = values[..., None] if values.ndim == 2 else values
        small = np.stack(
            [
                np.asarray(
                    Image.fromarray(np.ascontiguousarray(planes[..., c])).resize(
                        size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
                    )
                )
                for c in range(planes.shape[2])
            ],
            axis=-1,
        )
        values = np.zeros((rows, columns, planes.shape[2]), np.float32)
        top, left = (rows - size[1]) // 2, (columns - size[0]) // 2
        values[top : top + size[1], left : left + size[0]] = small
        stages.append(f"scaled into {columns}×{rows}")
    planes = values[..., None] if values.ndim == 2 else values
    fitted = np.clip(planes.transpose(2, 0, 1), 0, 1).astype(np.float32)
    return np.ascontiguousarray(fitted), " → ".join(stages)


def read_picture(path: str, input_shape: tuple[int, ...]) -> tuple[Array, str]:
    """Read a picture file and bring it to what the net takes.

    Raises
    ------
    EngineError
        If it cannot be read; the text says why.
    """
    from engine.data.readers import read_image
    from engine.errors import FormatError

    suffix = Path(path).suffix.lower()
    if suffix in (".npy", ".npz"):
        try:
            loaded = np.load(path, allow_pickle=False)
            array = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
        except (OSError, ValueError, IndexError) as error:
            raise FormatError(f"{Path(path).name}: cannot be read as an array ({error})") from None
        array = np.squeeze(array)
        if array.ndim not in (2, 3):
            raise FormatError(
                f"{Path(path).name}: expected an array of shape (h, w), (h, w, 3) or (c, h, w), "
                f"received {array.shape}"
            )
        return fit_pixels(array, input_shape)
    return fit_pixels(read_image(path), input_shape)


def synthetic(kind: str, amount: int, input_shape: tuple[int, ...]) -> Array:
    """Return a picture made by rule, float32 in [0, 1].

    Parameters
    ----------
    kind : str
        ``impulse``, ``edge``, ``bars``, ``checker``, ``noise`` or ``constant``.
    amount : int
        Place from the middle, period, or seed.
    """
    rows, columns = (*input_shape, 1, 1)[-2:] if len(input_shape) < 2 else input_shape[-2:]
    y, x = np.mgrid[0:rows, 0:columns]
    period = max(amount, 1)
    if kind == "impulse":
        plane = ((y == rows // 2) & (x == (columns // 2 + amount) % columns)).astype(np.float32)
    elif kind == "edge":
        plane = (x >= (columns // 2 + amount) % max(columns, 1)).astype(np.float32)
    elif kind == "bars":
        plane = ((x // period) % 2).astype(np.float32)
    elif kind == "checker":
        plane = ((x // period + y // period) % 2).astype(np.float32)
    elif kind == "noise":
        return np.random.default_rng(amount).random(input_shape, np.float32)
    else:
        plane = np.full((rows, columns), min(amount, 10) / 10, np.float32)
    return np.ascontiguousarray(np.broadcast_to(plane, input_shape), np.float32)
