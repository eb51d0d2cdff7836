"""Save a run in the middle of an epoch, load it, go on: the same bits as if it had never stopped.

A run file holds weights, the optimiser's moments, the schedule, the generators' seeds and the
position. It is plain data (safetensors), protected by a hash; nothing in it can run code.

    python samples/05_save_and_resume.py
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from engine import Scheduler, load, save
from engine.data import DataLoader, load_mnist_split
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.schedules import CosineDecay
from engine.zoo import lenet5


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Save and resume, bit for bit.")
    parser.add_argument("--steps", type=int, default=60, help="in all; saved half way")
    parser.add_argument("--output", type=Path, help="keep the run file here")
    return parser.parse_args()


def main() -> None:
    """Run the sample."""
    arguments = parse()
    half, steps = arguments.steps // 2, arguments.steps
    # The test set serves here because it is read in a tenth of the time.
    data = load_mnist_split("test")

    def loader() -> DataLoader:
        return DataLoader(data, batch_size=32, shuffle=True, seed=7)

    def fresh() -> Scheduler:
        optimizer = SGD(learning_rate=CosineDecay(0.05, steps=steps), momentum=0.9)
        return Scheduler(lenet5(seed=7), CrossEntropyLoss(), optimizer)

    straight = fresh()
    straight.fit(loader(), steps=steps)
    print(f"straight through: {steps} steps, loss {straight.history.loss[-1]:.6f}")

    with tempfile.TemporaryDirectory() as folder:
        path = arguments.output or Path(folder) / "half-way.safetensors"
        interrupted = fresh()
        interrupted.fit(loader(), steps=half)
        save(interrupted, path)
        print(f"saved after {half} steps: {path.stat().st_size:,} bytes")

        resumed = load(path)
        print(f"loaded: epoch {resumed.epoch}, batch {resumed.batch}, step {resumed.global_step}")
        resumed.fit(loader(), steps=steps - half)
    print(f"resumed: loss {resumed.history.loss[-1]:.6f}")

    different = [
        name
        for name, parameter in straight.model.parameters.items()
        if parameter.value.tobytes() != resumed.model.parameters[name].value.tobytes()
    ]
    same_losses = straight.history.loss.tobytes() == resumed.history.loss.tobytes()
    count = len(straight.model.parameters)
    print(f"parameters with the same bits: {count - len(different)} of {count}")
    print(f"losses of all steps the same bits: {same_losses}")
    if different or not same_losses:
        raise SystemExit(f"not the same: {', '.join(different) or 'the losses'}")


if __name__ == "__main__":
    main()
