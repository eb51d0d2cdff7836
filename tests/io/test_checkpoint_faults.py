"""Run files under fire: cut short, bits flipped, writes that fail, processes killed."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from engine import load, save
from engine.errors import EngineError, FormatError
from tests.building import bits_of
from tests.debug.runs import tiny_loader, tiny_scheduler


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a run after some steps."""
    path = tmp_path_factory.mktemp("run") / "run.safetensors"
    scheduler = tiny_scheduler()
    scheduler.fit(tiny_loader(), steps=4)
    save(scheduler, path)
    return path.read_bytes()


def refuse(path: Path, content: bytes, what: str) -> str:
    """Load `content`, expect one FormatError of one line that names the file."""
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        load(path)
    text = str(caught.value)
    assert path.name in text, f"{what}: {text}"
    assert "\n" not in text, f"{what}: {text}"
    assert len(text) < 500, f"{what}: {text}"
    return text


def test_every_truncation_is_refused(run_file: bytes, tmp_path: Path) -> None:
    size = len(run_file)
    # Every length where structure changes, a sample of the rest.
    lengths = {*range(64), *range(size - 64, size), *range(64, size - 64, max(1, size // 500))}
    for length in sorted(lengths):
        refuse(tmp_path / "cut.safetensors", run_file[:length], f"length {length}")


def test_every_flipped_byte_is_refused(run_file: bytes, tmp_path: Path) -> None:
    rng = random.Random(0)
    size = len(run_file)
    places = {*range(16), *range(size - 8, size), *rng.sample(range(size), 500)}
    for place in sorted(places):
        spoilt = bytearray(run_file)
        spoilt[place] ^= 1 << rng.randrange(8)
        refuse(tmp_path / "flip.safetensors", bytes(spoilt), f"byte {place}")


def test_bytes_behind_the_end_are_refused(run_file: bytes, tmp_path: Path) -> None:
    for extra in (b"\0", b"x" * 100, run_file):
        refuse(tmp_path / "long.safetensors", run_file + extra, "extra bytes")


def header(fields: dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(fields).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


CRAFTED: dict[str, bytes] = {
    "an empty file": b"",
    "a text file": b"hello, this is not a run file at all",
    "a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
    "a header longer than the file": header({}, length=10**6),
    "a header of 2^63 bytes": header({}, length=2**63),
    "a header that is no JSON": struct.pack("<Q", 5) + b"{nope",
    "a header that is a list": struct.pack("<Q", 2) + b"[]",
    "no tensors": header({}),
    "a foreign file": header(
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
    "overlapping tensors": header(
        {
            "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        },
        b"\0" * 12,
    ),
    "a hole between tensors": header(
        {
            "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
        },
        b"\0" * 12,
    ),
    "a negative offset": header(
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, b"\0" * 4
    ),
    "a shape that does not fit its bytes": header(
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
    "a shape of 2^62 elements": header(
        {"a": {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
    "an unknown dtype": header(
        {"a": {"dtype": "Q7", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_files_are_refused(name: str, tmp_path: Path) -> None:
    refuse(tmp_path / "crafted.safetensors", CRAFTED[name], name)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.safetensors", tmp_path):
        with pytest.raises(EngineError) as caught:
            load(path)
        assert path.name in str(caught.value)


# ------------------------------------------------------------------------------ failing writes


class Faults:
    """Makes the n-th call of the operating system that saving depends on fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.calls: list[str] = []
        for name in ("fsync", "replace", "open", "rename"):
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))
        monkeypatch.setattr(os, "fdopen", self.wrap_file(os.fdopen))

    def wrap(self, name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if self.left is not None:
                self.calls.append(name)
                self.left -= 1
                if self.left < 0:
                    raise OSError(28, "No space left on device")
            return function(*arguments, **options)

        return call

    def wrap_file(self, fdopen: Any) -> Any:
        """Return a way to open files whose writing can fail, too."""

        def call(*arguments: Any, **options: Any) -> Any:
            file = fdopen(*arguments, **options)
            proxy = MagicMock(wraps=file)
            proxy.__enter__.side_effect = lambda: proxy
            proxy.__exit__.side_effect = lambda *_: file.close()
            proxy.write.side_effect = self.wrap("write", file.write)
            proxy.flush.side_effect = self.wrap("flush", file.flush)
            return proxy

        return call


def test_a_save_that_fails_anywhere_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.safetensors"
    scheduler = tiny_scheduler()
    save(scheduler, path)
    old, before = path.read_bytes(), bits_of(scheduler.model)
    scheduler.fit(tiny_loader(), steps=2)
    faults = Faults(monkeypatch)
    failed = 0
    for number in range(50):
        faults.left, faults.calls = number, []
        try:
            save(scheduler, path)
        except EngineError as error:
            failed += 1
            assert path.name in str(error)
            assert "No space left" in str(error)
        else:
            break
        finally:
            faults.left = None
        assert {p.name for p in tmp_path.iterdir()} == {path.name}, f"failure at call {number}"
        if path.read_bytes() == old:
            assert bits_of(load(path).model) == before
        else:
            # Only a failure after the replacement (syncing the folder) may leave the new file.
            assert bits_of(load(path).model) == bits_of(scheduler.model)
    assert failed >= 4
    order = [call for call in faults.calls if call in ("write", "fsync", "replace")]
    expected = ["write", "fsync", "replace", *(["fsync"] if os.name != "nt" else [])]
    assert order == expected, "on the disk before it takes the old file's place"
    assert bits_of(load(path).model) == bits_of(scheduler.model)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no such folder" / "run.safetensors"
    with pytest.raises(EngineError) as caught:
        save(tiny_scheduler(), path)
    assert "no such folder" in str(caught.value)


# ------------------------------------------------------------------------------------- killed

KILLED = """
import os, random, signal, struct, sys, time
from pathlib import Path
import numpy as np
from engine import load, save
from tests.debug.runs import tiny_scheduler

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
path = folder / "run.safetensors"
scheduler = tiny_scheduler()

def fill(number):
    for parameter in scheduler.model.parameters.values():
        parameter.value = np.full(parameter.value.shape, float(number), np.float32)

fill(0)
save(scheduler, path)
begin = time.perf_counter()
save(scheduler, path)
usual = time.perf_counter() - begin
random.seed(1)
done = 0
for turn in range(rounds):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        while True:
            done += 1
            fill(done)
            save(scheduler, path)
            os.write(writer, struct.pack("<q", done))
    os.close(writer)
    done = struct.unpack("<q", os.read(reader, 8))[0]
    time.sleep(random.random() * 3 * usual)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while len(chunk := os.read(reader, 8)) == 8:
        done = struct.unpack("<q", chunk)[0]
    os.close(reader)
    values = {float(v) for p in load(path).model.parameters.values() for v in p.value.ravel()}
    if not values <= {float(done), float(done + 1)} or len(values) != 1:
        sys.exit(f"round {turn}: finished {done}, file holds {values}")
    done = int(max(values))
print(done)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="killing a child needs fork; POSIX only")
def test_a_process_killed_while_saving_leaves_the_last_file_or_the_one_before(
    tmp_path: Path,
) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "40"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) >= 40
    save(tiny_scheduler(), tmp_path / "run.safetensors")
    assert len(list(tmp_path.iterdir())) == 1, "stale temporary files are swept by the next process"


def test_resuming_needs_no_more_than_the_file(run_file: bytes, tmp_path: Path) -> None:
    """Weights hold anything a float can: NaN and infinities survive."""
    path = tmp_path / "run.safetensors"
    path.write_bytes(run_file)
    scheduler = load(path)
    weight = np.array(scheduler.model["conv1"].weight.value)
    weight[0, 0, 0] = [np.nan, np.inf, -0.0]
    scheduler.model["conv1"].weight.value = weight
    save(scheduler, path)
    assert load(path).model["conv1"].weight.value.tobytes() == weight.tobytes()
