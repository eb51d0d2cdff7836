"""Losses. Predictions are logits; targets are class indices, probabilities, or plain numbers."""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine import arguments
from engine.arguments import LARGEST
from engine.config import Configurable
from engine.device import Buffer, Launch, backend_for, replay
from engine.errors import ConfigurationError, DataError, ShapeError, shown
from engine.explanation import Explanation, Operand, Stage, Terms
from engine.kernels import scalar
from engine.ops.base import Site, View
from engine.ops.explaining import (
    accumulated,
    elementwise,
    finish,
    number,
    standing,
    unknown_result,
)
from engine.typing import Array, Index, Shape

REDUCTIONS = ("mean", "sum", "none")


@dataclass
class LossSite:
    """The buffers of a loss in a program.

    Parameters
    ----------
    prediction, grad : Buffer
        The model's output and the gradient by it; `grad` is None in a program without backward.
    fields : dict of buffers
        What `encode` fills each batch: ``"target"``, ``"scales"`` ...
    items, value : Buffer
        One loss per item, and their scaled sum, shape (1,).
    site : Site
        For scratch memory and copies to public order.
    """

    prediction: Buffer
    fields: dict[str, Buffer]
    items: Buffer
    value: Buffer
    site: Site
    grad: Buffer | None = None


class Loss(Configurable):
    """Base of all losses.

    Calling one gives the loss as a scalar (an array for ``reduction="none"``); `gradient` gives the
    derivative by the prediction.
    """

    forward_kernel: ClassVar[str]
    backward_kernel: ClassVar[str]
    extra_fields: ClassVar[tuple[str, ...]] = ()
    formula: ClassVar[str]

    reduction: str
    ignore_index: int | None = None
    """The label that counts nowhere; None if every target counts."""

    def _check_reduction(self, reduction: str) -> str:
        return arguments.choice(f"{type(self).__name__} reduction", reduction, REDUCTIONS)

    @abstractmethod
    def encode(self, target: Array, prediction: Shape) -> dict[str, Array]:
        """Return the fields of one batch as float64 arrays, after checking the target.

        Parameters
        ----------
        target : array
        prediction : Shape
            Of the prediction, with batch axis.

        Raises
        ------
        ShapeError, DataError
            If the target does not belong to the prediction.
        """

    def check(self, target: Array, prediction: Shape) -> None:
        """Raise if a target can be seen to be wrong by itself; `encode` checks the rest.

        Parameters
        ----------
        target : array
            Of a batch or of a whole data set.
        prediction : Shape
            With batch axis.

        Raises
        ------
        DataError
            If a label is not a class.
        """

    @abstractmethod
    def items_shape(self, prediction: Shape) -> Shape:
        """Return the shape of the single losses, with batch axis."""

    def divisor(self, target: Array, prediction: Shape) -> float:
        """Return what a mean over these targets divides by; `prediction` is a shape with batch."""
        return float(math.prod(self.items_shape(prediction)))

    def rows(self, shape: Shape) -> Shape:
        """Return the shape in which kernels see prediction and target."""
        return (math.prod(shape),)

    def forward(self, at: LossSite) -> list[Launch]:
        """Return the launches for the single losses and their sum."""
        prediction, before = at.site.plain(at.prediction, "prediction")
        inputs = self._inputs(at, prediction)
        return [
            *before,
            Launch(self.forward_kernel, (*inputs, at.items)),
            Launch("sum_losses", (at.items, at.fields["scales"], at.value)),
        ]

    def backward(self, at: LossSite) -> list[Launch]:
        """Return the launches for the gradient by the prediction."""
        if at.grad is None:
            return []
        prediction = at.prediction
        if not prediction.is_plain:
            prediction = at.site.scratch("prediction.plain", prediction.shape)
        target, after = at.site.plain_target(at.grad, "grad")
        buffers = (
            *self._inputs(at, prediction),
            at.fields["scales"],
            target.reshaped(self.rows(target.shape)),
        )
        return [Launch(self.backward_kernel, buffers), *after]

    def _inputs(self, at: LossSite, prediction: Buffer) -> tuple[Buffer, ...]:
        names = ("target", *self.extra_fields)
        return tuple(
            b.reshaped(self.rows(b.shape)) for b in (prediction, *(at.fields[n] for n in names))
        )

    def _scales(self, items: Shape, count: float) -> Array:
        """Return the factor of each item: 1 / count for a mean, else 1."""
        factor = 1.0 / count if self.reduction == "mean" and count else 1.0
        return np.full(items, factor)

    # -- by themselves -----------------------------------------------------------------------

    def __call__(self, prediction: Array, target: Array) -> Any:
        """Return the loss: a scalar of the prediction's dtype; an array if not reduced.

        Raises
        ------
        ShapeError, DtypeError, DataError
            If both are no arrays of numbers, or do not belong together.
        """
        items, value, _ = self._run(prediction, target)
        return items if self.reduction == "none" else value

    def gradient(self, prediction: Array, target: Array) -> Array:
        """Return the derivative by the prediction, shape and dtype of the prediction.

        Raises
        ------
        ShapeError, DtypeError, DataError
            As calling the loss does.
        """
        return self._run(prediction, target)[2]

    def _run(self, prediction: Array, target: Array) -> tuple[Array, Any, Array]:
        kind = type(self).__name__
        values = arguments.array(f"{kind} prediction", prediction)
        if not values.size or not values.ndim:
            raise ShapeError(
                f"{kind} prediction: expected an array with at least one element and a batch "
                f"axis, received shape {values.shape}"
            )
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float32)
        dtype, backend = str(values.dtype), backend_for("cpu")
        fields = self.encode(arguments.array(f"{kind} target", target), values.shape)
        arena = backend.arena()

        def scratch(name: str, shape: Shape, kind: str, role: Any) -> Buffer:
            return arena.request(name, shape, kind, role)

        source = arena.request("prediction", values.shape, dtype)
        counters = arena.request("counters", (2,), "int64")
        site = Site((source,), source, {}, {}, False, counters, 0, scratch)
        at = LossSite(
            source,
            {name: arena.request(name, array.shape, dtype) for name, array in fields.items()},
            arena.request("items", self.items_shape(values.shape), dtype),
            arena.request("value", (1,), dtype),
            site,
            arena.request("grad", values.shape, dtype),
        )
        launches = [*self.forward(at), *self.backward(at)]
        arena.commit()
        source.write(values)
        for name, array in fields.items():
            at.fields[name].write(array)
        backend.prepare(launches, dtype).run(0, len(launches))
        grad = at.grad.read() if at.grad is not None else values
        with np.errstate(all="ignore"):
            items = at.items.read() * at.fields["scales"].read()
        return items, at.value.read()[0], grad

    # -- explanation -------------------------------------------------------------------------

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain the loss value, or the gradient by one prediction."""
        if result == "output":
            return self._explain_sum(view, index)
        if result == "input.gradient":
            return self.explain_gradient(view, index)
        raise unknown_result(view, result)

    def _explain_sum(self, view: View, index: Index) -> Explanation:
        """Explain the loss as the scaled sum of the losses of its items."""
        shape = view.array("items").shape
        items, scales = view.array("items").ravel(), view.array("scales").ravel()
        with np.errstate(all="ignore"):
            shares = items * scales
        totals, places = accumulated(shares), np.argwhere(np.ones(shape, np.bool_))
        operands = (
            Operand("loss.items", items, places),
            Operand("loss.scales", scales, places),
        )
        sources: list[Operand] = []
        bad = ~np.isfinite(shares)
        if bad.any():
            first = int((np.isnan(shares) if np.isnan(shares).any() else bad).argmax())
            sources = self.operands(view, tuple(int(i) for i in np.unravel_index(first, shape)))
        return finish(
            view,
            "output",
            index,
            kind="sum",
            formula="sum of item loss × scale",
            order="item",
            value=totals[-1],
            terms=Terms(operands, shares, totals, derived=True),
            # Penalties of layers are no business of the loss: the debugger adds them.
            stages=(
                Stage("sum of losses", float(totals[-1]), f"{len(items)} items × scale"),
                Stage("= loss", float(totals[-1])),
            ),
            sentence=f"The loss is {number(view.output[0])}, from {len(items)} items; the greatest "
            f"is {number(items[np.isfinite(items)].max(initial=-np.inf))}.",
            sources=sources,
        )

    def operands(self, view: View, item: Index) -> list[Operand]:
        """Return the numbers that the loss of one item reads, by which a bad one is found.

        Without them, an item's loss is the last that can be named.
        """
        return []

    @abstractmethod
    def explain_gradient(self, view: View, index: Index) -> Explanation:
        """Explain the gradient by one prediction."""


class CrossEntropyLoss(Loss):
    """-sum over classes of target * log softmax(logits), over (n, classes) or (n, classes, ...).

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    weight : sequence of float or None
        One factor per class; the mean divides by the summed weight of the labels.
    ignore_index : int
        Items with this label count nowhere.
    label_smoothing : float
        Share of the target that is spread evenly over all classes.

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.
    """

    forward_kernel = "cross_entropy_forward"
    backward_kernel = "cross_entropy_backward"
    formula = "(softmax − target) × scale"
    ignore_index: int

    def __init__(
        self,
        reduction: str = "mean",
        weight: Sequence[float] | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> None:
        self.reduction = self._check_reduction(reduction)
        kind = type(self).__name__
        if weight is not None:
            weight = arguments.several(f"{kind} weight", weight, least=0)
        self.weight: tuple[float, ...] | None = weight
        self.ignore_index = arguments.whole(f"{kind} ignore_index", ignore_index, -LARGEST)
        self.label_smoothing = arguments.number(
            f"{kind} label_smoothing", label_smoothing, least=0, most=1
        )

    def rows(self, shape: Shape) -> Shape:
        """Return (samples, classes, positions)."""
        return shape[0], shape[1], math.prod(shape[2:])

    def _kept(self, at: LossSite) -> tuple[Buffer, ...]:
        """Return what the forward pass keeps for the gradient: exponentials and sums per item."""
        shape, items = at.prediction.shape, self.items_shape(at.prediction.shape)
        exponentials = at.site.scratch("exponentials", shape).reshaped(self.rows(shape))
        return exponentials, at.site.scratch("totals", items), at.site.scratch("masses", items)

    def forward(self, at: LossSite) -> list[Launch]:
        """Return the launches for the single losses and their sum."""
        launches = super().forward(at)
        place = next(i for i, one in enumerate(launches) if one.kernel == self.forward_kernel)
        logits, target, items = launches[place].buffers
        buffers = (logits, target, *self._kept(at), items)
        return [*launches[:place], Launch(self.forward_kernel, buffers), *launches[place + 1 :]]

    def backward(self, at: LossSite) -> list[Launch]:
        """Return the launches for the gradient by the prediction."""
        if at.grad is None:
            return []
        grad, after = at.site.plain_target(at.grad, "grad")
        target, rows = at.fields["target"], self.rows(at.grad.shape)
        buffers = (target.reshaped(rows), *self._kept(at), at.fields["scales"], grad.reshaped(rows))
        return [Launch(self.backward_kernel, buffers), *after]

    def items_shape(self, prediction: Shape) -> Shape:
        """Return the prediction's shape without the class axis."""
        return (prediction[0], *prediction[2:])

    def divisor(self, target: Array, prediction: Shape) -> float:
        """Return the number of items; for class indices, the weight of those that count."""
        if target.shape != self.items_shape(prediction):
            return super().divisor(target, prediction)
        weight = np.ones(prediction[1]) if self.weight is None else np.array(self.weight)
        kept = target != self.ignore_index
        return float((weight[np.where(kept, target, 0)] * kept).sum())

    def check(self, target: Array, prediction: Shape) -> None:
        """Raise if a class index lies outside the classes."""
        if target.dtype.kind not in "iu" or len(prediction) < 2:
            return
        classes = prediction[1]
        bad = (target != self.ignore_index) & ((target < 0) | (target >= classes))
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise DataError(
                f"loss: expected labels 0 to {classes - 1} (the model has {classes} outputs), "
                f"received {int(target[where])} at sample {where[0]}"
            )

    def encode(self, target: Array, prediction: Shape) -> dict[str, Array]:
        """Return weighted target probabilities and the factor of each item."""
        if len(prediction) < 2:
            raise ShapeError(
                f"loss prediction: expected shape (n, classes), received shape {prediction}"
            )
        classes, items = prediction[1], self.items_shape(prediction)
        if self.weight is not None and len(self.weight) != classes:
            raise ConfigurationError(
                f"loss weight: expected {classes} factors (one per class), "
                f"received {len(self.weight)}"
            )
        if target.shape == items and self._counts_fully(target, classes):
            rows = _label_rows(classes, self.label_smoothing)[target]
            return {
                "target": rows if rows.ndim == 2 else np.moveaxis(rows, -1, 1),
                "scales": self._scales(items, float(target.size)),
            }
        weight = np.ones(classes) if self.weight is None else np.array(self.weight)
        factors = weight.reshape(1, classes, *[1] * (len(prediction) - 2))
        if target.dtype.kind == "f" and target.shape == prediction:
            smooth = target * (1 - self.label_smoothing) + self.label_smoothing / classes
            return {
                "target": smooth * factors,
                "scales": self._scales(items, self.divisor(target, prediction)),
            }
        if target.shape != items:
            raise ShapeError(
                f"loss target: expected class indices of shape {items} or probabilities of shape "
                f"{prediction}, as the prediction's, received {target.dtype} of shape "
                f"{target.shape}"
            )
        if target.dtype.kind not in "iu":
            raise DataError(
                f"loss target: expected whole-number class indices, received {target.dtype}; "
                "convert with astype('int64')"
            )
        self.check(target, prediction)
        kept = target != self.ignore_index
        labels = np.where(kept, target, 0)
        smooth = np.moveaxis(_label_rows(classes, self.label_smoothing)[labels], -1, 1)
        encoded = smooth * factors * np.expand_dims(kept, 1)
        return {"target": encoded, "scales": self._scales(items, self.divisor(target, prediction))}

    def _counts_fully(self, target: Array, classes: int) -> bool:
        """Return whether every label is a class that counts once: the short way to encode."""
        if self.weight is not None or target.dtype.kind not in "iu" or not target.size:
            return False
        # Seen without sign, a label below zero lies above all classes.
        greatest = int(target.view(target.dtype.str.replace("i", "u")).max())
        return greatest < classes and not 0 <= self.ignore_index < classes

    def operands(self, view: View, item: Index) -> list[Operand]:
        """Return logits and targets of all classes of an item, and its scale."""
        classes = range(view.input().shape[1])
        places = [(item[0], c, *item[1:]) for c in classes]
        return [
            standing(view, "input", *places),
            standing(view, "target", *places),
            standing(view, "scales", item),
        ]

    def explain_gradient(self, view: View, index: Index) -> Explanation:
        """Explain softmax minus target for one logit."""
        n, rest = index[0], index[2:]
        classes: tuple[Any, ...] = (n, slice(None), *rest)
        logits, target = view.input()[classes], view.array("target")[classes]
        scale = view.array("scales")[(n, *rest)]
        top = logits.max() if not np.isnan(logits).any() else logits.dtype.type(np.nan)
        with np.errstate(all="ignore"):
            exps = np.array([replay.call(scalar.exponential, v - top) for v in logits])
        total, mass = replay.sums(exps)[-1], replay.sums(target)[-1]
        with np.errstate(all="ignore"):
            share = exps[index[1]] / total
            value = (share * mass - target[index[1]]) * scale
        sources = [
            ("logit", "input", index),
            ("target", "target", index),
            ("scale", "scales", (n, *rest)),
        ]
        steps = [
            ("softmax", share, "exp(logit − max) / sum"),
            ("= gradient", value, self.formula),
        ]
        behind = self.operands(view, (n, *rest))
        return elementwise(view, "input.gradient", index, sources, steps, self.formula, behind)


@functools.lru_cache(maxsize=8)
def _label_rows(classes: int, smoothing: float) -> Array:
    """Return the target probabilities of every label, one row each."""
    rows: Array = np.eye(classes) * (1 - smoothing) + smoothing / classes
    rows.flags.writeable = False
    return rows


class _ElementLoss(Loss):
    """A loss of each number by itself; the target has the prediction's shape."""

    function: ClassVar[Any]
    slope: ClassVar[Any]

    def items_shape(self, prediction: Shape) -> Shape:
        """Return the prediction's shape."""
        return prediction

    def operands(self, view: View, item: Index) -> list[Operand]:
        """Return prediction, target and factors at the item's place."""
        names = ("input", "target", *self.extra_fields, "scales")
        return [standing(view, name, item) for name in names]

    def _target(self, target: Array, prediction: Shape) -> Array:
        if target.shape != prediction:
            raise ShapeError(
                f"loss target: expected the prediction's shape {prediction}, "
                f"received {target.shape}"
            )
        if target.dtype.kind not in "fiub":
            raise DataError(f"loss: expected numbers as target, received {target.dtype}")
        return target.astype(np.float64)

    def explain_gradient(self, view: View, index: Index) -> Explanation:
        """Explain the slope of one item's loss times its scale."""
        names = ("input", "target", *self.extra_fields)
        numbers = [view.array(name)[index] for name in names]
        slope = replay.call(type(self).slope, *numbers)
        value = slope * view.array("scales")[index]
        sources = [(name if name != "input" else "x", name, index) for name in (*names, "scales")]
        steps = [
            ("slope", slope, self.formula),
            ("= gradient", value, "slope × scale"),
        ]
        return elementwise(
            view,
            "input.gradient",
            index,
            sources,
            steps,
            f"{self.formula} × scale",
        )


def _checked_factors(where: str, value: Any) -> float | Array | None:
    """Return factors of items: a number, an array that is broadcast, or None."""
    if value is None:
        return None
    if arguments.is_number(value):
        return arguments.number(where, value, least=0)
    given = arguments.array(where, value, "a number, or an array of numbers")
    factors = given.astype(np.float64)
    good = np.isfinite(factors) & (factors >= 0) & (given.dtype.kind != "b")
    if not factors.size or not good.all():
        raise ConfigurationError(
            f"{where}: expected finite factors of at least 0, received {shown(value)}"
        )
    factors.flags.writeable = False
    return factors


class MSELoss(_ElementLoss):
    """(prediction - target) squared, over all elements.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ConfigurationError
        If the reduction is something else.
    """

    forward_kernel = "mean_squared_error_forward"
    backward_kernel = "mean_squared_error_backward"
    formula = "2 (x − target)"
    function = staticmethod(scalar.squared_error)
    slope = staticmethod(scalar.squared_error_slope)

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = self._check_reduction(reduction)

    def encode(self, target: Array, prediction: Shape) -> dict[str, Array]:
        """Return the target and the factor of each item."""
        return {
            "target": self._target(target, prediction),
            "scales": self._scales(prediction, self.divisor(target, prediction)),
        }


class BCEWithLogitsLoss(_ElementLoss):
    """Binary cross-entropy of sigmoid(prediction) with targets in [0, 1], over all elements.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    weight : float, array or None
        Factor of each item, broadcast against the prediction.
    pos_weight : float, array or None
        Factor of the positive term, broadcast against the prediction.

    Raises
    ------
    ConfigurationError, DtypeError, ShapeError
        If an argument is out of range, or of the wrong kind.
    """

    forward_kernel = "binary_cross_entropy_forward"
    backward_kernel = "binary_cross_entropy_backward"
    extra_fields = ("positive",)
    formula = "sigmoid(x) − target, positives weighted"
    function = staticmethod(scalar.binary_cross_entropy)
    slope = staticmethod(scalar.binary_cross_entropy_slope)

    def __init__(self, reduction: str = "mean", weight: Any = None, pos_weight: Any = None) -> None:
        self.reduction = self._check_reduction(reduction)
        self.weight = _checked_factors(f"{type(self).__name__} weight", weight)
        self.pos_weight = _checked_factors(f"{type(self).__name__} pos_weight", pos_weight)

    def encode(self, target: Array, prediction: Shape) -> dict[str, Array]:
        """Return target, positive factor and the factor of each item."""
        values = self._target(target, prediction)
        if values.size and not (np.nanmin(values) >= 0 and np.nanmax(values) <= 1):
            raise DataError(
                "loss: expected targets between 0 and 1, "
                f"received {np.nanmin(values):g} to {np.nanmax(values):g}"
            )
        scales = self._scales(prediction, self.divisor(target, prediction))
        try:
            if self.weight is not None:
                scales = scales * np.broadcast_to(np.asarray(self.weight, float), prediction)
            extra = 1.0 if self.pos_weight is None else np.asarray(self.pos_weight, float)
            positive = np.broadcast_to(1 + (extra - 1) * values, prediction)
        except ValueError:
            raise ShapeError(
                f"loss: weight and pos_weight must broadcast to the prediction's shape {prediction}"
            ) from None
        return {"target": values, "positive": positive, "scales": scales}


__all__ = ["BCEWithLogitsLoss", "CrossEntropyLoss", "Loss", "LossSite", "MSELoss"]
