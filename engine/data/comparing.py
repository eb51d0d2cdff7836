"""What two loaders have in common, in words: whether a run would go on with the same batches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.data.parts import listed

COMPARED = {
    "batch_size": "batch size",
    "shuffle": "shuffle",
    "drop_last": "drop_last",
    "seed": "seed of the order",
    "transform": "transforms",
    "samples": "samples",
    "fingerprint": "data",
    "batches": "batches in an epoch",
    "classes": "classes",
}
"""What makes a loader another one, in words; any other setting goes by its own name."""


def plain(data: Any) -> Any:
    """Return data as they read after a way through a file."""
    return json.loads(json.dumps(data))


def settings_of(loader: Any) -> dict[str, Any]:
    """Return what a loader says of itself, as it reads after a way through a file.

    Of a loader that says nothing, only the number of its batches is known.
    """
    config = getattr(loader, "config", None)
    if callable(config):
        try:
            settings = plain(config())
        except (TypeError, ValueError):
            settings = None
        if isinstance(settings, dict):
            return settings
    return {"batches": len(loader)}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between the settings of two loaders."""
    names = [name for name in COMPARED if name in before and name in now]
    names += [name for name in before if name in now and name not in COMPARED]
    found = []
    for name in names:
        old, new = before[name], now[name]
        if old == new:
            continue
        title = COMPARED.get(name, name)
        if name == "classes":
            found.append(_class_difference(old, new))
        elif name == "fingerprint":
            same = before.get("samples") == now.get("samples")
            found.append("other samples or labels" if same else "other data")
        else:
            found.append(f"{title} {shown(old)}, now {shown(new)}")
    return [text for text in found if text]


def _class_difference(old: Any, new: Any) -> str:
    if old is None or new is None:  # names that nobody gave contradict nothing
        return ""
    gone = [name for name in old if name not in new]
    come = [name for name in new if name not in old]
    if not gone and not come:
        return "the same classes in another order"
    told = [f"without {listed(gone)}"] if gone else []
    told += [f"with {listed(come)}"] if come else []
    return f"classes {' and '.join(told)}"


def shown(value: Any) -> str:
    """Return a setting, or transforms, as a reader would write them."""
    if isinstance(value, list):
        return ", ".join(map(shown, value)) or "none"
    if isinstance(value, dict):
        settings = (f"{key}={shown(one)}" for key, one in value.items() if key != "name")
        text = ", ".join(settings)
        return f"{value['name']}({text})" if "name" in value else text
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
