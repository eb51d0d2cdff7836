"""Train LeNet-5 on MNIST from a script: no window, no screen, nothing but numbers.

Shows how data, model, loss, optimiser and scheduler come together, how events tell what happens,
and how a run is saved. The whole of it (one epoch) reaches 97.5 % of the test set or more:

    python samples/01_train_headless.py

A quick look:

    python samples/01_train_headless.py --steps 100
"""

from __future__ import annotations

import argparse
from pathlib import Path

from engine import Model, Scheduler, save
from engine.data import DataLoader, load_mnist
from engine.events import Event, StepFinished
from engine.layers import Conv2d, Dense, Flatten, MaxPool2d, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.schedules import CosineDecay


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train LeNet-5 on MNIST.")
    parser.add_argument("--steps", type=int, help="stop after so many steps; default: one epoch")
    parser.add_argument("--test-samples", type=int, default=10_000, help="of the 10,000 there are")
    parser.add_argument("--output", type=Path, help="save the run here")
    return parser.parse_args()


def main() -> None:
    """Run the sample."""
    arguments = parse()
    train, test = load_mnist()  # x: float32 (n, 1, 28, 28) in [0, 1]; y: int64 (n,)
    test = test.subset(arguments.test_samples)

    model = Model(
        [
            Conv2d(1, 6, kernel_size=5, padding=2, name="conv1"),
            ReLU(),
            MaxPool2d(2),
            Conv2d(6, 16, kernel_size=5, name="conv2"),
            ReLU(),
            MaxPool2d(2),
            Flatten(),
            Dense(400, 120),
            ReLU(),
            Dense(120, 84),
            ReLU(),
            Dense(84, 10, name="logits"),
        ],
        input_shape=(1, 28, 28),
        seed=0,
    )
    print(model.summary())

    # The same seed gives the same batches in the same order, and so the same bits at the end.
    loader = DataLoader(train, batch_size=64, shuffle=True, seed=0)
    steps = arguments.steps or len(loader)
    optimizer = SGD(learning_rate=CosineDecay(0.05, steps=steps), momentum=0.9)
    scheduler = Scheduler(model, CrossEntropyLoss(), optimizer)

    def report(event: Event) -> None:
        if isinstance(event, StepFinished) and event.step % 50 == 0:
            print(f"step {event.step:4}   loss {event.loss:.4f}   {event.elapsed_ms:.1f} ms")

    scheduler.listen(report)
    history = scheduler.fit(loader, steps=steps)
    result = scheduler.evaluate(test)
    print(f"loss {history.loss[0]:.3f} -> {history.loss[-1]:.3f} in {len(history.loss)} steps")
    print(f"test accuracy {result.accuracy:.4f} on {result.samples} pictures")

    if arguments.output:
        print(f"saved to {save(scheduler, arguments.output)}")


if __name__ == "__main__":
    main()
