"""What is said of a file that is opened as a run and is something else."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from engine import load, save
from engine.errors import FormatError
from engine.io import export_onnx
from engine.io.recognise import RUN_MARK, STARTS, what_is
from tests.building import bits_of
from tests.debug.runs import tiny_scheduler


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(buffer, kind)
    return buffer.getvalue()


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in files.items():
            made.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return buffer.getvalue()


def arrays(packed: bool) -> bytes:
    buffer = io.BytesIO()
    if packed:
        np.savez(buffer, x_train=np.zeros(3), y_train=np.zeros(3))
    else:
        np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def onnx_model() -> bytes:
    path = Path(os.environ["PYTEST_RECOGNISE_FOLDER"], "net.onnx")
    export_onnx(tiny_scheduler().model, path)
    return path.read_bytes()


def foreign_onnx() -> bytes:
    """As torch writes them: producer, version, graph, in this order."""
    import onnx

    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")
    ]
    graph = onnx.helper.make_graph([node], "main_graph", ends[:1], ends[1:])
    made = onnx.helper.make_model(
        graph, producer_name="pytorch", opset_imports=[onnx.helper.make_opsetid("", 17)]
    )
    made.producer_version, made.doc_string = "2.4.0", "words"
    return bytes(made.SerializeToString())


MAGIC_OF_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."

STRANGERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "png": (lambda: picture("PNG"), "a PNG picture; give it to 'convscope predict"),
    "jpeg": (lambda: picture("JPEG"), "a JPEG picture"),
    "bmp": (lambda: picture("BMP"), "a BMP picture"),
    "webp": (lambda: picture("WEBP"), "a WebP picture"),
    "gif": (lambda: picture("GIF"), "a GIF picture; save it as PNG first"),
    "tiff": (lambda: picture("TIFF"), "a TIFF picture; save it as PNG first"),
    "onnx": (onnx_model, "an ONNX model; such files are written by 'convscope export'"),
    "foreign onnx": (foreign_onnx, "an ONNX model"),
    "npy": (lambda: arrays(False), "a NumPy array (.npy)"),
    "npz": (lambda: arrays(True), "a NumPy archive (.npz); if it holds x_train"),
    "zip": (lambda: archive(a_dot_txt=b"x"), "a zip archive; unpack it first"),
    "torch": (
        lambda: archive(net__data_dot_pkl=b"\x80\x02.", net__data__0=b"x"),
        "a PyTorch file (.pt)",
    ),
    "old torch": (lambda: MAGIC_OF_TORCH + b"x" * 20, "a PyTorch file (.pt)"),
    "keras": (
        lambda: archive(metadata_dot_json=b"{}", model_dot_weights_dot_h5=b"x"),
        "a Keras model (.keras)",
    ),
    "hdf5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(60), "an HDF5 file"),
    "pickle": (lambda: pickle.dumps({"weights": [1, 2]}), "a pickle; pickles are never opened"),
    "gzip": (lambda: gzip.compress(b"x" * 99), "a gzip archive; unpack it first"),
    "bzip2": (lambda: bz2.compress(b"x" * 99), "a bzip2 archive"),
    "xz": (lambda: lzma.compress(b"x" * 99), "an xz archive"),
    "idx": (
        lambda: struct.pack(">BBBBIII", 0, 0, 8, 3, 1, 28, 28) + bytes(784),
        "an idx file, as MNIST's are; give its folder as --data",
    ),
    "safetensors": (
        lambda: safetensors.numpy.save({"conv.weight": np.zeros((2, 2), np.float32)}),
        "a safetensors file of another program (1 tensors such as conv.weight)",
    ),
    "safetensors with words": (
        lambda: safetensors.numpy.save({"w": np.zeros(2)}, {"format": "pt"}),
        "a safetensors file of another program",
    ),
    "safetensors with odd names": (
        lambda: safetensors.numpy.save({"a\nb" + "x" * 99: np.zeros(2)}),
        "(1 tensors such as a bxxx",
    ),
    "text": (lambda: b"epoch,loss\n1,2\n", "a text file"),
    "long text": (lambda: "Größe, Länge\n".encode() * 1000, "a text file"),
    "json": (lambda: json.dumps({"a": 1}).encode(), "a JSON file"),
    "web page": (lambda: b"<!DOCTYPE html>\n<html>not found</html>", "a web page; the download"),
    "lfs": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "a pointer of git-lfs",
    ),
    "program": (lambda: b"\x7fELF\x02\x01\x01" + bytes(64), "a program"),
}


@pytest.fixture(scope="module", autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_RECOGNISE_FOLDER", str(tmp_path_factory.mktemp("onnx")))
        yield


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_stranger_is_called_by_its_name(kind: str, tmp_path: Path) -> None:
    make, text = STRANGERS[kind]
    path = tmp_path / "run.safetensors"  # what its name says counts for nothing
    path.write_bytes(make())
    with pytest.raises(FormatError) as caught:
        load(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: expected a run file, received ")
    assert text in sentence
    assert "\n" not in sentence


def test_every_start_in_the_table_is_found() -> None:
    for start, kind, _ in STARTS:
        found = what_is(start + bytes(100))
        assert found is not None
        assert found.startswith(kind)


def test_folders_and_devices_are_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"expected a run file, this is a folder$"):
        load(tmp_path)
    save(tiny_scheduler(), tmp_path / "net.safetensors")
    with pytest.raises(FormatError, match=r"in it there are net\.safetensors"):
        load(tmp_path)
    if os.name != "nt":
        with pytest.raises(FormatError, match="this is a device"):
            load("/dev/zero")
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FormatError, match="this is a device, a pipe"):
            load(tmp_path / "pipe")


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save(tiny_scheduler(), tmp_path_factory.mktemp("run") / "run").read_bytes()


def test_a_run_is_never_taken_for_a_stranger(run_file: bytes, tmp_path: Path) -> None:
    """A header's length stands first, so a run can begin with the signs of anything."""
    (length,) = struct.unpack("<Q", run_file[:8])
    starts = [start[:2] for start, _, _ in STARTS] + [b"BM", b"PK", b"II", b"MM", b"\x80\x02"]
    starts += [bytes((8, number)) for number in range(0, 256, 5)] + [b"{ ", b"  ", b"\n\n"]
    for start in starts:
        wanted = int.from_bytes(start, "little")
        while wanted < length:
            wanted += 65536
        header = run_file[8 : 8 + length].ljust(wanted)
        content = struct.pack("<Q", wanted) + header + run_file[8 + length :]
        assert content.startswith(start)
        assert what_is(content) is None, start
    path = tmp_path / "run.safetensors"
    path.write_bytes(run_file)
    assert bits_of(load(path).model) == bits_of(tiny_scheduler().model)


def test_damage_to_a_run_is_called_damage(run_file: bytes) -> None:
    place = run_file.index(RUN_MARK)
    for cut in range(place + len(RUN_MARK), len(run_file), 97):
        assert what_is(run_file[:cut]) is None
    rng = random.Random(0)
    for _ in range(300):
        spoilt = bytearray(run_file)
        at = rng.randrange(place + len(RUN_MARK), len(run_file))
        spoilt[at] ^= 1 << rng.randrange(8)
        assert what_is(bytes(spoilt)) is None


def test_nothing_makes_it_fail() -> None:
    rng = random.Random(0)
    seeds = [make() for make, _ in STRANGERS.values()]
    for _ in range(4000):
        content = bytearray(rng.choice(seeds)[: rng.randrange(1, 400)])
        for _ in range(rng.randrange(4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        found = what_is(bytes(content))
        assert found is None or "\n" not in found
    for size in range(40):
        what_is(rng.randbytes(size))
