"""Every writer on every hard target: links, folders, devices, protected files, long names, no room.

The rules: a link stays a link and what it points to is written; what cannot be written is one
sentence and changes nothing; `check_writable` foresees what `write_whole` will say.
"""

from __future__ import annotations

import ast
import contextlib
import locale
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import save
from engine.errors import EngineError, FormatError
from engine.io import export_onnx, files
from engine.io.files import check_writable, write_whole
from tests.debug.runs import tiny_scheduler

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and permissions of POSIX")


def write_picture(path: Path) -> None:
    from PyQt6.QtGui import QPixmap

    from gui.saving import save_png

    picture = QPixmap(3, 2)
    picture.fill()
    save_png(picture, path)


def write_array(path: Path) -> None:
    """What the window's export of a tensor does."""
    from types import SimpleNamespace

    import numpy as np

    from gui.worker.bench import EngineBench

    tensor = np.arange(6.0)
    debuggee = SimpleNamespace(read=lambda layer, tensor_name: (tensor, None, None))
    notices = SimpleNamespace(put=lambda notice: None)
    bench: Any = SimpleNamespace(
        _open=lambda: SimpleNamespace(debuggee=debuggee), _outlets=SimpleNamespace(notices=notices)
    )
    EngineBench.do_export_npy(bench, str(path), "conv1", "output")


def write_settings_of_the_window(path: Path) -> None:
    from gui.settings import Settings, write_settings

    write_settings(path, Settings())


WRITERS: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda path: write_whole(path, b"new"),
    "run": lambda path: save(tiny_scheduler(), path),
    "onnx": lambda path: export_onnx(tiny_scheduler().model, path),
    "picture": write_picture,
    "array": write_array,
    "settings": write_settings_of_the_window,
}


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest) -> Callable[[Path], Any]:
    if request.param == "picture":
        request.getfixturevalue("qapp")
    # The system's words are part of the sentences; Qt changes their language for the process.
    locale.setlocale(locale.LC_MESSAGES, "C")
    return WRITERS[request.param]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing may be left behind."""
    place = tmp_path / "place"
    place.mkdir()
    yield place
    assert not list(tmp_path.rglob(f"{files.PREFIX}*")), "a temporary file stayed"


def refused(writer: Callable[[Path], Any], path: Path, *texts: str) -> None:
    """The writer, and the check before it, say one sentence with one of the texts."""
    for call in (check_writable, writer):
        with pytest.raises(EngineError) as caught:
            call(path)
        sentence = str(caught.value)
        assert any(text in sentence for text in texts), sentence
        assert "\n" not in sentence
        assert path.name[:20] in sentence or repr(str(path))[1:20] in sentence


# --- what is written ----------------------------------------------------------------------------


def test_a_new_file_and_a_known_one(writer: Callable[[Path], Any], folder: Path) -> None:
    path = folder / "file"
    check_writable(path, 1000)
    assert not path.exists()
    writer(path)
    first = path.read_bytes()
    assert first
    path.write_bytes(b"old")
    check_writable(path, 1000)
    assert path.read_bytes() == b"old"
    writer(path)
    assert len(path.read_bytes()) == len(first)


def test_a_link_stays_and_its_target_is_replaced(
    writer: Callable[[Path], Any], folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = elsewhere / "target"
    target.write_bytes(b"old")
    before = target.stat().st_ino
    link, second = folder / "link", folder / "second"
    link.symlink_to("../elsewhere/target")
    second.symlink_to(link)
    writer(second)
    assert link.is_symlink()
    assert second.is_symlink()
    assert link.readlink() == Path("../elsewhere/target")
    assert target.read_bytes() != b"old"
    assert target.stat().st_ino != before, "replaced, not written over"


def test_the_target_of_a_dangling_link_is_made(
    writer: Callable[[Path], Any], folder: Path, tmp_path: Path
) -> None:
    link = folder / "link"
    link.symlink_to(tmp_path / "not yet")
    writer(link)
    assert link.is_symlink()
    assert (tmp_path / "not yet").is_file()


def test_a_name_as_long_as_the_file_system_allows(
    writer: Callable[[Path], Any], folder: Path
) -> None:
    for name in ("n" * 250, "n" * 255, "ü" * 127):
        check_writable(folder / name)
        writer(folder / name)
        assert (folder / name).stat().st_size


def test_permissions_and_group_stay(writer: Callable[[Path], Any], folder: Path) -> None:
    path = folder / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    before = path.stat()
    writer(path)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_new_file_has_the_permissions_of_any_new_file(folder: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(folder / "file", b"x")
    finally:
        os.umask(before)
    assert (folder / "file").stat().st_mode & 0o777 == 0o640


# --- what is refused ----------------------------------------------------------------------------


def test_a_link_in_a_circle(writer: Callable[[Path], Any], folder: Path) -> None:
    one, two, self = folder / "one", folder / "two", folder / "self"
    one.symlink_to(two)
    two.symlink_to(one)
    self.symlink_to(self)
    for path in (one, self):
        refused(writer, path, "leads back to itself")
        assert path.is_symlink()


def test_a_dangling_link_into_no_folder(writer: Callable[[Path], Any], folder: Path) -> None:
    link = folder / "link"
    link.symlink_to(folder / "none" / "target")
    refused(writer, link, "none does not exist")


def test_a_protected_file_stays(writer: Callable[[Path], Any], folder: Path) -> None:
    path, link = folder / "file", folder / "link"
    path.write_bytes(b"old")
    path.chmod(0o444)
    link.symlink_to(path)
    refused(writer, path, "write-protected")
    refused(writer, link, "write-protected")
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("kind", ["folder", "link to a folder", "pipe", "device"])
def test_what_is_no_file_stays(writer: Callable[[Path], Any], folder: Path, kind: str) -> None:
    path = folder / "thing"
    if kind == "folder":
        path.mkdir()
    elif kind == "link to a folder":
        path.symlink_to(folder)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/full")
    before = path.lstat()
    refused(writer, path, "is a folder" if "folder" in kind else "a device, a pipe or a socket")
    assert path.lstat().st_ino == before.st_ino


def test_a_missing_folder(writer: Callable[[Path], Any], folder: Path) -> None:
    if writer is write_settings_of_the_window:
        pytest.skip("the window makes the folder of its settings")
    refused(writer, folder / "none" / "file", "the folder")


def test_a_file_in_place_of_the_folder(writer: Callable[[Path], Any], folder: Path) -> None:
    (folder / "file").write_bytes(b"old")
    with pytest.raises(FormatError):
        check_writable(folder / "file" / "inside")
    with pytest.raises(FormatError, match="inside"):
        writer(folder / "file" / "inside")
    assert (folder / "file").read_bytes() == b"old"


def test_names_that_no_file_can_have(writer: Callable[[Path], Any], folder: Path) -> None:
    refused(writer, folder / ("n" * 256), "name too long", "names of at most 255 bytes")
    if writer is not write_settings_of_the_window:  # Python itself refuses to make its folder
        refused(writer, folder / "a\0b", "zero byte", "expected the path of a file")


def test_a_folder_without_permission() -> None:
    """Permissions mean nothing to the administrator, so somebody else tries."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        try_without_permission(Path(place))


def try_without_permission(place: Path) -> None:
    folder, parent = place / "protected", place / "sticky"
    folder.mkdir()
    folder.chmod(0o555)
    parent.mkdir()
    sticky = parent / "file"
    sticky.write_bytes(b"old")
    sticky.chmod(0o666)
    sticky.parent.chmod(0o1777)
    code = (
        "import os, sys; from engine.errors import FormatError\n"
        "from engine.io.files import check_writable, write_whole\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "for path in sys.argv[1:]:\n"
        "    for call in (check_writable, lambda path: write_whole(path, b'x')):\n"
        "        try: call(path)\n"
        "        except FormatError as error: print(error)\n"
        "        else: print('written')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "file"), str(sticky)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert "Permission denied" in lines[0]
    assert "Permission denied" in lines[1]
    if os.geteuid() == 0:
        assert "only owners may replace" in lines[2]
    folder.chmod(0o755)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    writer: Callable[[Path], Any], tiny_disk: Path
) -> None:
    path = tiny_disk / "file"
    path.write_bytes(b"old")
    (tiny_disk / "ballast").write_bytes(bytes(56 * 1024))
    with contextlib.suppress(OSError), (tiny_disk / "rest").open("wb", buffering=0) as file:
        file.write(bytes(64 * 1024))
    with pytest.raises(FormatError, match="No space left") as caught:
        writer(path)
    assert str(path) in str(caught.value)
    with pytest.raises(FormatError, match="No space left"):
        check_writable(path, 10_000)
    assert path.read_bytes() == b"old"
    assert {entry.name for entry in tiny_disk.iterdir()} == {"file", "ballast", "rest"}


def test_room_is_asked_for_before(tiny_disk: Path) -> None:
    check_writable(tiny_disk / "file", 30_000)
    with pytest.raises(FormatError, match="200,000 bytes are needed"):
        check_writable(tiny_disk / "file", 200_000)
    assert not list(tiny_disk.iterdir())


# --- leftovers ----------------------------------------------------------------------------------


def leftover(folder: Path, machine: str, process: int) -> Path:
    path = folder / f"{files.PREFIX}{machine}-{process}-{'0' * 8}{files.PART}"
    path.write_bytes(b"half")
    return path


@pytest.fixture
def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_only_leftovers_of_dead_processes_of_this_machine_are_removed(
    tmp_path: Path, dead_process: int
) -> None:
    dead = leftover(tmp_path, files._machine(), dead_process)
    living = leftover(tmp_path, files._machine(), os.getppid())
    foreign = leftover(tmp_path, "0" * 8, dead_process)
    stranger = tmp_path / f".{tmp_path.name}.{dead_process}.abc{files.PART}"
    stranger.write_bytes(b"not ours")
    write_whole(tmp_path / "file", b"x")
    assert not dead.exists()
    assert living.exists()
    assert foreign.exists()
    assert stranger.exists()


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    original = os.scandir

    def scandir(path: Any = ".") -> Any:
        listed.append(str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "listdir", lambda *_: pytest.fail("a listing"))
    for number in range(20):
        write_whole(tmp_path / f"file{number}", b"x")
        write_whole(tmp_path / "again", b"x")
    assert listed.count(str(tmp_path)) == 1


def test_a_file_being_written_bears_machine_and_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def look(handle: int) -> None:
        seen.extend(path.name for path in tmp_path.iterdir())

    monkeypatch.setattr(os, "fsync", look)
    write_whole(tmp_path / ("n" * 250), b"x")
    (name,) = seen[:1]
    found = files._WRITTEN.fullmatch(name)
    assert found is not None
    assert (found[1], found[2]) == (files._machine(), str(os.getpid()))


def test_two_threads_write_one_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 100_000 for number in range(4)]

    def work(content: bytes) -> None:
        for _ in range(10):
            write_whole(path, content)

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


# --- nobody writes in another way ---------------------------------------------------------------

ALLOWED = {
    "engine/io/files.py": "the one way itself",
    "engine/kernels/cpu/_cache.py": "kernels lie below the files of the user, and heal themselves",
    "engine/commands/keeping.py": "finds a new name in a foreign folder, then saves there",
    "engine/commands/streams.py": "opens the device that swallows everything",
    "engine/io/checkpoint.py": "safetensors.numpy.save returns bytes",
    "engine/data/preparing.py": "writes a picture into memory",
    "gui/display.py": "opens the device that swallows everything",
    "gui/saving.py": "draws into memory",
}
WRITES = {
    "write_text", "write_bytes", "tofile", "savez", "savez_compressed", "savetxt", "mkstemp",
    "NamedTemporaryFile", "TemporaryFile", "save_file", "copyfile", "copy2", "memmap", "truncate",
}  # fmt: skip


def writes_of(source: str) -> list[int]:
    """Return the lines that write to a path."""
    found: list[int] = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = getattr(function, "attr", getattr(function, "id", ""))
        owner = getattr(getattr(function, "value", None), "id", "")
        words = [
            argument.value for argument in ast.walk(node) if isinstance(argument, ast.Constant)
        ]
        modes = {word for word in words if isinstance(word, str) and len(word) <= 3}
        opens = name == "open" and (owner == "os" or any(set(mode) & set("wax+") for mode in modes))
        # `painter.save()` keeps a state, `save(run, path)` is the engine's own.
        saves = name == "save" and isinstance(function, ast.Attribute) and bool(node.args)
        saves = saves and not any(getattr(a, "id", "") in ("buffer", "content") for a in node.args)
        if opens or saves or name in WRITES:
            found.append(node.lineno)
    return found


def test_every_write_goes_through_one_function() -> None:
    others: dict[str, list[int]] = {}
    for package in ("engine", "gui", "benchmarks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            lines = writes_of(path.read_text(encoding="utf-8"))
            name = path.relative_to(ROOT).as_posix()
            if lines and name not in ALLOWED:
                others[name] = lines
    assert others == {}
    assert all((ROOT / name).is_file() for name in ALLOWED)


@pytest.mark.parametrize(
    "line",
    [
        "path.open('wb')",
        "open(path, 'w')",
        "open(path, mode='a')",
        "os.open(path, os.O_WRONLY)",
        "np.save(path, array)",
        "picture.save(path)",
        "path.write_text('x')",
    ],
)
def test_the_walk_sees_every_way_to_write(line: str) -> None:
    assert writes_of(line) == [1]
    assert writes_of("path.open('rb')\npainter.save()\nsave(run, path)\nopen(path)") == []
