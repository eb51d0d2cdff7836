"""Small nets in the style of VGG: blocks of 3 x 3 convolutions, each ended by a maximum pool."""

from __future__ import annotations

from typing import Any

from engine.layers import Conv2d, Dense, Flatten, Layer, MaxPool2d, ReLU
from engine.model import Model
from engine.typing import Shape
from engine.zoo.registry import builder, chain, checked

BLOCKS = ((32, 32), (64, 64))
"""Output channels of the convolutions, block by block."""


@builder
def vgg_small(input_shape: Shape = (3, 32, 32), classes: int = 10, **settings: Any) -> Model:
    """Small VGG: four 3 x 3 convolutions, two dense layers; 1,116,970 parameters on 3x32x32.

    The layers are conv1 relu1 conv2 relu2 pool1 conv3 relu3 conv4 relu4 pool2 flatten dense1 relu5
    logits, with 32, 32, 64 and 64 channels and 256 features.

    Parameters
    ----------
    input_shape : (c, h, w)
        At least 4 x 4 pixels; the first dense layer follows the size.
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
    Simonyan and Zisserman 2015, "Very deep convolutional networks for large-scale image
    recognition", arXiv:1409.1556, section 2.1: its design at the size of CIFAR's pictures.
    """
    start, channels, classes = checked("vgg_small", input_shape, classes)
    number = 0
    layers: list[Layer] = []
    for block, widths in enumerate(BLOCKS, 1):
        for width in widths:
            number += 1
            convolution = Conv2d(channels, width, 3, padding=1, name=f"conv{number}")
            layers += [convolution, ReLU(name=f"relu{number}")]
            channels = width
        layers.append(MaxPool2d(2, name=f"pool{block}"))
    flat = chain(start, [*layers, Flatten(name="flatten")])
    scores = chain(
        flat,
        [
            Dense(flat.output_shape[0], 256, name="dense1"),
            ReLU(name=f"relu{number + 1}"),
            Dense(256, classes, name="logits"),
        ],
    )
    return Model(inputs=start, outputs=scores, **settings)
