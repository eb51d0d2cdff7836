"""LeNet-5 as it is taught today: ReLU and maximum pooling in place of tanh and averages."""

from __future__ import annotations

from typing import Any

from engine.layers import BatchNorm2d, Conv2d, Dense, Flatten, Layer, MaxPool2d, ReLU
from engine.model import Model
from engine.typing import Shape
from engine.zoo.registry import builder, chain, checked


@builder
def lenet5(input_shape: Shape = (1, 28, 28), classes: int = 10, **settings: Any) -> Model:
    """LeNet-5: two convolutions, three dense layers; 61,706 parameters on MNIST.

    The layers are conv1 relu1 pool1 conv2 relu2 pool2 flatten dense1 relu3 dense2 relu4 logits.

    Parameters
    ----------
    input_shape : (c, h, w)
        At least 12 x 12 pixels; the first dense layer follows the size.
    classes : int
        Width of the output.
    settings
        What `Model` takes: ``seed``, ``device``, ``dtype``, ``threads``.

    Returns
    -------
    Model
        Input (n, c, h, w), output (n, classes), unnormalised scores.

    Raises
    ------
    ConfigurationError
        If an argument is of the wrong kind.
    ShapeError
        If the input is no picture, or too small.

    References
    ----------
    LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.B.
    """
    return _lenet("lenet5", input_shape, classes, normalised=False, settings=settings)


@builder
def lenet5_bn(input_shape: Shape = (1, 28, 28), classes: int = 10, **settings: Any) -> Model:
    """LeNet-5 with batch normalisation after both convolutions.

    Parameters
    ----------
    input_shape, classes, settings
        As for `lenet5`; the additional layers are bn1 and bn2.

    Returns
    -------
    Model
        Input (n, c, h, w), output (n, classes), unnormalised scores.

    Raises
    ------
    ConfigurationError
        If an argument is of the wrong kind.
    ShapeError
        If the input is no picture, or too small.

    References
    ----------
    Ioffe and Szegedy 2015, "Batch normalization", arXiv:1502.03167.
    """
    return _lenet("lenet5_bn", input_shape, classes, normalised=True, settings=settings)


def _lenet(
    kind: str, input_shape: Shape, classes: int, *, normalised: bool, settings: dict[str, Any]
) -> Model:
    start, pixels, classes = checked(kind, input_shape, classes)

    def block(number: int, convolution: Layer, channels: int) -> list[Layer]:
        norm: list[Layer] = [BatchNorm2d(channels, name=f"bn{number}")] if normalised else []
        pool = MaxPool2d(2, name=f"pool{number}")
        return [convolution, *norm, ReLU(name=f"relu{number}"), pool]

    first = Conv2d(pixels, 6, kernel_size=5, padding=2, name="conv1")
    second = Conv2d(6, 16, kernel_size=5, name="conv2")
    flat = chain(start, [*block(1, first, 6), *block(2, second, 16), Flatten(name="flatten")])
    scores = chain(
        flat,
        [
            Dense(flat.output_shape[0], 120, name="dense1"),
            ReLU(name="relu3"),
            Dense(120, 84, name="dense2"),
            ReLU(name="relu4"),
            Dense(84, classes, name="logits"),
        ],
    )
    return Model(inputs=start, outputs=scores, **settings)
