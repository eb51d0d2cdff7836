"""Weight updates, element by element. `rates` holds what changes every step."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._share import share
from engine.kernels.settings import AdamSettings, SgdSettings
from engine.kernels.types import Flat, Real1

decayed_gradient = inline(scalar.decayed_gradient)
sgd_velocity = inline(scalar.sgd_velocity)
sgd_weight = inline(scalar.sgd_weight)
first_moment = inline(scalar.first_moment)
second_moment = inline(scalar.second_moment)
adam_weight = inline(scalar.adam_weight)


@kernel
def sgd_update(
    weight: Flat,
    grad: Flat,
    velocity: Flat,
    rates: Real1,
    s: SgdSettings,
    thread: int,
    threads: int,
) -> None:
    """SGD with momentum (Sutskever et al. 2013, PyTorch's form); rates[0] is the learning rate."""
    start, stop = share(weight.size, thread, threads)
    w, g, v = weight[start:stop], grad[start:stop], velocity[start:stop]
    for i in range(w.size):
        slope = decayed_gradient(g[i], w[i], s.weight_decay)
        v[i] = sgd_velocity(v[i], slope, s.momentum)
        step = sgd_velocity(v[i], slope, s.momentum) if s.nesterov else v[i]
        w[i] = sgd_weight(w[i], step, rates[0])


@kernel
def adam_update(
    weight: Flat,
    grad: Flat,
    first: Flat,
    second: Flat,
    rates: Real1,
    s: AdamSettings,
    thread: int,
    threads: int,
) -> None:
    """Adam, AdamW where `decoupled`; rates = learning rate, step size, root of the correction."""
    start, stop = share(weight.size, thread, threads)
    w, g = weight[start:stop], grad[start:stop]
    m, v = first[start:stop], second[start:stop]
    for i in range(w.size):
        slope = g[i]
        if s.decoupled:
            w[i] = sgd_weight(w[i], s.weight_decay * w[i], rates[0])
        else:
            slope = decayed_gradient(slope, w[i], s.weight_decay)
        m[i] = first_moment(m[i], slope, s.beta1)
        v[i] = second_moment(v[i], slope, s.beta2)
        w[i] = adam_weight(w[i], m[i], v[i], rates[1], rates[2], s.epsilon)
