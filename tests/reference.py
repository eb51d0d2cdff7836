"""Slow, obviously right NumPy versions of everything the engine computes.

Nothing here imports the engine. Every function works in float64 whatever it is given, follows
PyTorch's conventions, and is written as the loops of its definition: one output element at a
time. The engine is judged by these functions, so clarity goes before speed.

Padding is given as four numbers (top, bottom, left, right); kernels, strides and dilations as
(rows, columns). Use `pair` and `pads` to get them from the short forms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


def pair(value: int | tuple[int, int]) -> Pair:
    """Return (rows, columns) from one number or two."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def pads(value: int | tuple[int, ...]) -> Pads:
    """Return (top, bottom, left, right) from one number, (rows, columns) or all four."""
    if isinstance(value, int):
        return (value, value, value, value)
    if len(value) == 2:
        return (value[0], value[0], value[1], value[1])
    return (value[0], value[1], value[2], value[3])


def same_pads(size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Pads:
    """Return the padding of 'same': ceil(size / stride) outputs, the odd pixel bottom and right."""
    result: list[int] = []
    for axis in (0, 1):
        outputs = math.ceil(size[axis] / stride[axis])
        span = dilation[axis] * (kernel[axis] - 1) + 1
        total = max((outputs - 1) * stride[axis] + span - size[axis], 0)
        result += [total // 2, total - total // 2]
    return (result[0], result[1], result[2], result[3])


def _wide(*arrays: Array | None) -> list[Any]:
    return [None if a is None else np.asarray(a, np.float64) for a in arrays]


# ---------------------------------------------------------------------------------- windows


def window_starts(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int, ceil_mode: bool
) -> list[int]:
    """List the first coordinate of every window along one axis; padding has negative coordinates.

    Windows are laid one after the other as long as they fit into the padded axis. With
    `ceil_mode` one more follows if cells are left over, unless it would start in the padding
    behind the data.
    """
    span = dilation * (kernel - 1) + 1
    starts: list[int] = []
    start = -before
    while start + span <= size + after:
        starts.append(start)
        start += stride
    if ceil_mode and starts and starts[-1] + span < size + after and start < size:
        starts.append(start)
    return starts


class Windows(NamedTuple):
    """All windows of a pooling layer: first rows and columns, kernel and dilation."""

    rows: list[int]
    columns: list[int]
    kernel: Pair
    dilation: Pair

    def taps(self, y: int, x: int) -> Iterator[tuple[int, int]]:
        """Yield the cells of window (y, x) in row order, padding included."""
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                yield (
                    self.rows[y] + ky * self.dilation[0],
                    self.columns[x] + kx * self.dilation[1],
                )


def windows(
    size: Pair, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair, ceil_mode: bool
) -> Windows:
    """Return the windows of a pooling layer over an image of `size`."""
    top, bottom, left, right = padding
    return Windows(
        window_starts(size[0], kernel[0], stride[0], top, bottom, dilation[0], ceil_mode),
        window_starts(size[1], kernel[1], stride[1], left, right, dilation[1], ceil_mode),
        kernel,
        dilation,
    )


# ------------------------------------------------------------------------------ convolution


class ConvSettings(NamedTuple):
    """Settings of a convolution in full form."""

    stride: Pair = (1, 1)
    padding: Pads = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    flip_kernel: bool = False


PLAIN = ConvSettings()


def _conv_places(
    x: Array, weight: Array, s: ConvSettings
) -> tuple[Array, Array, list[tuple[int, int, int, int]], Pair]:
    """Return the padded input, the kernel as applied, all (n, o, y, x), and the output size."""
    top, bottom, left, right = s.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    kernel = weight[:, :, ::-1, ::-1] if s.flip_kernel else weight
    kh, kw = kernel.shape[2:]
    rows = len(range(0, padded.shape[2] - s.dilation[0] * (kh - 1), s.stride[0]))
    columns = len(range(0, padded.shape[3] - s.dilation[1] * (kw - 1), s.stride[1]))
    places = [
        (n, o, y, c)
        for n in range(x.shape[0])
        for o in range(weight.shape[0])
        for y in range(rows)
        for c in range(columns)
    ]
    return padded, kernel, places, (rows, columns)


def _conv_patch(
    weight: Array, s: ConvSettings, place: tuple[int, int, int, int]
) -> tuple[int, slice, slice, slice]:
    """Return the part of the padded input that output element `place` reads."""
    n, o, y, x = place
    outputs, inputs, kh, kw = weight.shape
    first = o // (outputs // s.groups) * inputs
    y0, x0 = y * s.stride[0], x * s.stride[1]
    return (
        n,
        slice(first, first + inputs),
        slice(y0, y0 + s.dilation[0] * (kh - 1) + 1, s.dilation[0]),
        slice(x0, x0 + s.dilation[1] * (kw - 1) + 1, s.dilation[1]),
    )


def conv2d(
    x: Array, weight: Array, bias: Array | None = None, settings: ConvSettings = PLAIN
) -> Array:
    """Cross-correlate `x` (n, c, h, w) with `weight` (o, c / groups, kh, kw), then add `bias`."""
    x, weight, bias = _wide(x, weight, bias)
    padded, kernel, places, size = _conv_places(x, weight, settings)
    output = np.zeros((x.shape[0], weight.shape[0], *size))
    for place in places:
        patch = padded[_conv_patch(weight, settings, place)]
        output[place] = np.sum(patch * kernel[place[1]])
    return output if bias is None else output + bias[None, :, None, None]


def conv2d_backward(
    x: Array, weight: Array, grad_output: Array, settings: ConvSettings = PLAIN
) -> tuple[Array, Array, Array]:
    """Return the gradients of input, weight and bias."""
    x, weight, grad_output = _wide(x, weight, grad_output)
    padded, kernel, places, _ = _conv_places(x, weight, settings)
    grad_padded = np.zeros_like(padded)
    grad_kernel = np.zeros_like(weight)
    for place in places:
        part = _conv_patch(weight, settings, place)
        grad_padded[part] += grad_output[place] * kernel[place[1]]
        grad_kernel[place[1]] += grad_output[place] * padded[part]
    top, _, left, _ = settings.padding
    grad_input = grad_padded[:, :, top : top + x.shape[2], left : left + x.shape[3]]
    grad_weight = grad_kernel[:, :, ::-1, ::-1] if settings.flip_kernel else grad_kernel
    return grad_input, grad_weight.copy(), grad_output.sum(axis=(0, 2, 3))


# ---------------------------------------------------------------------------------- pooling


class PoolSettings(NamedTuple):
    """Settings of a pooling layer in full form."""

    kernel: Pair
    stride: Pair
    padding: Pads = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


def _pool_windows(x: Array, s: PoolSettings) -> Windows:
    return windows(x.shape[2:], s.kernel, s.stride, s.padding, s.dilation, s.ceil_mode)


def _inside(x: Array, cells: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(y, c) for y, c in cells if 0 <= y < x.shape[2] and 0 <= c < x.shape[3]]


def max_pool2d(x: Array, settings: PoolSettings) -> tuple[Array, Array]:
    """Return the maxima and, for each, the flat cell y * w + x it came from (the first one)."""
    (x,) = _wide(x)
    w = _pool_windows(x, settings)
    output = np.zeros((*x.shape[:2], len(w.rows), len(w.columns)))
    source = np.zeros(output.shape, np.int64)
    for n, c, y, k in np.ndindex(*output.shape):
        best = -math.inf
        place: int | None = None
        for row, column in _inside(x, w.taps(y, k)):
            value = x[n, c, row, column]
            if place is None or value > best or (math.isnan(value) and not math.isnan(best)):
                best, place = value, row * x.shape[3] + column
        output[n, c, y, k] = best
        source[n, c, y, k] = -1 if place is None else place
    return output, source


def max_pool2d_backward(x: Array, grad_output: Array, settings: PoolSettings) -> Array:
    """Send each gradient to the first maximum of its window."""
    (x, grad_output) = _wide(x, grad_output)
    _, source = max_pool2d(x, settings)
    grad_input = np.zeros_like(x)
    for place in np.ndindex(*source.shape):
        row, column = divmod(int(source[place]), x.shape[3])
        grad_input[place[0], place[1], row, column] += grad_output[place]
    return grad_input


def _divisor(x: Array, w: Windows, y: int, k: int, s: PoolSettings) -> int:
    """Return what an average is divided by: real cells, or all inside the padded image."""
    if s.divisor_override is not None:
        return s.divisor_override
    if not s.count_include_pad:
        return len(_inside(x, w.taps(y, k)))
    top, bottom, left, right = s.padding
    return sum(
        -top <= row < x.shape[2] + bottom and -left <= column < x.shape[3] + right
        for row, column in w.taps(y, k)
    )


def avg_pool2d(x: Array, settings: PoolSettings) -> Array:
    """Average each window; padding counts as zeros if `count_include_pad`."""
    (x,) = _wide(x)
    w = _pool_windows(x, settings)
    output = np.zeros((*x.shape[:2], len(w.rows), len(w.columns)))
    for n, c, y, k in np.ndindex(*output.shape):
        total = sum(x[n, c, row, column] for row, column in _inside(x, w.taps(y, k)))
        output[n, c, y, k] = total / _divisor(x, w, y, k, settings)
    return output


def avg_pool2d_backward(x: Array, grad_output: Array, settings: PoolSettings) -> Array:
    """Spread each gradient evenly over its window."""
    x, grad_output = _wide(x, grad_output)
    w = _pool_windows(x, settings)
    grad_input = np.zeros_like(x)
    for n, c, y, k in np.ndindex(*grad_output.shape):
        share = grad_output[n, c, y, k] / _divisor(x, w, y, k, settings)
        for row, column in _inside(x, w.taps(y, k)):
            grad_input[n, c, row, column] += share
    return grad_input


def adaptive_ranges(size: int, outputs: int) -> list[range]:
    """Return the cells of each of `outputs` windows: floor(i s / o) to ceil((i + 1) s / o)."""
    return [range(i * size // outputs, math.ceil((i + 1) * size / outputs)) for i in range(outputs)]


def adaptive_avg_pool2d(x: Array, size: Pair) -> Array:
    """Average over windows that divide the image into size[0] x size[1]."""
    (x,) = _wide(x)
    rows, columns = adaptive_ranges(x.shape[2], size[0]), adaptive_ranges(x.shape[3], size[1])
    output = np.zeros((*x.shape[:2], *size))
    for n, c, y, k in np.ndindex(*output.shape):
        output[n, c, y, k] = np.mean(x[n, c][np.ix_(rows[y], columns[k])])
    return output


def adaptive_avg_pool2d_backward(x: Array, grad_output: Array) -> Array:
    """Spread each gradient evenly over its window."""
    x, grad_output = _wide(x, grad_output)
    rows = adaptive_ranges(x.shape[2], grad_output.shape[2])
    columns = adaptive_ranges(x.shape[3], grad_output.shape[3])
    grad_input = np.zeros_like(x)
    for n, c, y, k in np.ndindex(*grad_output.shape):
        count = len(rows[y]) * len(columns[k])
        grad_input[n, c][np.ix_(rows[y], columns[k])] += grad_output[n, c, y, k] / count
    return grad_input


def global_avg_pool2d(x: Array) -> Array:
    """Average each map to one number, shape (n, c, 1, 1)."""
    (x,) = _wide(x)
    return x.mean(axis=(2, 3), keepdims=True)


def global_avg_pool2d_backward(x: Array, grad_output: Array) -> Array:
    """Spread the gradient of each map evenly over it."""
    x, grad_output = _wide(x, grad_output)
    return np.ones_like(x) * grad_output.reshape(*x.shape[:2], 1, 1) / (x.shape[2] * x.shape[3])


# ------------------------------------------------------------------- dense, norm, activations


def dense(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return x (.., in) times weight (out, in) transposed, plus bias (out,)."""
    x, weight, bias = _wide(x, weight, bias)
    output = np.zeros((*x.shape[:-1], weight.shape[0]))
    for place in np.ndindex(*x.shape[:-1]):
        for o in range(weight.shape[0]):
            output[(*place, o)] = np.sum(x[place] * weight[o]) + (0.0 if bias is None else bias[o])
    return output


def dense_backward(x: Array, weight: Array, grad_output: Array) -> tuple[Array, Array, Array]:
    """Return the gradients of input, weight and bias."""
    x, weight, grad_output = _wide(x, weight, grad_output)
    grad_input, grad_weight = np.zeros_like(x), np.zeros_like(weight)
    for place in np.ndindex(*x.shape[:-1]):
        for o in range(weight.shape[0]):
            grad_input[place] += grad_output[(*place, o)] * weight[o]
            grad_weight[o] += grad_output[(*place, o)] * x[place]
    return grad_input, grad_weight, grad_output.reshape(-1, weight.shape[0]).sum(axis=0)


class NormState(NamedTuple):
    """Running statistics of a batch norm."""

    mean: Array
    variance: Array


def batch_norm2d(
    x: Array,
    weight: Array,
    bias: Array,
    state: NormState,
    training: bool,
    eps: float = 1e-5,
    momentum: float = 0.1,
) -> tuple[Array, NormState]:
    """Normalise each channel; return the output and the running statistics afterwards.

    Training normalises with the batch's mean and biased variance; the running variance takes
    the unbiased one, with weight `momentum`. Otherwise the running statistics are used.
    """
    x, weight, bias, mean, variance = _wide(x, weight, bias, state.mean, state.variance)
    output = np.zeros_like(x)
    mean, variance = mean.copy(), variance.copy()
    for c in range(x.shape[1]):
        channel = x[:, c]
        m, v = (channel.mean(), channel.var()) if training else (mean[c], variance[c])
        output[:, c] = (channel - m) / math.sqrt(v + eps) * weight[c] + bias[c]
        if training:
            mean[c] += momentum * (m - mean[c])
            variance[c] += momentum * (channel.var(ddof=1) - variance[c])
    return output, NormState(mean, variance)


def batch_norm2d_backward(
    x: Array,
    weight: Array,
    grad_output: Array,
    state: NormState,
    training: bool,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Return the gradients of input, weight and bias."""
    x, weight, grad_output, mean, variance = _wide(x, weight, grad_output, *state)
    grad_input = np.zeros_like(x)
    grad_weight, grad_bias = np.zeros_like(weight), np.zeros_like(weight)
    for c in range(x.shape[1]):
        channel, g = x[:, c], grad_output[:, c]
        m, v = (channel.mean(), channel.var()) if training else (mean[c], variance[c])
        inverse = 1.0 / math.sqrt(v + eps)
        normal = (channel - m) * inverse
        grad_weight[c], grad_bias[c] = np.sum(g * normal), np.sum(g)
        if training:
            # Mean and variance depend on every x of the channel: take their share out again.
            g = g - g.mean() - normal * np.mean(g * normal)
        grad_input[:, c] = g * weight[c] * inverse
    return grad_input, grad_weight, grad_bias


def relu(x: Array) -> Array:
    """Return max(x, 0); NaN stays NaN."""
    (x,) = _wide(x)
    return np.where(x <= 0, 0.0, x)


def relu_backward(x: Array, grad_output: Array) -> Array:
    """Stop the gradient where x <= 0."""
    x, grad_output = _wide(x, grad_output)
    return np.where(x <= 0, 0.0, grad_output)


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """Return x, or x times the slope where it is negative."""
    (x,) = _wide(x)
    return np.where(x > 0, x, negative_slope * x)


def leaky_relu_backward(x: Array, grad_output: Array, negative_slope: float = 0.01) -> Array:
    """Scale the gradient by the slope where x is not positive."""
    x, grad_output = _wide(x, grad_output)
    return np.where(x > 0, grad_output, negative_slope * grad_output)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) without overflow."""
    (x,) = _wide(x)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def sigmoid_backward(x: Array, grad_output: Array) -> Array:
    """Scale the gradient by y (1 - y)."""
    y = sigmoid(x)
    return np.asarray(grad_output, np.float64) * y * (1.0 - y)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent."""
    return np.tanh(np.asarray(x, np.float64))


def tanh_backward(x: Array, grad_output: Array) -> Array:
    """Scale the gradient by 1 - y^2."""
    return np.asarray(grad_output, np.float64) * (1.0 - tanh(x) ** 2)


def hard_swish(x: Array) -> Array:
    """Return x min(max(x + 3, 0), 6) / 6."""
    (x,) = _wide(x)
    return x * np.clip(x + 3.0, 0.0, 6.0) / 6.0


def hard_swish_backward(x: Array, grad_output: Array) -> Array:
    """Scale the gradient by 0 below -3, 1 above 3, and (2 x + 3) / 6 between."""
    x, grad_output = _wide(x, grad_output)
    slope = np.where(x <= -3.0, 0.0, np.where(x >= 3.0, 1.0, (2.0 * x + 3.0) / 6.0))
    return grad_output * slope


def softmax(x: Array, axis: int = 1) -> Array:
    """Return exp(x) / sum(exp(x)) along `axis`."""
    (x,) = _wide(x)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def softmax_backward(x: Array, grad_output: Array, axis: int = 1) -> Array:
    """Return y (g - sum(g y)) along `axis`."""
    y = softmax(x, axis)
    (g,) = _wide(grad_output)
    return y * (g - np.sum(g * y, axis=axis, keepdims=True))


def log_softmax(x: Array, axis: int = 1) -> Array:
    """Return the logarithm of the softmax without overflow."""
    (x,) = _wide(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def dropout(x: Array, mask: Array, p: float) -> Array:
    """Keep x where `mask` is true, scaled by 1 / (1 - p); the gradient goes the same way."""
    (x,) = _wide(x)
    return np.where(mask, x / (1.0 - p), 0.0)


def concat_backward(parts: list[Array], grad_output: Array, axis: int = 1) -> list[Array]:
    """Cut the gradient of a concatenation into the gradients of its parts."""
    ends = np.cumsum([part.shape[axis] for part in parts])[:-1]
    return list(np.split(np.asarray(grad_output, np.float64), ends, axis=axis))


# ----------------------------------------------------------------------------------- losses


def _reduce(values: Array, reduction: str, divisor: float) -> Array:
    if reduction == "none":
        return values
    return np.asarray(values.sum() if reduction == "sum" else values.sum() / divisor)


class CrossEntropy(NamedTuple):
    """Settings of a cross-entropy as in PyTorch; `weight` has one number per class."""

    weight: Array | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0
    reduction: str = "mean"


MEAN = CrossEntropy()


def _class_target(logits: Array, target: Array, s: CrossEntropy) -> tuple[Array, Array, float]:
    """Return, per sample, the weighted target of each class, the mask, and the mean's divisor."""
    classes = logits.shape[1]
    weight = np.ones(classes) if s.weight is None else np.asarray(s.weight, np.float64)
    column = weight.reshape(1, classes, *([1] * (logits.ndim - 2)))
    if target.ndim == logits.ndim:
        smooth = np.asarray(target, np.float64) * (1 - s.label_smoothing)
        smooth = smooth + s.label_smoothing / classes
        keep = np.ones(logits[:, 0].shape, bool)
        return smooth * column, keep, float(keep.size)
    keep = target != s.ignore_index
    hot = np.zeros(logits.shape)
    for place in np.argwhere(keep):
        hot[(place[0], target[tuple(place)], *place[1:])] = 1.0
    smooth = hot * (1 - s.label_smoothing) + s.label_smoothing / classes
    smooth = smooth * column * np.expand_dims(keep, 1)
    return smooth, keep, float(weight[target[keep]].sum())


def cross_entropy(logits: Array, target: Array, settings: CrossEntropy = MEAN) -> Array:
    """Return -sum(target * log_softmax(logits)); targets are class indices or probabilities."""
    (logits,) = _wide(logits)
    wanted, _, divisor = _class_target(logits, target, settings)
    values = -np.sum(wanted * log_softmax(logits), axis=1)
    return _reduce(values, settings.reduction, divisor)


def cross_entropy_backward(logits: Array, target: Array, settings: CrossEntropy = MEAN) -> Array:
    """Return the gradient of the loss (of its sum, for "none") with respect to the logits."""
    (logits,) = _wide(logits)
    wanted, _, divisor = _class_target(logits, target, settings)
    gradient = softmax(logits) * wanted.sum(axis=1, keepdims=True) - wanted
    return gradient / divisor if settings.reduction == "mean" else gradient


def mse(prediction: Array, target: Array, reduction: str = "mean") -> Array:
    """Return the squared distance, averaged over all elements for "mean"."""
    prediction, target = _wide(prediction, target)
    return _reduce((prediction - target) ** 2, reduction, prediction.size)


def mse_backward(prediction: Array, target: Array, reduction: str = "mean") -> Array:
    """Return 2 (prediction - target), divided by the number of elements for "mean"."""
    prediction, target = _wide(prediction, target)
    gradient = 2.0 * (prediction - target)
    return gradient / prediction.size if reduction == "mean" else gradient


def bce_with_logits(
    logits: Array,
    target: Array,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """Return -w (p t log s + (1 - t) log(1 - s)) with s the sigmoid of the logits."""
    logits, target, weight, pos_weight = _wide(logits, target, weight, pos_weight)
    positive = 1.0 if pos_weight is None else pos_weight
    values = positive * target * np.logaddexp(0, -logits) + (1 - target) * np.logaddexp(0, logits)
    return _reduce(values * (1.0 if weight is None else weight), reduction, logits.size)


def bce_with_logits_backward(
    logits: Array,
    target: Array,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """Return w ((1 - t) s - p t (1 - s)), divided by the number of elements for "mean"."""
    logits, target, weight, pos_weight = _wide(logits, target, weight, pos_weight)
    positive = 1.0 if pos_weight is None else pos_weight
    s = sigmoid(logits)
    gradient = ((1 - target) * s - positive * target * (1 - s)) * (
        1.0 if weight is None else weight
    )
    return gradient / logits.size if reduction == "mean" else gradient


# ------------------------------------------------------------------------------- optimisers


class SGDReference:
    """v = momentum v + (g + decay w); w -= lr v, or lr (g + momentum v) with Nesterov."""

    def __init__(
        self, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay
        self.velocity: dict[str, Array] = {}

    def step(self, weights: dict[str, Array], gradients: dict[str, Array], lr: float) -> None:
        """Update `weights` in place."""
        for name, w in weights.items():
            g = gradients[name] + self.weight_decay * w
            v = self.momentum * self.velocity.get(name, np.zeros_like(w)) + g
            self.velocity[name] = v
            w -= lr * (g + self.momentum * v if self.nesterov else v)


class AdamReference:
    """Adam; with `decoupled` the decay shrinks the weights by themselves (AdamW)."""

    def __init__(
        self,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.decoupled = decoupled
        self.steps = 0
        self.mean: dict[str, Array] = {}
        self.square: dict[str, Array] = {}

    def step(self, weights: dict[str, Array], gradients: dict[str, Array], lr: float) -> None:
        """Update `weights` in place."""
        self.steps += 1
        b1, b2 = self.betas
        for name, w in weights.items():
            g = gradients[name]
            if self.decoupled:
                w -= lr * self.weight_decay * w
            else:
                g = g + self.weight_decay * w
            m = b1 * self.mean.get(name, np.zeros_like(w)) + (1 - b1) * g
            s = b2 * self.square.get(name, np.zeros_like(w)) + (1 - b2) * g**2
            self.mean[name], self.square[name] = m, s
            m_hat, s_hat = m / (1 - b1**self.steps), s / (1 - b2**self.steps)
            w -= lr * m_hat / (np.sqrt(s_hat) + self.eps)


# -------------------------------------------------------------------------------- schedules


def step_decay(start: float, factor: float, every: int, step: int) -> float:
    """Multiply by `factor` after each `every` steps."""
    return start * factor ** (step // every)


def exponential_decay(start: float, factor: float, step: int) -> float:
    """Multiply by `factor` at each step."""
    return start * factor**step


def cosine_decay(start: float, steps: int, step: int, end: float = 0.0) -> float:
    """Follow half a cosine from `start` to `end`, and stay there."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(step, steps) / steps))
