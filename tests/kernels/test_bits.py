"""Short runs have the recorded bits, with any number of threads and any machine code.

`bits.py` has the cases, and says how to print and to record their hashes. A case whose bits move
without anybody wanting it is a fault, also where results are no worse.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.kernels.cpu import _width
from engine.kernels.cpu._jit import JIT_DISABLED
from tests.kernels.bits import CASES, Hashes, recorded

ROOT = Path(__file__).parents[2]
ORDER = "record it with: python -m tests.kernels.bits --record new"
OTHERS = {
    "16 bytes, float32": ({_width.SETTING: "16"}, "float32"),
    "16 bytes, float64": ({_width.SETTING: "16"}, "float64"),
    "64 bytes, float32": ({_width.SETTING: "64"}, "float32"),
    "32 bytes, float64": ({_width.SETTING: "32"}, "float64"),
    "any processor of this kind, float64": ({"NUMBA_CPU_NAME": "generic"}, "float64"),
    "16 bytes, nets": ({_width.SETTING: "16"}, "net "),
    "64 bytes, nets": ({_width.SETTING: "64"}, "net "),
}
"""Other machine code: environment, and the cases that are tried. Each compiles kernels of its own,
which stay in the cache; not every width is tried with both dtypes, since that takes its time."""
PATIENCE_S = 300

pytestmark = pytest.mark.skipif(JIT_DISABLED, reason="plain Python takes hours for these")


def moved(found: dict[str, Hashes]) -> dict[str, list[str]]:
    """Return which hashes of which cases are not the recorded ones."""
    known = recorded()
    return {
        name: [part for part, value in now.items() if known[name][part] != value]
        for name, now in found.items()
        if now != known[name]
    }


def test_every_case_is_recorded() -> None:
    assert set(CASES) == set(recorded()), ORDER


@pytest.mark.parametrize("name", list(CASES))
def test_bits_are_as_recorded(name: str) -> None:
    assert name in recorded(), ORDER
    assert not moved({name: CASES[name](2)})


@pytest.mark.parametrize("threads", [1, 5])
def test_threads_change_no_bit(threads: int) -> None:
    assert not moved({name: case(threads) for name, case in CASES.items()})


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("which", list(OTHERS))
def test_other_machine_code_changes_no_bit(which: str) -> None:
    settings, only = OTHERS[which]
    command = [sys.executable, "-m", "tests.kernels.bits", "--json", "--only", only]
    done = subprocess.run(
        [*command, "--threads", "1", "2", "5"],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"1", "2", "5"}
    for threads, cases in found.items():
        assert set(cases) == {name for name in CASES if only in name}
        assert not moved(cases), f"{threads} threads"


# ---------------------------------------------------------------------------- the width


@pytest.mark.parametrize("text", ["8", "128", "32.0", "wide", "-16", "3 2"])
def test_a_width_that_does_not_exist_is_one_sentence(text: str) -> None:
    command = [sys.executable, "-m", "engine.cli", "doctor"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, _width.SETTING: text},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"convscope: {_width.SETTING}: expected 16, 32 or 64, received {text!r}; unset it to have "
        f"the width of this processor's vector registers, {_width.host_bytes()} bytes"
    ]


def test_every_use_asks_whether_the_width_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.device import backend_for
    from engine.kernels.cpu import _cache
    from engine.kernels.cpu.backend import CpuBackend

    monkeypatch.setattr(_width, "_wished", "12")
    for use in (lambda: CpuBackend(1), lambda: _cache.state.__wrapped__()):
        with pytest.raises(ConfigurationError, match="received '12'"):
            use()
    monkeypatch.setattr(_width, "_wished", " 16 ".strip())
    assert f"vectors of {_width.VECTOR_BYTES} bytes" in backend_for("cpu").describe()


def test_widths_by_their_names() -> None:
    assert [_width.width_of(text) for text in ("16", "32", "64", "", "0", "016")] == [
        *(16, 32, 64, None, None, None)
    ]
    assert _width.host_bytes() in _width.WIDTHS
