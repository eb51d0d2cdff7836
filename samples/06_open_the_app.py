"""Build a net in a script, train it a little, and open the window on it.

The run file is all that the window needs: every net that a script can build can be stepped through
there. Without a display, the window is drawn into a picture instead:

    python samples/06_open_the_app.py
    python samples/06_open_the_app.py --screenshot window.png
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from engine import Input, Model, Scheduler, save
from engine.cli import main as convscope
from engine.data import DataLoader, load_mnist_split
from engine.layers import Add, Conv2d, Dense, Flatten, MaxPool2d, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Open the window on a net of your own.")
    parser.add_argument("--steps", type=int, default=100, help="training before it is opened")
    parser.add_argument("--screenshot", type=Path, help="draw the window into this PNG and leave")
    parser.add_argument("--size", default="1280x800", help="of the picture")
    return parser.parse_args()


def build() -> Model:
    """Return a net with a branch: two convolutions around which the input also goes."""
    start = Input((1, 28, 28))
    first = MaxPool2d(2)(ReLU()(Conv2d(1, 8, kernel_size=3, padding=1, name="stem")(start)))
    branch = ReLU()(Conv2d(8, 8, kernel_size=3, padding=1, name="branch1")(first))
    branch = Conv2d(8, 8, kernel_size=3, padding=1, name="branch2")(branch)
    joined = MaxPool2d(2)(ReLU()(Add(name="join")(first, branch)))
    return Model(inputs=start, outputs=Dense(392, 10, name="logits")(Flatten()(joined)), seed=1)


def main() -> None:
    """Run the sample."""
    arguments = parse()
    model = build()
    print(model.summary())
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(learning_rate=0.05, momentum=0.9))
    loader = DataLoader(load_mnist_split("test"), batch_size=32, shuffle=True, seed=1)
    scheduler.fit(loader, steps=arguments.steps)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "branch-net.safetensors"
        save(scheduler, path)
        words = ["app", str(path)]
        if arguments.screenshot:
            words += ["--screenshot", str(arguments.screenshot), "--size", arguments.size]
        status = convscope(words)  # the same as: convscope app branch-net.safetensors
    if arguments.screenshot and not status:
        print(f"drawn: {arguments.screenshot}")
    sys.exit(status)


if __name__ == "__main__":
    main()
