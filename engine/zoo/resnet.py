"""Residual networks for small pictures."""

from __future__ import annotations

from typing import Any

from engine.layers import (
    Add,
    BatchNorm2d,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Node,
    ReLU,
)
from engine.model import Model
from engine.typing import Shape
from engine.zoo.registry import builder, chain, checked

STAGES = (16, 32, 64)
"""Channels; the first block of every stage but the first halves rows and columns."""
BLOCKS = 3
"""Per stage: 6 x 3 + 2 = 20 layers with weights."""


@builder
def resnet20(input_shape: Shape = (3, 32, 32), classes: int = 10, **settings: Any) -> Model:
    """ResNet-20 for CIFAR: nine residual blocks; 272,474 parameters on 3x32x32.

    A block is conv bn relu conv bn, a sum with its shortcut, and relu; its layers are called
    ``stage2/block1/conv1`` and so on. Where the shape changes, the shortcut is a 1 x 1 convolution
    with batch normalisation (option B of the paper); everywhere else it is the input itself.
    Convolutions have no bias, batch normalisation has one.

    Parameters
    ----------
    input_shape : (c, h, w)
        Of any size; 32 x 32 in the paper.
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
        If the input is no picture.

    References
    ----------
    He et al. 2016, "Deep residual learning for image recognition", arXiv:1512.03385, section 4.2.
    The paper's own nets for CIFAR take option A (padding with zeros, no parameters): 269,722.
    """
    start, channels, classes = checked("resnet20", input_shape, classes)
    node = _conv_bn(start, channels, STAGES[0], 3, 1, "conv1", "bn1")
    node, channels = ReLU(name="relu1")(node), STAGES[0]
    for stage, width in enumerate(STAGES, 1):
        for block in range(1, BLOCKS + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            node = _block(node, channels, width, stride, f"stage{stage}/block{block}")
            channels = width
    end = [
        GlobalAvgPool2d(name="pool"),
        Flatten(name="flatten"),
        Dense(channels, classes, name="logits"),
    ]
    return Model(inputs=start, outputs=chain(node, end), **settings)


def _block(x: Node, channels: int, width: int, stride: int, name: str) -> Node:
    """Return the end of one residual block."""
    inner = _conv_bn(x, channels, width, 3, stride, f"{name}/conv1", f"{name}/bn1")
    inner = ReLU(name=f"{name}/relu1")(inner)
    inner = _conv_bn(inner, width, width, 3, 1, f"{name}/conv2", f"{name}/bn2")
    if stride > 1 or channels != width:
        x = _conv_bn(x, channels, width, 1, stride, f"{name}/shortcut", f"{name}/shortcut_bn")
    return ReLU(name=f"{name}/relu2")(Add(name=f"{name}/add")(inner, x))


def _conv_bn(
    x: Node, channels: int, width: int, kernel: int, stride: int, conv: str, norm: str
) -> Node:
    """Return a convolution without bias and its batch normalisation."""
    layer = Conv2d(
        channels, width, kernel, stride=stride, padding=kernel // 2, bias=False, name=conv
    )
    return BatchNorm2d(width, name=norm)(layer(x))
