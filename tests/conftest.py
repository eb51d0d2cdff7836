"""What all tests share: where they may write, and which machine a test needs."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# These are read when numba and Qt are imported, so they come before everything else.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes that write one kernel cache can damage it (numba issue 4807).
    cache = Path(tempfile.gettempdir()) / f"convscope-kernels-{os.environ['PYTEST_XDIST_WORKER']}"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache))

import hypothesis
import pytest

SIMULATOR = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")

if SIMULATOR:
    # The simulator runs one thread of the operating system for each CUDA thread; with Python's
    # usual 5 ms turns, barriers take several times as long.
    sys.setswitchinterval(1e-4)

# Kernels compile within a test, so a time limit for each example would fail at random. The same
# examples on every run: a red test is red for everybody.
hypothesis.settings.register_profile(
    "convscope", deadline=None, max_examples=60, derandomize=True, database=None
)
hypothesis.settings.load_profile("convscope")


@pytest.fixture(scope="session", autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory):
    """Keep the tests away from the settings of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVSCOPE_CONFIG", str(tmp_path_factory.mktemp("settings")))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, and count, what this process or machine cannot run."""
    if not SIMULATOR:
        skip = pytest.mark.skip(reason="the simulator is off; set NUMBA_ENABLE_CUDASIM=1")
        for item in items:
            if item.get_closest_marker("cudasim"):
                item.add_marker(skip)
    needing = [item for item in items if item.get_closest_marker("gpu")]
    if needing and not _has_gpu():
        for item in needing:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _has_gpu() -> bool:
    # In the simulator numba answers that CUDA is there, so that is asked first.
    if SIMULATOR:
        return False
    from numba import cuda

    return bool(cuda.is_available())
