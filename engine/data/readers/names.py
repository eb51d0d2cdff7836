"""What names of files and folders tell: their order, what systems leave behind, halves of a set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

SYSTEM_NAMES = frozenset(
    {
        "__macosx",  # archives made on a Mac
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "@eadir",  # storage boxes
        "__pycache__",
    }
)
"""Written by systems, not by people, in lower case; what begins with a dot is passed over too."""

TRAIN_WORDS = ("train", "training", "trn")
TEST_WORDS = ("test", "testing", "tst", "t10k")
VALIDATION_WORDS = ("val", "valid", "validation", "dev", "eval")
"""What halves of a set are called, in lower case."""

KINDS = 3
"""So many kinds of files stand in a sentence."""


def is_passed_over(name: str) -> bool:
    """Return whether a name is hidden, or was left behind by a system."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return what to sort names by: numbers within them by value, so that 2 comes before 10."""
    pieces = re.split(r"(\d+)", name)
    # The last entry keeps names apart whose numbers differ in leading zeros alone.
    return (
        *((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces if p),
        (1, 0, name),
    )


def half(name: str) -> str | None:
    """Return ``"train"``, ``"test"``, ``"val"``, or None for a name that is none of them."""
    lower = name.lower()
    for kind, words in (
        ("train", TRAIN_WORDS), ("test", TEST_WORDS), ("val", VALIDATION_WORDS),
    ):  # fmt: skip
        if lower in words:
            return kind
    return None


def half_within(name: str) -> str | None:
    """Return as `half` for the first word of a file's name that is one: ``mnist_test.csv``."""
    for word in re.split(r"[^a-z0-9]+", name.lower()):
        if found := half(word):
            return found
    return None


def tallied(kinds: Iterable[str]) -> str:
    """Return ``.gif (10), .tif (2)``, the most frequent first."""
    counts = Counter(kinds).most_common()
    more = f" and {len(counts) - KINDS} more" if len(counts) > KINDS else ""
    return ", ".join(f"{kind} ({count:,})" for kind, count in counts[:KINDS]) + more
