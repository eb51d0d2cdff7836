"""Which files the window takes: what dialogs offer and drops announce is what the readers read."""

from __future__ import annotations

import functools

RUNS = (".safetensors",)
ARRAYS = (".npy", ".npz")


@functools.cache
def picture_suffixes() -> tuple[str, ...]:
    """Return the endings of files that can be shown to the net, arrays last."""
    from engine.data.readers.image_folder import SUFFIXES

    return (*sorted(SUFFIXES), *ARRAYS)


def picture_filter() -> str:
    """Return the filter of a file dialog for them."""
    return f"Pictures ({' '.join(f'*{suffix}' for suffix in picture_suffixes())})"


def run_filter() -> str:
    """Return the filter of a file dialog for runs."""
    return f"Convscope runs ({' '.join(f'*{suffix}' for suffix in RUNS)})"
