"""The cache of compiled kernels: what is damaged is made again, and nobody is ever in the way."""

from __future__ import annotations

import ctypes
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numba import types

from engine.kernels.cpu import _cache, _native, _python
from engine.kernels.cpu._cache import Cache, Code, decode, encode
from engine.kernels.cpu._native import Native

CODE = Code("convscope_thing", ("sqrtf", "other"), bytes(range(256)) * 3)
pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="nothing is compiled"
)


def plus_one(number: int) -> int:
    return number + 1


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Put a cache of its own in place of the process's."""
    made = Cache([tmp_path / "home" / "kernels-a"])
    for module in (_native, _python):
        monkeypatch.setattr(module, "kernel_cache", lambda: made)
    return made


def fresh() -> Native:
    return Native("plus_one_of_the_tests", plus_one, [types.int64], types.int64)


def run(native: Native) -> int:
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(native.address)(41)


def test_contents_come_back():
    assert decode(encode(CODE)) == CODE


@pytest.mark.parametrize("length", [0, 1, 15, 16, 40, 48, 51, 52, 60, 200, 800])
def test_a_truncated_file_is_refused(length):
    assert len(encode(CODE)) > length
    assert decode(encode(CODE)[:length]) is None


def test_any_flipped_bit_is_refused():
    data = encode(CODE)
    for place in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        assert decode(bytes(damaged)) is None


def test_a_function_is_compiled_once_and_then_loaded(cache, monkeypatch):
    assert run(fresh()) == 42
    assert cache.names() == {fresh().key}

    def never(native: Native) -> Code:
        raise AssertionError(f"{native.name} is compiled again")

    monkeypatch.setattr(_native, "_compiled", never)
    assert run(fresh()) == 42


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "folder":
        path.unlink()
        path.mkdir()
        (path / "inside").write_text("x")
    elif how == "bits":
        path.write_bytes(data[:-100] + bytes(100))
    elif how == "unreadable":
        path.chmod(0)
    else:
        path.write_bytes(data[: int(how)])


@pytest.mark.parametrize("how", ["0", "20", "47", "300", "bits", "folder", "unreadable"])
def test_a_damaged_file_is_made_again(cache, how):
    native = fresh()
    native.compile()
    path = cache.folder / f"{native.key}.kernel"
    good = path.read_bytes()
    spoil(path, how)
    assert run(fresh()) == 42
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)  # who may read all was not hindered and left it alone
    assert decode(path.read_bytes()) == decode(good)


def test_code_that_calls_what_is_not_there_is_made_again(cache):
    native = fresh()
    code = native.compile()
    cache.write(native.key, code._replace(needs=("convscope_nowhere",)))
    assert run(fresh()) == 42
    assert cache.read(native.key).needs == ()


def test_another_text_of_a_module_is_another_name(tmp_path):
    module = tmp_path / "kernels.py"
    module.write_text("from engine.kernels.cpu import plain\n")
    first = _cache.source_digest(str(module))
    _cache.source_digest.cache_clear()
    _cache._source.cache_clear()
    module.write_text("from engine.kernels.cpu import plain, conv\n")
    assert _cache.source_digest(str(module)) != first


def test_imported_kernel_modules_count(monkeypatch):
    path = Path(_cache.__file__).with_name("conv.py")
    _cache.source_digest.cache_clear()
    before = _cache.source_digest(str(path))
    text = _cache._source
    monkeypatch.setattr(
        _cache, "_source", lambda p: text(p) + (b"#" if p.name == "plain.py" else b"")
    )
    _cache.source_digest.cache_clear()
    changed = _cache.source_digest(str(path))
    _cache.source_digest.cache_clear()
    assert changed != before


def test_a_folder_that_cannot_be_made_is_passed_over(tmp_path):
    (tmp_path / "file").write_text("")
    cache = Cache([tmp_path / "file" / "kernels-a", tmp_path / "kernels-a"])
    assert cache.folder == tmp_path / "kernels-a"
    assert cache.write("name", CODE)
    assert cache.read("name") == CODE


def test_without_any_folder_everything_still_runs(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    nowhere = Cache([tmp_path / "file" / "kernels-a"])
    monkeypatch.setattr(_native, "kernel_cache", lambda: nowhere)
    monkeypatch.setattr(_python, "kernel_cache", lambda: nowhere)
    assert nowhere.folder is None
    assert run(fresh()) == 42
    assert _python.compiled.__wrapped__(plus_one)(1) == 2
    assert "no folder can be written" in nowhere.describe()


def test_a_full_cache_that_cannot_be_written_is_read(tmp_path, monkeypatch):
    filled = Cache([tmp_path / "install"])
    assert filled.write("name", CODE)
    probe = _cache.tempfile.TemporaryFile

    def refuse(dir: Path):
        if dir == tmp_path / "install":
            raise PermissionError(dir)
        return probe(dir=dir)

    monkeypatch.setattr(_cache.tempfile, "TemporaryFile", refuse)
    cache = Cache([tmp_path / "install", tmp_path / "own"])
    assert cache.read("name") == CODE
    assert cache.write("other", CODE)
    assert (tmp_path / "own" / "other.kernel").is_file()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no such rights here")
def test_a_folder_that_others_can_write_is_not_believed(tmp_path):
    place = tmp_path / "kernels-a"
    Cache([place]).write("name", CODE)
    place.chmod(0o777)
    cache = Cache([place, tmp_path / "own"])
    assert cache.folder == tmp_path / "own"
    assert cache.read("name") is None


def test_only_old_folders_of_other_states_go(tmp_path):
    now = time.time()
    for age in range(8):
        folder = tmp_path / f"kernels-{age}"
        folder.mkdir()
        os.utime(folder, (now - age * 20 * 86400,) * 2)
    (tmp_path / "something else").mkdir()
    os.utime(tmp_path / "something else", (0, 0))
    assert Cache([tmp_path / "kernels-new"]).folder is not None
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"kernels-new", "kernels-0", "kernels-1", "kernels-2", "something else"}


@pytest.mark.parametrize("damage", ["", "0", "10", "bits", "folder"])
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_numbas_own_files_heal_too(cache, suffix, damage):
    compiled = _python.compiled.__wrapped__
    assert compiled(plus_one)(np.int64(1)) == 2
    folder = cache.folder / "python"
    (path,) = folder.rglob(f"*.{suffix}")
    if damage:
        spoil(path, damage)
    again = compiled(plus_one)
    assert again(np.int64(1)) == 2
    assert sum(again.stats.cache_hits.values()) == (not damage)
    if damage:
        third = compiled(plus_one)
        assert third(np.int64(1)) == 2
        assert sum(third.stats.cache_hits.values()) == 1


def test_many_writers_and_readers_see_whole_files(tmp_path):
    script = """
import sys
from pathlib import Path
from engine.kernels.cpu._cache import Cache, Code
cache = Cache([Path(sys.argv[1])])
letter = sys.argv[2].encode()
for _ in range(150):
    cache.write("name", Code("symbol", (), letter * 50_000))
    code = cache.read("name")
    if code is None or len(set(code.machine_code)) != 1:
        sys.exit("a torn file")
"""
    command = [sys.executable, "-c", script, str(tmp_path / "kernels-a")]
    running = [
        subprocess.Popen([*command, letter], stderr=subprocess.PIPE, text=True, cwd=Path.cwd())
        for letter in "ab"
    ]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert [path.name for path in (tmp_path / "kernels-a").iterdir()] == ["name.kernel"]


def where(**settings: str) -> dict[str, str]:
    """Return what a new process takes as its folders, and as the name of its state."""
    script = (
        "import json; from engine.kernels.cpu import _cache as c;"
        "print(json.dumps({'homes': [str(h) for h in c.homes()], 'state': c.state()}))"
    )
    base = {k: v for k, v in os.environ.items() if k not in ("CONVSCOPE_CACHE_DIR",)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=base | settings, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    result: dict[str, str] = json.loads(done.stdout)
    return result


def test_the_folder_names_processor_and_place():
    usual = where(XDG_CACHE_HOME="/somewhere/else")
    assert usual["homes"][0] == str(Path("/somewhere/else/convscope"))
    other = where(CONVSCOPE_CACHE_DIR="/chosen", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert other["homes"][0] == str(Path("/chosen/convscope"))
    assert other["state"].startswith(f"kernels-{_cache.FORMAT}-generic-")
    assert other["state"] != usual["state"]
