"""Operations: one file per family, each op with everything that belongs to it on one screen."""

from __future__ import annotations

import importlib
import pkgutil

from engine.ops.base import REGISTRY, Op, Site, View

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["REGISTRY", "Op", "Site", "View"]
