"""The arithmetic of one element, in plain Python, compiled for the CPU and for CUDA alike.

Each function is the one place where its formula stands: kernels of both devices call it, and
`explain` replays it. `like(x, value)` keeps constants in the type of `x`, so that float32 stays
float32.
"""

from __future__ import annotations

import math
from typing import Any

from engine.kernels import functions
from engine.kernels.arithmetic import fma, like, low32

CHUNKS = 8
"""Sums over a batch run in this many chunks, added in order: bits do not depend on threads."""


def chunk_start(chunk: int, size: int) -> int:
    """Return the first of `size` items that belongs to `chunk`."""
    return chunk * size // CHUNKS


# ---------------------------------------------------------------------------- activations


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays NaN."""
    return x if not x <= 0 else like(x, 0)


def relu_slope(x: Any) -> Any:
    """Derivative of `relu`: 1 above zero, else 0."""
    return like(x, 1) if x > 0 else like(x, 0)


def leaky_relu(x: Any, slope: Any) -> Any:
    """X above zero, slope * x below."""
    return x if not x <= 0 else slope * x


def leaky_relu_slope(x: Any, slope: Any) -> Any:
    """Derivative of `leaky_relu`."""
    return like(x, 1) if x > 0 else slope


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), arranged so that exp never overflows."""
    e = functions.exp(-x if x >= 0 else x)
    return (like(x, 1) if x >= 0 else e) / (like(x, 1) + e)


def sigmoid_slope(y: Any) -> Any:
    """Derivative of the sigmoid, from its output."""
    return y * (like(y, 1) - y)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return functions.tanh(x)


def tanh_slope(y: Any) -> Any:
    """Derivative of tanh, from its output."""
    return like(y, 1) - y * y


def hard_swish(x: Any) -> Any:
    """X * min(max(x + 3, 0), 6) / 6 (Howard et al. 2019, arXiv:1905.02244); NaN stays NaN."""
    if x <= like(x, -3):
        return like(x, 0)
    if x >= like(x, 3):
        return x
    return x * (x + like(x, 3)) / like(x, 6)


def hard_swish_slope(x: Any) -> Any:
    """Derivative of `hard_swish`: 0 up to -3, 1 from 3 on, (2 x + 3) / 6 between."""
    if x <= like(x, -3):
        return like(x, 0)
    if x >= like(x, 3):
        return like(x, 1)
    return (like(x, 2) * x + like(x, 3)) / like(x, 6)


def exponential(x: Any) -> Any:
    """exp(x) in the type of x."""
    return functions.exp(x)


def logarithm(x: Any) -> Any:
    """Natural logarithm in the type of x."""
    return functions.log(x)


# ---------------------------------------------------------------------------- normalisation


def inverse_deviation(variance: Any, epsilon: Any) -> Any:
    """1 / sqrt(variance + epsilon)."""
    return like(variance, 1) / like(variance, math.sqrt(variance + epsilon))


def normalize(x: Any, mean: Any, inverse: Any) -> Any:
    """(x - mean) / deviation."""
    return (x - mean) * inverse


def scale_and_shift(normal: Any, weight: Any, bias: Any) -> Any:
    """Weight * x + bias, rounded once."""
    return fma(normal, weight, bias)


def running_average(old: Any, new: Any, momentum: Any) -> Any:
    """Move `old` towards `new`; momentum is the weight of the new batch."""
    return fma(momentum, new - old, old)


def batch_norm_gradient(
    grad: Any, normal: Any, weight: Any, inverse: Any, mean_grad: Any, mean_grad_normal: Any
) -> Any:
    """Gradient through batch statistics (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3)."""
    return weight * inverse * (grad - mean_grad - normal * mean_grad_normal)


# ---------------------------------------------------------------------------- random numbers


def hashed_uniform(like_this: Any, seed: int, step: int, stream: int, index: int) -> Any:
    """Return a number in [0, 1), typed like the first argument, that depends on the others only.

    A counter-based generator: the mask of any step can be made again at any time. Every argument
    goes through a 32-bit integer mixer (multiply and xor-shift; constants of MurmurHash3's
    finaliser). Only the lowest 32 bits of each step count, so numbers that wrap around and Python's
    unbounded ones give the same bits.
    """
    state = low32(0x9E3779B9)
    for turn in range(4):
        value = seed if turn == 0 else step if turn == 1 else stream if turn == 2 else index
        state = low32(state ^ low32(value))
        state = low32((state ^ (state >> 16)) * 0x85EBCA6B)
        state = low32((state ^ (state >> 13)) * 0xC2B2AE35)
        state = low32((state ^ (state >> 16)) + 0x7F4A7C15 * (turn + 1))
    state = low32((state ^ (state >> 16)) * 0x85EBCA6B)
    # 24 bits are exact in float32 too, so every dtype drops the same elements.
    return like(like_this, state >> 8) / like(like_this, 16777216)


# ---------------------------------------------------------------------------- losses


def squared_error(x: Any, target: Any) -> Any:
    """(x - target) squared."""
    return (x - target) * (x - target)


def squared_error_slope(x: Any, target: Any) -> Any:
    """2 (x - target)."""
    return like(x, 2) * (x - target)


def binary_cross_entropy(x: Any, target: Any, positive: Any) -> Any:
    """Cross-entropy of sigmoid(x) with a target in [0, 1], stable for any logit.

    `positive` is ``1 + (pos_weight - 1) * target``.
    """
    absolute = x if x >= 0 else -x
    below = -x if x < 0 else like(x, 0)
    rest = functions.log1p(functions.exp(-absolute))
    return (like(x, 1) - target) * x + positive * (rest + below)


def binary_cross_entropy_slope(x: Any, target: Any, positive: Any) -> Any:
    """Derivative of `binary_cross_entropy` by the logit; `against` is 1 - sigmoid(x)."""
    e = functions.exp(-x if x >= 0 else x)
    against = (e if x >= 0 else like(x, 1)) / (like(x, 1) + e)
    return (like(x, 1) - target) - positive * against


# ---------------------------------------------------------------------------- weights


def l2_gradient(weight: Any, grad: Any, strength: Any) -> Any:
    """Gradient plus the derivative of strength * w squared."""
    return fma(like(weight, 2) * strength, weight, grad)


def l1_gradient(weight: Any, grad: Any, strength: Any) -> Any:
    """Gradient plus the derivative of strength * |w| (0 at 0)."""
    if weight > 0:
        return grad + strength
    if weight < 0:
        return grad - strength
    return grad


def with_penalty(value: Any, total: Any, strength: Any) -> Any:
    """Loss value + strength * what a penalty has summed up, rounded once."""
    return fma(strength, total, value)


def decayed_gradient(grad: Any, weight: Any, weight_decay: Any) -> Any:
    """Gradient + weight_decay * weight."""
    return fma(weight_decay, weight, grad)


def sgd_velocity(velocity: Any, grad: Any, momentum: Any) -> Any:
    """Momentum * velocity + gradient."""
    return fma(momentum, velocity, grad)


def sgd_weight(weight: Any, step: Any, learning_rate: Any) -> Any:
    """Weight - learning_rate * step."""
    return fma(-learning_rate, step, weight)


def first_moment(moment: Any, grad: Any, beta: Any) -> Any:
    """Adam's mean of gradients."""
    return fma(beta, moment, (like(grad, 1) - beta) * grad)


def second_moment(moment: Any, grad: Any, beta: Any) -> Any:
    """Adam's mean of squared gradients."""
    return fma(beta, moment, (like(grad, 1) - beta) * grad * grad)


def adam_weight(
    weight: Any, first: Any, second: Any, step_size: Any, root_correction: Any, epsilon: Any
) -> Any:
    """Weight after one step of Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1).

    `step_size` is learning rate / (1 - beta1^t), `root_correction` is sqrt(1 - beta2^t).
    """
    root = like(second, math.sqrt(second))
    return fma(-step_size, first / (root / root_correction + epsilon), weight)
