"""Step through a forward pass: over layers, into one pixel, into single multiply-adds, and back.

Shows the debugger without its window. A session executes the rows of the same table that training
runs; its position says what comes next, from the phase down to one term of one sum.

    python samples/02_step_forward.py
"""

from __future__ import annotations

import argparse

from engine import load
from engine.data import bundled, load_mnist_split
from engine.debug import Session


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Step through a forward pass.")
    parser.add_argument("--sample", type=int, default=0, help="which picture of the test set")
    parser.add_argument("--terms", type=int, default=5, help="how many multiply-adds to step over")
    return parser.parse_args()


def main() -> None:
    """Run the sample."""
    arguments = parse()
    model = load(bundled.path("lenet5-mnist.safetensors")).model
    test = load_mnist_split("test")
    picture = test.x[arguments.sample : arguments.sample + 1]
    session = Session(model, picture)

    print("Step over the first layers:")
    session.step_over()  # load
    for _ in range(3):
        stop = session.step_over()
        record = stop.record
        if record is not None and record.output is not None:
            print(f"  {record.layer:6} -> {record.output.shape}, largest {record.output.max():.3f}")

    print("\nPick a pixel of conv2 and step into it:")
    session.pick("conv2", (0, 9, 3, 4))
    session.step_into()
    print(f"  at {session.position.level} {session.position.index}")
    for frame in session.stack():
        if frame.state == "current":
            print("  " + "  " * frame.depth + f"{frame.title} {frame.detail}".rstrip())

    print(f"\nStep over its first {arguments.terms} multiply-adds:")
    session.step_into()
    why = session.explain_position()
    for _ in range(arguments.terms):
        number = session.position.term
        if why is None or number is None:
            break
        term = why.terms[number]
        product = " x ".join(f"{value:.4g}" for value in term.values)
        print(f"  term {term.number}: {product} = {term.contribution:.4g}, total {term.total:.4g}")
        session.step_over()

    print("\nStep out of it, then take the last step back:")
    session.step_out()
    print(f"  out:  {session.position.level} {session.position.index}")
    session.step_back()
    position = session.position
    print(f"  back: {position.level} {position.term} of {position.index}")

    session.resume()  # nothing stops it: to the end
    scores = model(picture)[0]
    print(f"\nThe network says {scores.argmax()}, the label is {test.y[arguments.sample]}.")


if __name__ == "__main__":
    main()
