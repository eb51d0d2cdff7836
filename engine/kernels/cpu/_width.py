"""How wide vectors are: as the processor's registers, or as `CONVSCOPE_VECTOR_BYTES` says.

No number depends on it, only time and how weights lie in memory. So a run can be repeated with the
machine code of another processor: LLVM makes two instructions of one where vectors are wider than
registers, and every width works everywhere.
"""

from __future__ import annotations

import os

import llvmlite.binding as llvm

from engine.errors import ConfigurationError

SETTING = "CONVSCOPE_VECTOR_BYTES"
WIDTHS = (16, 32, 64)
_wished = os.environ.get(SETTING, "").strip()


def host_bytes() -> int:
    """Return the width of this machine's vector registers."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx") else 16


def width_of(wished: str) -> int | None:
    """Return the width that a text names, or None if it names none that there is."""
    return next((width for width in WIDTHS if wished == str(width)), None)


VECTOR_BYTES = width_of(_wished) or host_bytes()


def check_width() -> None:
    """Raise if the environment asks for a width that does not exist.

    Modules are imported before anyone could report that, so whoever begins to compute asks here.

    Raises
    ------
    ConfigurationError
    """
    if _wished and width_of(_wished) is None:
        raise ConfigurationError(
            f"{SETTING}: expected 16, 32 or 64, received {_wished!r}; unset it to have the width "
            f"of this processor's vector registers, {host_bytes()} bytes"
        )


def describe_width() -> str:
    """Return the width in words."""
    return f"vectors of {VECTOR_BYTES} bytes" + (f" ({SETTING})" if _wished else "")
