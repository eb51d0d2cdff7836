"""Break where something goes wrong: at a layer, at a condition, and at the first NaN.

Shows breakpoints in a training run. One pixel of the data is spoilt with NaN; the session stops at
the operation that first computes with it and names the operand it came from. `Scheduler.fit` would
have refused these data at once; a debugger has to accept them, so that they can be hunted.

    python samples/04_break_on_condition.py
"""

from __future__ import annotations

import argparse

import numpy as np

from engine import Scheduler
from engine.data import DataLoader, Dataset, load_mnist_split
from engine.debug import Session
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.zoo import lenet5


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Break on conditions.")
    parser.add_argument("--samples", type=int, default=512, help="pictures to train on")
    return parser.parse_args()


def main() -> None:
    """Run the sample."""
    arguments = parse()
    test = load_mnist_split("test")
    x = np.array(test.x[: arguments.samples])
    broken = arguments.samples * 3 // 4
    x[broken, 0, 14, 9] = np.nan
    data = Dataset(x, test.y[: arguments.samples])
    loader = DataLoader(data, batch_size=32)

    scheduler = Scheduler(lenet5(seed=0), CrossEntropyLoss(), SGD(learning_rate=0.05, momentum=0.9))
    session = Session(scheduler, loader=loader)

    print("1. A place: before the backward pass of conv2")
    place = session.add_breakpoint(layer="conv2", phase="backward")
    stop = session.resume()
    print(f"   {stop.message}; batch {stop.position.batch}, operation {stop.position.operation}")
    session.remove_breakpoint(place)

    print("2. An expression: the outputs of conv2 spread a fifth more than at the start")
    start = session.read("conv2.output")
    limit = 1.2 * float(np.std(start)) if start is not None else 1.0
    spread = session.add_breakpoint(when=f"conv2.output.std() > {limit:.3f}")
    stop = session.resume()
    print(f"   {stop.message}; batch {stop.position.batch}")
    session.remove_breakpoint(spread)

    print("3. A preset: the first number that is not finite")
    session.add_breakpoint(when="any_nonfinite")
    stop = session.resume()
    print(f"   {stop.message}")
    origin = stop.origin
    if stop.reason != "breakpoint" or origin is None:
        raise SystemExit("the spoilt pixel was not found")
    sample = stop.position.batch * loader.batch_size + origin.index[0]
    print(f"   it comes from {origin.tensor}{list(origin.index)}: sample {sample} of the data")
    print(f"   the spoilt one was sample {broken}")

    print("4. Take the last command back, as if it had not been given")
    session.step_back()
    print(
        f"   {session.position.phase}, batch {session.position.batch}; losses: "
        f"{', '.join(f'{loss:.3f}' for loss in session.losses)}"
    )


if __name__ == "__main__":
    main()
