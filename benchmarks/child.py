"""What a fresh process needs until it has trained a step; prints one JSON object.

python -m benchmarks.child engine|torch NET
"""

from __future__ import annotations

import json
import sys
import time

BEGIN = time.perf_counter()


def engine_steps(net: str) -> list[float]:
    """Return when the engine was imported, and when two steps were done."""
    import numpy as np

    from engine import Scheduler
    from engine.losses import CrossEntropyLoss
    from engine.optimizers import SGD
    from engine.zoo import build

    marks = [time.perf_counter()]
    scheduler = Scheduler(build(net, device="cpu"), CrossEntropyLoss(), SGD(0.01, momentum=0.9))
    x = np.zeros((64, *scheduler.model.input_shape), np.float32)
    for _ in range(2):
        scheduler.step(x, np.zeros(64, np.int64))
        marks.append(time.perf_counter())
    return marks


def torch_steps(net: str) -> list[float]:
    """Return the same of PyTorch."""
    import torch

    marks = [time.perf_counter()]
    from benchmarks.nets import TWINS

    module = TWINS[net]()
    optimizer = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9)
    size = (64, 1, 28, 28) if net.startswith("lenet") else (64, 3, 32, 32)
    for _ in range(2):
        optimizer.zero_grad()
        scores = module(torch.zeros(size))
        loss = torch.nn.functional.cross_entropy(scores, torch.zeros(64, dtype=torch.long))
        loss.backward()
        optimizer.step()
        loss.item()
        marks.append(time.perf_counter())
    return marks


def resident_bytes() -> int | None:
    """Return the greatest memory this process has had."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    who, what = sys.argv[1:3]
    imported, first, second = (engine_steps if who == "engine" else torch_steps)(what)
    report = {
        "import": imported - BEGIN,
        "first": first - BEGIN,
        "second": second - first,
        "memory": resident_bytes(),
    }
    print(json.dumps(report))
