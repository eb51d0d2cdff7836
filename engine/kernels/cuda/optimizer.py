"""Weight updates, element by element. `rates` holds what changes every step."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cuda._compat import device
from engine.kernels.cuda._index import items
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import AdamSettings, SgdSettings
from engine.kernels.types import Flat, Real1

decayed_gradient = device(scalar.decayed_gradient)
sgd_velocity = device(scalar.sgd_velocity)
sgd_weight = device(scalar.sgd_weight)
first_moment = device(scalar.first_moment)
second_moment = device(scalar.second_moment)
adam_weight = device(scalar.adam_weight)


@kernel(over="weight")
def sgd_update(weight: Flat, grad: Flat, velocity: Flat, rates: Real1, s: SgdSettings) -> None:
    """SGD with momentum (Sutskever et al. 2013, PyTorch's form); rates[0] is the learning rate."""
    for i in items(weight.size):
        slope = decayed_gradient(grad[i], weight[i], s.weight_decay)
        velocity[i] = sgd_velocity(velocity[i], slope, s.momentum)
        step = sgd_velocity(velocity[i], slope, s.momentum) if s.nesterov else velocity[i]
        weight[i] = sgd_weight(weight[i], step, rates[0])


@kernel(over="weight")
def adam_update(
    weight: Flat, grad: Flat, first: Flat, second: Flat, rates: Real1, s: AdamSettings
) -> None:
    """Adam, AdamW if `decoupled`; rates = learning rate, step size, root of the correction."""
    for i in items(weight.size):
        slope = grad[i]
        if s.decoupled:
            weight[i] = sgd_weight(weight[i], s.weight_decay * weight[i], rates[0])
        else:
            slope = decayed_gradient(slope, weight[i], s.weight_decay)
        first[i] = first_moment(first[i], slope, s.beta1)
        second[i] = second_moment(second[i], slope, s.beta2)
        weight[i] = adam_weight(weight[i], first[i], second[i], rates[1], rates[2], s.epsilon)
