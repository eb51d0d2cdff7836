"""Compiling in processes: each kernel once, with its name told, and never a reason to fail."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from engine.device import compile_kernels, kernel_cache
from engine.errors import ConfigurationError
from engine.kernels.cpu import _cache, _compile
from engine.kernels.cpu._compile import compile_natives, load, missing, natives_of, title
from engine.kernels.cpu._jit import Kernel
from engine.kernels.cpu.backend import all_kernels

SMALL = ("copy", "accumulate", "sum_losses", "multiply_forward")
pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="nothing is compiled"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give this process and those it starts an empty cache."""
    monkeypatch.setenv("CONVSCOPE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("engine.kernels.cpu._compile.called_natives", list)
    _cache.kernel_cache.cache_clear()
    yield _cache.kernel_cache().folder
    _cache.kernel_cache.cache_clear()


def small(dtype: str = "float32"):
    """Return natives of small kernels, none of them loaded."""
    return natives_of([Kernel(all_kernels()[name].function) for name in SMALL], dtype)


def in_process_only(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")


def test_each_kernel_is_compiled_once_in_one_of_the_processes(folder):
    natives, told = small(), []
    outcome = compile_natives(missing(natives), 2, lambda native: told.append(native.name))
    names = sorted(native.name for native in natives)
    assert sorted(outcome.compiled) == names and outcome.left == []
    assert sorted(told) == names
    assert _cache.kernel_cache().names() == {native.key for native in natives}
    assert missing(natives) == []
    assert not any(native.is_loaded for native in natives)


def test_much_is_compiled_elsewhere_and_only_loaded_here(folder, monkeypatch):
    monkeypatch.setattr(_compile, "FEW", 1)
    monkeypatch.setattr(_compile, "usable_cores", lambda: 2)
    monkeypatch.setattr(
        "engine.kernels.cpu._native._compiled", lambda native: pytest.fail(f"{native.name} here")
    )
    natives, told = small(), []
    load(natives, lambda *what: told.append(what))
    assert all(native.is_loaded for native in natives)
    assert sorted(name for name, _, _ in told) == sorted(title(native) for native in natives)
    assert [(number, total) for _, number, total in told] == [(n, 4) for n in range(4)]


@pytest.mark.parametrize("how", ["nothing", "another program", "one that ends", "mute"])
def test_without_an_interpreter_it_happens_here(folder, monkeypatch, tmp_path, how):
    monkeypatch.setattr(_compile, "FEW", 1)
    monkeypatch.setattr(_compile, "usable_cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(_compile, "START_S", 0.5)
    if how != "nothing":
        program = tmp_path / "python-but-not-quite"
        text = {
            "another program": "echo hello; exec cat",
            "one that ends": "exit 1",
            "mute": "exec cat",
        }[how]
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(program))
    natives = small()[:2]
    load(natives)
    assert all(native.is_loaded for native in natives)
    assert missing(small()[:2]) == []


def test_stopping_ends_the_processes(folder):
    stop, started = threading.Event(), []

    def tell(native):
        started.append(native.name)
        stop.set()

    begin = time.monotonic()
    outcome = compile_natives(small(), 1, tell, stop)
    assert started and len(outcome.left) >= 3
    assert time.monotonic() - begin < 30
    names = {thread.name for thread in threading.enumerate()}
    assert "convscope-compile" not in names


def test_an_error_in_the_listener_ends_the_processes(folder):
    def tell(native):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_natives(small(), 1, tell)
    assert "convscope-compile" not in {thread.name for thread in threading.enumerate()}


def test_the_worker_answers_names_and_ends_with_its_input(folder):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "engine.kernels.cpu._worker"],
        input="copy_float32\nno_such_kernel\n", capture_output=True, text=True, timeout=60,
        check=True, env={**os.environ, "PYTHONPATH": str(_compile.ROOT)},
    )  # fmt: skip
    assert done.stdout.splitlines() == [f"ready {folder}", "done", "failed KeyError"]


def test_what_takes_longest_comes_first(folder):
    order = [len(native.function.__code__.co_code) for native in missing(small())]
    assert order == sorted(order, reverse=True)


def test_compile_kernels_says_what_it_did(folder, monkeypatch):
    few = {name: Kernel(all_kernels()[name].function) for name in SMALL[:2]}
    monkeypatch.setattr("engine.kernels.cpu.backend.all_kernels", lambda: few)
    in_process_only(monkeypatch)
    told = []
    first = compile_kernels(["float32", "float64"], 1, lambda *what: told.append(what))
    assert first == (4, 0, 0)
    assert [(number, total) for _, number, total in told] == [(n, 4) for n in range(4)]
    assert compile_kernels(["float32"]) == (0, 2, 0)
    assert f"{folder}, 4 functions" in kernel_cache()


def test_in_the_background_nothing_is_compiled_here(folder, monkeypatch):
    few = {name: Kernel(all_kernels()[name].function) for name in SMALL[:2]}
    monkeypatch.setattr("engine.kernels.cpu.backend.all_kernels", lambda: few)
    in_process_only(monkeypatch)
    assert compile_kernels(background=True) == (0, 0, 2)


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigurationError, match="float16"):
        compile_kernels(["float16"])
    with pytest.raises(ConfigurationError, match="at least 1, received 0"):
        compile_kernels(processes=0)
