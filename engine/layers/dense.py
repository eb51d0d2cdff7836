"""The fully connected layer."""

from __future__ import annotations

from engine.initializers import HeUniform, Initializer, Zeros
from engine.layers.base import Layer, Parameter
from engine.ops.dense import Dense as DenseOp
from engine.regularizers import Regularizer
from engine.shapes import positive


class Dense(Layer):
    """output[..., o] = sum over i of input[..., i] * weight[o, i] + bias[o].

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    initializer : Initializer, default HeUniform
        For the weight; the bias starts at zero.
    regularizer : Regularizer or None
        ``L1`` or ``L2`` on the weight.
    name : str or None

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
    bias : Parameter or None, shape (out_features,)
    """

    acting = ("regularizer",)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        initializer: Initializer | None = None,
        regularizer: Regularizer | None = None,
        name: str | None = None,
    ) -> None:
        self.in_features = positive("in_features", in_features)
        self.out_features = positive("out_features", out_features)
        self.initializer, self.regularizer = initializer, regularizer
        super().__init__(DenseOp(self.in_features, self.out_features, bool(bias)), name)
        shape = (out_features, in_features)
        self.weight = self.add_parameter(
            "weight", shape, "matrix", initializer or HeUniform(), regularizer
        )
        self.bias: Parameter | None = None
        if bias:
            self.bias = self.add_parameter("bias", (out_features,), "plain", Zeros())
