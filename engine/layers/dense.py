"""The fully connected layer."""

from __future__ import annotations

from engine import arguments, initializers, regularizers
from engine.initializers import HeUniform, Initializer, Zeros
from engine.layers.base import Layer, Parameter, check_bias
from engine.ops.dense import Dense as DenseOp
from engine.regularizers import Regularizer


class Dense(Layer):
    """output[..., o] = sum over i of input[..., i] * weight[o, i] + bias[o].

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    initializer : Initializer or str, default HeUniform
        For the weight; the bias starts at zero. ``"he_normal"`` is short for ``HeNormal()``; see
        `engine.initializers.NAMES`.
    regularizer : Regularizer or None
        ``L1`` or ``L2`` on the weight.
    name : str or None

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
    bias : Parameter or None, shape (out_features,)

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.
    """

    acting = ("regularizer",)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        initializer: Initializer | str | None = None,
        regularizer: Regularizer | None = None,
        name: str | None = None,
    ) -> None:
        kind = type(self).__name__
        self.in_features = arguments.whole(f"{kind} in_features", in_features, 1)
        self.out_features = arguments.whole(f"{kind} out_features", out_features, 1)
        has_bias = check_bias(kind, bias)
        self.initializer = initializers.checked(f"{kind} initializer", initializer)
        self.regularizer = regularizers.checked(f"{kind} regularizer", regularizer)
        super().__init__(DenseOp(self.in_features, self.out_features, has_bias), name)
        shape = (self.out_features, self.in_features)
        first = self.initializer or HeUniform()
        self.weight = self.add_parameter("weight", shape, "matrix", first, self.regularizer)
        self.bias: Parameter | None = None
        if has_bias:
            self.bias = self.add_parameter("bias", (self.out_features,), "plain", Zeros())
