"""The rules of the house that a machine can watch over: who imports whom, and what nobody uses."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "gui")
LINT_IMPORTS = "from importlinter.cli import lint_imports_command as run; run()"

# For each contract: what breaks it. The line is added to the file, which is made if need be.
OFFENCES = [
    ("engine-layers", "engine/shapes.py", "import engine.device"),
    ("engine-layers", "engine/drawer.py", "# a module that no layer lists"),
    ("gui-layers", "gui/models/state.py", "import gui.window"),
    ("gui-layers", "gui/drawer.py", "# a module that no layer lists"),
    ("engine-without-window", "engine/events.py", "import PyQt6.QtCore"),
    ("models-without-qt", "gui/models/state.py", "import PyQt6.QtGui"),
    ("widgets-without-engine", "gui/widgets/panel_head.py", "import engine.errors"),
    ("kernels-apart", "engine/kernels/cuda/conv.py", "import engine.kernels.cpu.conv"),
    ("kernels-behind-device", "engine/ops/conv.py", "import engine.kernels.cpu.conv"),
    ("data-without-compiler", "engine/data/loader.py", "import numba"),
]


def lint_imports(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Check the contracts on the packages in `folder`, in a process that knows no others."""
    return subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS, "--no-cache", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def contracts() -> dict[str, str]:
    """Return id and name of every contract."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    entries = settings["tool"]["importlinter"]["contracts"]
    return {entry["id"]: entry["name"] for entry in entries}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the sources that a test may spoil."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            target = tmp_path / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return tmp_path


def test_import_contracts_hold():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Contracts: {len(contracts())} kept, 0 broken." in result.stdout


def test_every_contract_has_an_offence():
    assert {contract for contract, _, _ in OFFENCES} == set(contracts())


@pytest.mark.parametrize(("contract", "file", "line"), OFFENCES)
def test_a_contract_can_fail(copy: Path, contract: str, file: str, line: str):
    with (copy / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{line}\n")
    result = lint_imports(copy, "--contract", contract)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contracts()[contract]} BROKEN" in result.stdout
    assert file.removesuffix(".py").replace("/", ".").rpartition(".")[2] in result.stdout


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib"}


def dangers(source: str) -> list[str]:
    """Return what in `source` can run code that came as data."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in FORBIDDEN_CALLS:
                found.append(f"line {node.lineno}: {node.func.id}()")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = [module or ""] if module else [alias.name for alias in node.names]
            found += [
                f"line {node.lineno}: import {name}"
                for name in names
                if name.partition(".")[0] in FORBIDDEN_MODULES
            ]
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            is_refused = isinstance(node.value, ast.Constant) and node.value.value is False
            found += [] if is_refused else [f"line {node.value.lineno}: allow_pickle"]
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_code_from_data(package: str):
    files = list((ROOT / package).rglob("*.py"))
    assert len(files) > 10
    found = {str(file): dangers(file.read_text(encoding="utf-8")) for file in files}
    assert not {file: lines for file, lines in found.items() if lines}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, marshal",
        "from pickle import loads",
        "from dill.detect import code",
        "eval('1')",
        "exec('1')",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "__import__('os')",
    ],
)
def test_the_scan_finds_what_it_looks_for(source: str):
    assert len(dangers(source)) == 1


@pytest.mark.parametrize(
    "source", ["app.exec()", "re.compile('a')", "np.load(path, allow_pickle=False)", "import ast"]
)
def test_the_scan_leaves_the_rest_alone(source: str):
    assert not dangers(source)


def test_the_reference_stands_on_its_own():
    """Slow loops that are to judge the engine must not call it."""
    tree = ast.parse((ROOT / "tests" / "reference.py").read_text(encoding="utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
        if name
    }
    assert "engine" not in imported
    assert "numpy" in imported


def test_every_test_that_the_findings_name_exists() -> None:
    text = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    path, missing = "", []
    for name in re.findall(r"`([\w/]*\.py)?(::\w+)?`", text):
        path = name[0] or path
        file = ROOT / "tests" / path
        if not path or not file.is_file():
            missing.append(path)
        elif name[1] and f"def {name[1][2:]}(" not in file.read_text(encoding="utf-8"):
            missing.append(path + name[1])
    assert not missing
