"""Reading a file that shall be a run; of any other kind it says what it is and what to do."""

from __future__ import annotations

import io
import json
import stat
import struct
import zipfile
from pathlib import Path

from engine.errors import FormatError

RUN_MARK = b"convscope-run"
"""Stands in the header of every run file."""

PICTURES = {
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF87a": "a GIF picture",
    b"GIF89a": "a GIF picture",
    b"BM": "a BMP picture",
}
AS_PICTURE = "give it to 'convscope predict RUN PICTURE', or drop it on the window"
AS_DATA = "give it as --data"
UNPACK = "unpack it first"
REBUILD = "build the model here and set its parameters"

STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x93NUMPY", "a NumPy array (.npy)", "weights alone are no run; build the model and save it"),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file, as Keras writes them",
        REBUILD,
    ),
    (b"GGUF", "a GGUF file", "Convscope has convolutional networks only"),
    (b"%PDF-", "a PDF document", ""),
    (b"\x7fELF", "a program", ""),
    (b"MZ", "a program", ""),
    (b"#!", "a script", "run it with Python"),
)
"""First bytes, what begins with them, and what can be done with it."""

TORCH_HINT = "run files hold no pickles; build the model here and set its parameters"
ONNX_HINT = "such files are written by 'convscope export'; open the run it was made from"


def read_run(target: Path) -> bytes:
    """Return the bytes of a file that may be a run.

    Raises
    ------
    FormatError
        If there is no such file, it cannot be read, or it is known to be something else.
    """
    try:
        kind = target.stat().st_mode
        if stat.S_ISDIR(kind):
            raise FormatError(f"{target}: {_folder_hint(target)}")
        if not stat.S_ISREG(kind):
            raise FormatError(
                f"{target}: expected a run file, this is a device, a pipe or a socket"
            )
        content = target.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte within the path
        if isinstance(error, FormatError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise FormatError(f"{target}: cannot be read ({reason})") from error
    except MemoryError as error:
        raise FormatError(
            f"{target}: expected a run file, received {target.stat().st_size:,} bytes, which do "
            "not fit into this machine's memory"
        ) from error
    found = what_is(content)
    if found is not None:
        raise FormatError(f"{target}: expected a run file, received {found}")
    return content


def what_is(content: bytes) -> str | None:
    """Return what a file that is no run seems to be, with what to do, or None if nobody knows.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    str or None
        For example ``"a PNG picture; give it to 'convscope predict RUN PICTURE' ..."``.
    """
    length = int.from_bytes(content[:8], "little")
    if RUN_MARK in content[8 : 8 + length]:
        return None  # a run, if a damaged one
    found = (
        _safetensors(content)
        or _picture(content)
        or _archive(content)
        or next(((kind, hint) for start, kind, hint in STARTS if content.startswith(start)), None)
        or _idx(content)
        or _pickle(content)
        or _onnx(content)
        or _text(content)
    )
    if found is None:
        return None
    kind, hint = found
    return f"{kind}; {hint}" if hint else kind


def _picture(content: bytes) -> tuple[str, str] | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "a WebP picture", AS_PICTURE
    if content[:4] in (b"II*\0", b"MM\0*"):
        return "a TIFF picture", "save it as PNG first"
    for start, kind in PICTURES.items():
        # Two letters alone prove nothing; a BMP also has four zero bytes in its head.
        if content.startswith(start) and (start != b"BM" or content[6:10] == bytes(4)):
            hint = "save it as PNG first" if b"GIF" in start else AS_PICTURE
            return kind, hint
    return None


def _archive(content: bytes) -> tuple[str, str] | None:
    """Tell the many things that are zip archives from each other."""
    if not content.startswith(b"PK"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return "a damaged zip archive", ""
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch file (.pt)", TORCH_HINT
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz)", f"if it holds x_train, y_train ..., {AS_DATA}"
    if any(name == "metadata.json" for name in names) and any("weights" in name for name in names):
        return "a Keras model (.keras)", REBUILD
    return "a zip archive", UNPACK


def _idx(content: bytes) -> tuple[str, str] | None:
    """Tell the files of MNIST and its relatives: two zeros, a type, a number of axes."""
    known = (0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E)
    if len(content) > 8 and content[:2] == b"\0\0" and content[2] in known and content[3] in (1, 3):
        return "an idx file, as MNIST's are", "give its folder as --data"
    return None


def _pickle(content: bytes) -> tuple[str, str] | None:
    """Tell pickles, among them PyTorch's older files, without reading them."""
    if not (len(content) > 2 and content[0] == 0x80 and content[1] in range(2, 6)):
        return None
    if b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." in content[:64] or b"torch" in content[:4096]:
        return "a PyTorch file (.pt)", TORCH_HINT
    return "a pickle", "pickles are never opened: they can hold programs"


def _safetensors(content: bytes) -> tuple[str, str] | None:
    """Tell files of tensors that other programs wrote: the header is sound, but not ours."""
    if len(content) < 10:
        return None
    (length,) = struct.unpack("<Q", content[:8])
    if not 2 <= length <= len(content) - 8 or content[8:9] != b"{":
        return None
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError):
        return None
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if not all(isinstance(entry, dict) and "data_offsets" in entry for entry in entries.values()):
        return None
    names = " ".join(", ".join(name[:40] for name in list(entries)[:3]).split())
    more = f" such as {names}" if names else ""
    return (
        f"a safetensors file of another program ({len(entries)} tensors{more})",
        "it has weights but no network: build the model, then set its parameters",
    )


def _onnx(content: bytes) -> tuple[str, str] | None:
    """Tell an ONNX model by its first fields, without the onnx package."""
    # ModelProto: 1 ir_version, 2 producer_name, 3 producer_version, 4 domain, 5 model_version,
    # 6 doc_string, 7 graph, 8 opset_import. What is walked here must be just that.
    at = 0
    seen: set[int] = set()
    lengths = {2, 3, 4, 6, 7, 8, 14, 20, 25, 26}
    while at < len(content) and 7 not in seen:
        field, kind = content[at] >> 3, content[at] & 7
        at += 1
        if content[at - 1] >= 0x80 or kind != (2 if field in lengths else 0):
            return None
        if field not in lengths | {1, 5} or field in seen - {8}:
            return None
        value, at = _varint(content, at)
        if value is None:
            return None
        seen.add(field)
        at += value if kind == 2 else 0
    # The graph may be the last and longest field, and cut short.
    return ("an ONNX model", ONNX_HINT) if {1, 7} <= seen else None


def _varint(content: bytes, at: int) -> tuple[int | None, int]:
    """Return the number of variable length at a place, and the place behind it."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(content):
            return None, at
        value |= (content[at] & 0x7F) << shift
        at += 1
        if content[at - 1] < 0x80:
            return value, at
    return None, at


def _text(content: bytes) -> tuple[str, str] | None:
    """Tell plain text."""
    head = content[:512]
    if not head:
        return None
    try:
        text = head.decode("utf-8", "strict" if len(content) <= 512 else "ignore")
    except UnicodeDecodeError:
        return None
    if any(ord(sign) < 32 and sign not in "\t\r\n\f" for sign in text) or len(text) < len(head) / 4:
        return None
    if text.lstrip().startswith(("version https://git-lfs",)):
        return "a pointer of git-lfs, not the file itself", "fetch it with: git lfs pull"
    if text.lstrip().lower().startswith(("<!doctype html", "<html")):
        return "a web page", "the download went wrong; fetch the file itself"
    if text.lstrip().startswith(("{", "[")):
        return "a JSON file", ""
    return "a text file", ""


def _folder_hint(path: Path) -> str:
    """Return what to say of a folder that was opened as a run."""
    runs = sorted(entry.name for entry in path.glob("*.safetensors"))[:3]
    if runs:
        return f"expected a run file, this is a folder; in it there are {', '.join(runs)}"
    return "expected a run file, this is a folder"
