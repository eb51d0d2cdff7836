"""Conditions such as ``conv2.output.std() > 3``: a small safe language over tensors.

Allowed are numbers, ``and or not``, comparisons, ``+ - * / ** %``, tensor names, indexing, and the
functions of `FUNCTIONS` as functions or as methods. Python parses the text; nothing of it is
executed as Python. All numbers are floats, so a condition takes as long as its tensors are large;
how large and how deep it may get is bounded, and a part without tensors must have a finite value.
"""

from __future__ import annotations

import ast
import math
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
"""Characters; a longer condition is a mistake."""
DEEPEST = 100
"""Levels of a condition; deeper nesting could exhaust the stack of whoever evaluates it."""
LARGEST = 2**24
"""Elements of a result that is larger than what it was made of: two long tensors can be combined
element with element by axes of length 1, and a slip there would ask for gigabytes."""

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
        if _depth(self._tree) > DEEPEST:
            raise ConfigurationError(
                f"condition {text!r}: expected at most {DEEPEST} operators inside each other, "
                "received more"
            )
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

    def _check(self, node: ast.AST) -> bool:
        """Walk the tree once, collect names, and refuse what the language has not.

        Returns
        -------
        bool
            Whether the part has no names, so that its value is known now.
        """
        name = dotted(node)
        if name is not None:
            self._names.append(name)
            return False
        known = [self._check(part) for part in self._parts(node)]  # of all parts, for their names
        if all(known):
            self._check_value(node)
        return all(known)

    def _check_value(self, node: ast.AST) -> None:
        """Refuse a number that no float can hold, such as ``9**9**9``."""
        try:
            with np.errstate(all="ignore"):
                value = self._value(node, dict[str, Any]().__getitem__)
        except (ValueError, TypeError, ArithmeticError, IndexError) as error:
            raise ConfigurationError(f"condition {self.text!r}: {error}") from None
        if not np.isfinite(value).all():
            raise ConfigurationError(
                f"condition {self.text!r}: {ast.unparse(node)} is {value}; expected numbers up to "
                f"{np.finfo(np.float64).max:.1e}"
            )

    def _parts(self, node: ast.AST) -> list[ast.AST]:
        """Return the parts of an expression, after checking that the language has it."""
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return []
        if isinstance(node, ast.BoolOp):
            return [*node.values]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            return [node.operand]
        if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
            return [node.left, node.right]
        if isinstance(node, ast.Compare) and all(type(op) in COMPARE for op in node.ops):
            return [node.left, *node.comparators]
        if isinstance(node, ast.Call):
            return [self._argument(node)[1]]
        if isinstance(node, ast.Subscript):
            self._index(node.slice)
            return [node.value]
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
            left, right = (_real(self._value(n, lookup)) for n in (node.left, node.right))
            self._check_size(left, right)
            return BINARY[type(node.op)](left, right)
        if isinstance(node, ast.Compare):
            values = [self._value(value, lookup) for value in (node.left, *node.comparators)]
            results = []
            for op, a, b in zip(node.ops, values, values[1:], strict=False):
                self._check_size(a, b)
                results.append(COMPARE[type(op)](a, b))
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

    def _check_size(self, left: Any, right: Any) -> None:
        """Refuse to combine tensors to one that is far larger than they are."""
        shape = np.broadcast_shapes(np.shape(left), np.shape(right))
        if math.prod(shape) > max(LARGEST, np.size(left), np.size(right)):
            raise ConfigurationError(
                f"condition {self.text!r}: tensors of shapes {np.shape(left)} and "
                f"{np.shape(right)} would make one of {math.prod(shape):,} elements; expected at "
                f"most {LARGEST:,}"
            )


def _depth(tree: ast.AST) -> int:
    """Return how deep a tree is, without recursion."""
    depth, level = 0, [tree]
    while level:
        depth, level = depth + 1, [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def _real(value: Any) -> Any:
    """Return whole numbers and truths as floats: powers and products of them could wrap around."""
    return value if np.asarray(value).dtype.kind == "f" else np.asarray(value, np.float64)[()]


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
