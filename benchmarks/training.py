"""Whole training steps and predictions of LeNet-5 beside PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from benchmarks.measure import side_by_side
from engine import Scheduler
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.zoo import lenet5


def torch_lenet() -> nn.Module:
    """Return the same net in PyTorch."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def torch_step(x: np.ndarray, y: np.ndarray, layout: torch.memory_format) -> Callable[[], object]:
    """Return PyTorch's training step."""
    net = torch_lenet().to(memory_format=layout)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    images, labels = torch.from_numpy(x).to(memory_format=layout), torch.from_numpy(y)

    def step() -> object:
        optimizer.zero_grad()
        loss = criterion(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def rows() -> list[tuple[str, ...]]:
    """Return one row per batch size: training step, then prediction."""
    result, draws = [], np.random.default_rng(0)
    for batch in (1, 8, 64, 256):
        x = draws.uniform(0, 1, (batch, 1, 28, 28)).astype(np.float32)
        y = draws.integers(0, 10, batch)
        scheduler = Scheduler(lenet5(device="cpu"), CrossEntropyLoss(), SGD(0.01, momentum=0.9))
        net, image = torch_lenet().eval(), torch.from_numpy(x)

        def predict(net: nn.Module = net, image: torch.Tensor = image) -> object:
            with torch.inference_mode():
                return net(image)

        for name, contestants in (
            (
                "training step",
                {
                    "convscope": lambda s=scheduler, x=x, y=y: s.step(x, y),
                    "torch": torch_step(x, y, torch.contiguous_format),
                    "torch channels_last": torch_step(x, y, torch.channels_last),
                },
            ),
            (
                "prediction",
                {"convscope": lambda s=scheduler, x=x: s.model(x), "torch": predict},
            ),
        ):
            times = [timing.median_ms for timing in side_by_side(contestants).values()]
            last = f"{times[2]:.3f}" if len(times) > 2 else "-"
            ratios = (f"{times[1] / times[0]:.2f}", f"{min(times[1:]) / times[0]:.2f}")
            result.append(
                (f"batch {batch}", name, f"{times[0]:.3f}", f"{times[1]:.3f}", last, *ratios)
            )
    return result
