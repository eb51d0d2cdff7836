"""Conditions such as ``conv2.output.std() > 3``: a small safe language over tensors.

Allowed are numbers, ``and or not``, comparisons, ``+ - * / ** %``, tensor names, indexing, and the
functions of `FUNCTIONS` as functions or as methods. Python parses the text; nothing of it is
executed as Python.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.errors import ConfigurationError, EngineError, UnknownName

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "min": np.min,
    "max": np.max,
    "mean": np.mean,
    "std": np.std,
    "sum": np.sum,
    "abs": np.abs,
    "any": np.any,
    "all": np.all,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "sqrt": np.sqrt,
    "log": np.log,
    "argmax": np.argmax,
}
BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.Mod: operator.mod,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
LONGEST = 500
"""Characters; a longer condition is a mistake, and deep nesting could exhaust the stack."""

Lookup = Callable[[str], Any]


class Expression:
    """A parsed condition.

    Parameters
    ----------
    text : str

    Attributes
    ----------
    names : tuple of str
        Every tensor or figure it mentions: ``"conv2.output"``, ``"loss"``.

    Raises
    ------
    ConfigurationError
        If the text is not an expression of this language.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > LONGEST:
            raise ConfigurationError(
                f"condition: expected at most {LONGEST} characters, received {len(text)}"
            )
        try:
            self._tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = getattr(error, "msg", str(error))
            raise ConfigurationError(
                f"condition {text!r}: {reason}; try conv2.output.std() > 3"
            ) from None
        self._names: list[str] = []
        self._check(self._tree)
        self.names = tuple(dict.fromkeys(self._names))

    def evaluate(self, lookup: Lookup) -> Any:
        """Return the value.

        Parameters
        ----------
        lookup : callable
            ``lookup("conv2.output") -> array or number``.
        """
        try:
            with np.errstate(all="ignore"):
                return self._value(self._tree, lookup)
        except (ValueError, TypeError, ArithmeticError) as error:  # shapes that do not fit, say
            if isinstance(error, EngineError):
                raise
            raise ConfigurationError(f"condition {self.text!r}: {error}") from None

    def holds(self, lookup: Lookup) -> bool:
        """Return whether the condition is true; arrays count as true if any element is."""
        return bool(np.any(self.evaluate(lookup)))

    def _refuse(self, node: ast.AST) -> ConfigurationError:
        part = ast.unparse(node)
        return ConfigurationError(
            f"condition {self.text!r}: {part!r} is not allowed; use tensor names, numbers, "
            f"comparisons, and, or, not, and {', '.join(FUNCTIONS)}"
        )

    def _check(self, node: ast.AST) -> None:
        """Walk the tree once, collect names, and refuse what the language has not."""
        name = dotted(node)
        if name is not None:
            self._names.append(name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            pass
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                self._check(value)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            self._check(node.operand)
        elif isinstance(node, ast.BinOp) and type(node.op) in BINARY:
            self._check(node.left)
            self._check(node.right)
        elif isinstance(node, ast.Compare) and all(type(op) in COMPARE for op in node.ops):
            for value in (node.left, *node.comparators):
                self._check(value)
        elif isinstance(node, ast.Call):
            self._check(self._argument(node)[1])
        elif isinstance(node, ast.Subscript):
            self._check(node.value)
            self._index(node.slice)
        else:
            raise self._refuse(node)

    def _argument(self, node: ast.Call) -> tuple[str, ast.AST]:
        """Return function name and argument of ``f(x)`` or ``x.f()``."""
        if node.keywords:
            raise self._refuse(node)
        if isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and len(node.args) == 1:
            return node.func.id, node.args[0]
        if isinstance(node.func, ast.Attribute) and node.func.attr in FUNCTIONS and not node.args:
            return node.func.attr, node.func.value
        raise self._refuse(node)

    def _index(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Tuple):
            return tuple(self._index(item) for item in node.elts)
        if isinstance(node, ast.Slice):
            ends = [
                None if part is None else self._index(part)
                for part in (node.lower, node.upper, node.step)
            ]
            return slice(*ends)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self._index(node.operand)
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        raise self._refuse(node)

    def _value(self, node: ast.AST, lookup: Lookup) -> Any:
        name = dotted(node)
        if name is not None:
            return lookup(name)
        if isinstance(node, ast.Constant):
            # As a float: whole numbers of Python would make 9**9**9 exact, and take for ever.
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.BoolOp):
            truths = (bool(np.any(self._value(value, lookup))) for value in node.values)
            return all(truths) if isinstance(node.op, ast.And) else any(truths)
        if isinstance(node, ast.UnaryOp):
            value = self._value(node.operand, lookup)
            return not np.any(value) if isinstance(node.op, ast.Not) else -value
        if isinstance(node, ast.BinOp):
            return BINARY[type(node.op)](
                self._value(node.left, lookup), self._value(node.right, lookup)
            )
        if isinstance(node, ast.Compare):
            values = [self._value(value, lookup) for value in (node.left, *node.comparators)]
            results = [
                COMPARE[type(op)](a, b)
                for op, a, b in zip(node.ops, values, values[1:], strict=False)
            ]
            return results[0] if len(results) == 1 else np.logical_and.reduce(results)
        if isinstance(node, ast.Call):
            function, argument = self._argument(node)
            return FUNCTIONS[function](self._value(argument, lookup))
        if isinstance(node, ast.Subscript):
            try:
                return self._value(node.value, lookup)[self._index(node.slice)]
            except (IndexError, TypeError) as error:
                raise ConfigurationError(f"condition {self.text!r}: {error}") from None
        raise self._refuse(node)


def dotted(node: ast.AST) -> str | None:
    """Return ``"conv2.weight.gradient"`` for a chain of names, else None."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def check_names(expression: Expression, known: list[str]) -> None:
    """Raise unless every name exists.

    Raises
    ------
    UnknownName
        With the names there are.
    """
    for name in expression.names:
        if name not in known:
            raise UnknownName("tensor or figure", name, known)
