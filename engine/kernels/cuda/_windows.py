"""Which pooling windows cover a cell of an image."""

from __future__ import annotations

from engine.kernels.cuda._compat import device


@device
def first_window(reach: int, kernel: int, stride: int, dilation: int) -> int:
    """Return the first window whose last cell lies at `reach` or after (`reach` counts padding)."""
    before = reach - (kernel - 1) * dilation
    return 0 if before <= 0 else (before + stride - 1) // stride


@device
def past_window(reach: int, stride: int, windows: int) -> int:
    """Return the number after the last of `windows` that begins at `reach` or before."""
    past = reach // stride + 1
    return past if past < windows else windows
