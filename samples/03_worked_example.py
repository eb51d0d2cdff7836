"""The worked example of many articles, done right: a 3 x 3 input, a 2 x 2 kernel, each step shown.

What networks call convolution is cross-correlation: the kernel is laid over the input as it is. The
convolution of mathematics turns the kernel by 180 degrees first. Articles mix the two up; here are
both, and the same with 'same' padding, with every multiply-add as the engine executed it.

    python samples/03_worked_example.py
"""

from __future__ import annotations

import numpy as np

from engine import Model
from engine.debug import Session
from engine.layers import Conv2d

IMAGE = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
KERNEL = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 2, 2)


def show(title: str, padding: str, flip_kernel: bool) -> None:
    """Run one layer and print its output and where each number of it comes from."""
    layer = Conv2d(
        1, 1, kernel_size=2, padding=padding, flip_kernel=flip_kernel, bias=False, name="conv"
    )
    model = Model([layer], input_shape=(1, 3, 3), device="cpu")
    layer.weight.value = KERNEL
    session = Session(model, IMAGE)
    session.resume()
    output = model(IMAGE)[0, 0]

    print(f"\n{title}")
    print(output.astype(int))
    for y, x in np.ndindex(output.shape):
        why = session.explain(layer="conv", index=(0, 0, y, x))
        products = [
            f"{term.values[0]:g} x {term.values[1]:g}" + (" (padding)" * (term.indices[0] is None))
            for term in why.terms
        ]
        totals = ", ".join(f"{term.total:g}" for term in why.terms)
        print(f"  output[{y}, {x}] = {' + '.join(products)} = {why.value:g}")
        print(f"      running sum: {totals}")
        if not why.exact:
            raise SystemExit("the explanation differs from the stored number")


def main() -> None:
    """Run the sample."""
    print("input")
    print(IMAGE[0, 0].astype(int))
    print("kernel")
    print(KERNEL[0, 0].astype(int))
    show("Cross-correlation, what networks use:", "valid", flip_kernel=False)
    show("Convolution of mathematics, flip_kernel=True:", "valid", flip_kernel=True)
    show("Cross-correlation with padding='same': one row and column below and right", "same", False)
    show("Convolution with padding='same':", "same", flip_kernel=True)


if __name__ == "__main__":
    main()
