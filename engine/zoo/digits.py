"""A net that is small enough to be read whole."""

from __future__ import annotations

from typing import Any

from engine.layers import Conv2d, Dense, Flatten, MaxPool2d, ReLU
from engine.model import Model
from engine.typing import Shape
from engine.zoo.registry import builder, chain, checked


@builder
def digits_cnn(input_shape: Shape = (1, 28, 28), classes: int = 10, **settings: Any) -> Model:
    """Small net: two 3 x 3 convolutions and one dense layer; 4,266 parameters on MNIST.

    The layers are conv1 relu1 pool1 conv2 relu2 pool2 flatten logits. A kernel has only nine
    weights a channel, so that it is pleasant to step through.

    Parameters
    ----------
    input_shape : (c, h, w)
        At least 4 x 4 pixels.
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
    """
    start, channels, classes = checked("digits_cnn", input_shape, classes)
    flat = chain(
        start,
        [
            Conv2d(channels, 4, kernel_size=3, padding=1, name="conv1"),
            ReLU(name="relu1"),
            MaxPool2d(2, name="pool1"),
            Conv2d(4, 8, kernel_size=3, padding=1, name="conv2"),
            ReLU(name="relu2"),
            MaxPool2d(2, name="pool2"),
            Flatten(name="flatten"),
        ],
    )
    scores = Dense(flat.output_shape[0], classes, name="logits")(flat)
    return Model(inputs=start, outputs=scores, **settings)
