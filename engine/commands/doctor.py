"""`convscope doctor`: what this machine and installation are, and whether they compute right."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import typer

from engine import Model
from engine.commands.options import (
    DebugOption,
    Device,
    DeviceOption,
    JsonOption,
    SeedOption,
    ThreadsOption,
)
from engine.commands.output import Output, facts
from engine.debug import Session
from engine.device import cuda_problem, kernel_cache
from engine.layers import Conv2d
from engine.random import generator
from engine.typing import Array

PACKAGES = (
    "convscope", "numpy", "numba", "llvmlite", "numba-cuda", "PyQt6", "pyqtgraph", "psygnal",
    "safetensors", "onnx", "pillow", "typer", "rich",
)  # fmt: skip
FEATURES = ("avx512f", "avx2", "fma", "avx", "sse4.2", "neon", "asimd")
WINDOW_TIMEOUT_S = 60
TOLERANCE = 1e-5
"""Relative; float32 against NumPy in float64."""


def doctor(
    device: DeviceOption = Device.auto,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell what is installed, what the machine offers, and whether a convolution is right."""
    out = Output(as_json)
    versions = {name: _version(name) for name in PACKAGES}
    model = Model(
        [Conv2d(3, 4, kernel_size=3, padding=1, name="conv")],
        input_shape=(3, 9, 7), seed=seed or 0, device=str(device), threads=threads,
    )  # fmt: skip
    check, healthy = _convolution_check(model, seed or 0)
    rows = {
        "system": f"{platform.platform()}, Python {platform.python_version()}",
        "processor": _processor(),
        "device": model.backend.describe(),
        "kernel cache": kernel_cache(),
        "cuda": cuda_problem() or "available",
        "window": _window(),
        "self-check": check,
    }
    named = {name.replace(" ", "_").replace("-", "_"): text for name, text in rows.items()}
    out.json(healthy=healthy, versions=versions, **named)
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    missing = ", ".join(name for name, version in versions.items() if not version)
    shown = [("installed", listed), *([("missing", missing)] if missing else []), *rows.items()]
    out.show(facts(shown))
    if not healthy:
        out.line("the self-check failed", "red")
        raise typer.Exit(1)
    out.line("all is well", "green")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Return name, cores this process may use, and the vector instructions."""
    features = llvm.get_host_cpu_features()
    present = [name for name in FEATURES if features.get(name)]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{llvm.get_host_cpu_name()} ({platform.machine()}), {usable} of {os.cpu_count()} cores, "
        f"{' '.join(present) or 'no vector instructions known'}"
    )


def _window() -> str:
    """Return whether Qt can be loaded and shown; asked in a process of its own."""
    needs_display = sys.platform.startswith("linux") and "QT_QPA_PLATFORM" not in os.environ
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    is_hidden = needs_display and not has_display
    # Not imported here: the engine stands without Qt, and a broken Qt may end its process.
    code = (
        "import PyQt6.QtCore, PyQt6.QtWidgets; app = PyQt6.QtWidgets.QApplication(['convscope']); "
        "print(PyQt6.QtCore.QT_VERSION_STR)"
    )
    environment = os.environ | ({"QT_QPA_PLATFORM": "offscreen"} if is_hidden else {})
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False,
            timeout=WINDOW_TIMEOUT_S, env=environment, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not available ({error})"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        # Python says at the end what went wrong, Qt at the beginning.
        return f"not available ({lines[-1 if 'Traceback' in done.stderr else 0]})"
    if is_hidden:
        return f"Qt {done.stdout.strip()}, no display: only app --screenshot"
    return f"Qt {done.stdout.strip()}"


def _convolution_check(model: Model, seed: int) -> tuple[str, bool]:
    """Compare a convolution with NumPy, and one of its numbers with its explanation."""
    x = generator(seed, "doctor").standard_normal((2, *model.input_shape)).astype(np.float32)
    result = model(x)
    expected = _convolved(x, model["conv"].parameters["weight"].value)
    distance = float(np.abs(result - expected).max() / np.abs(expected).max())
    session = Session(model, x)
    session.resume()
    explanation = session.explain(layer="conv", index=(1, 3, 4, 0))
    healthy = distance < TOLERANCE and explanation.exact
    bits = "equals" if explanation.exact else "DIFFERS FROM"
    return (
        f"convolution against NumPy: largest difference {distance:.1e} of the largest value; an "
        f"explained number {bits} the stored bits",
        healthy,
    )


def _convolved(x: Array, weight: Array) -> Array:
    """Return the convolution of the check in float64: padding 1, stride 1, no bias."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    result: Array = np.einsum("niyxab,oiab->noyx", windows, weight.astype(np.float64))
    return result
