"""`convscope compile`."""

from __future__ import annotations

import os

import pytest

from engine.kernels.cpu import _cache
from engine.kernels.cpu._jit import Kernel
from engine.kernels.cpu.backend import all_kernels
from tests.unit.cli_tools import CommandLine

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="nothing is compiled"
)


@pytest.fixture
def convscope(capsys) -> CommandLine:
    return CommandLine(capsys)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give the process an empty cache and two small kernels."""
    few = {name: Kernel(all_kernels()[name].function) for name in ("copy", "accumulate")}
    monkeypatch.setattr("engine.kernels.cpu.backend.all_kernels", lambda: few)
    monkeypatch.setenv("CONVSCOPE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("engine.kernels.cpu._compile.called_natives", list)
    _cache.kernel_cache.cache_clear()
    yield _cache.kernel_cache().folder
    _cache.kernel_cache.cache_clear()


def test_compiles_all_and_then_has_nothing_to_do(convscope, folder):
    result = convscope("compile", "--processes", 1)
    assert result.status == 0
    assert result.out.startswith("2 functions compiled in ")
    assert len(list(folder.glob("*_float32-*.kernel"))) == 2
    again = convscope("compile")
    assert again.status == 0 and again.out.startswith("everything is compiled already")


def test_json_names_what_it_compiles(convscope, folder):
    result = convscope("compile", "--dtype", "all", "--processes", 1, "--json")
    *begun, end = result.objects
    assert [(line["number"], line["total"]) for line in begun] == [(n, 4) for n in range(1, 5)]
    assert {line["kernel"] for line in begun} == {"copy", "accumulate"}
    assert end["compiled"] == 4 and end["cached"] == 0 and str(folder) in end["cache"]


def test_wrong_use_is_one_line(convscope):
    for words in (["--processes", "0"], ["--dtype", "float16"]):
        result = convscope("compile", *words)
        assert result.status == 2
        assert result.err.count("\n") == 1 and result.err.startswith("convscope: ")


def test_ctrl_c_ends_it(convscope, folder, monkeypatch):
    def press(*what: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.commands.compile.compile_kernels", press)
    result = convscope("compile")
    assert result.status == 130
    assert result.err == "convscope: interrupted\n"
