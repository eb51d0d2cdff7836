"""Numba's `intrinsic` with a type: code that emits LLVM instructions, called like a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.extending import intrinsic


def emitted(function: Callable[..., Any], prefer_literal: bool = False) -> Callable[..., Any]:
    """Make an intrinsic; compiled code calls it without the first parameter, the typing context.

    Parameters
    ----------
    function : callable
        ``function(typing_context, *types)`` returns the signature and what generates the code.
    prefer_literal : bool
        Give literal types to it where arguments are literals.
    """
    made: Callable[..., Any] = intrinsic(prefer_literal=prefer_literal)(function)
    return made
