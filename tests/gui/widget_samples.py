"""Data for the widgets: how a convolution, a pool and a dense layer compute, from NumPy alone."""

from __future__ import annotations

import numpy as np
from PyQt6.QtGui import QColor, QImage
from PyQt6.QtWidgets import QWidget

from gui.widgets.window_content import GridStack, WindowContent


def conv_content(
    x, weight, bias=0.0, y=0, column=0, padding=0, dilation=1, cursor=None, **more
) -> WindowContent:
    """The value (y, column) of a convolution of x (c, h, w) with one kernel (c, kh, kw).

    Terms run over kernel rows, kernel columns, channels, as in the engine.
    """
    channels, height, width = x.shape
    _, kh, kw = weight.shape
    rows = np.arange(kh) * dilation + y - padding
    columns = np.arange(kw) * dilation + column - padding
    inside = np.outer((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
    patch = np.zeros(weight.shape, np.float32)
    for a, b in np.argwhere(inside):
        patch[:, a, b] = x[:, rows[a], columns[b]]
    terms = np.arange(weight.size).reshape(kh, kw, channels).transpose(2, 0, 1)
    first, second = np.zeros((2, weight.size), np.float32)
    first[terms.ravel()] = patch.ravel()
    second[terms.ravel()] = weight.ravel()
    with np.errstate(invalid="ignore"):
        products = first * second
        totals = np.cumsum(products, dtype=np.float32)
    z = float(totals[-1] + bias)
    index = np.arange(channels)
    return WindowContent(
        title="conv1[0, 0, 0]",
        formula="= Σ in × w + b",
        order_text="row, column, channel",
        patches=[
            GridStack("input", "input", patch, index, rows, columns, inside, terms),
            GridStack(
                "weight",
                "conv1.weight",
                np.asarray(weight, np.float32),
                index,
                np.arange(kh),
                np.arange(kw),
                np.ones((kh, kw), bool),
                terms,
            ),
        ],
        operand_values=[first, second],
        operand_labels=[lambda t: f"[{t % channels}]", lambda t: f"[0, {t}]"],
        contributions=products,
        totals=totals,
        cursor_term=cursor,
        stages=[("+ bias", bias, ""), ("= z", z, "Σ + bias")],
        result=z,
        **more,
    )


def lenet_content(cursor=46, **more) -> WindowContent:
    """150 terms, as in the second convolution of LeNet-5."""
    r = np.random.default_rng(0)
    x = np.maximum(r.normal(size=(6, 14, 14)), 0).astype(np.float32)
    weight = (r.normal(size=(6, 5, 5)) * 0.2).astype(np.float32)
    return conv_content(x, weight, 0.1, y=7, column=4, cursor=cursor, **more)


def weight_gradient_content(samples=64, side=28, cursor=20_000) -> WindowContent:
    """About fifty thousand terms: a weight's gradient over all positions of a batch."""
    r = np.random.default_rng(1)
    shape = (samples, side, side)
    a = np.maximum(r.normal(size=shape), 0).astype(np.float32)
    g = (r.normal(size=shape) * 1e-3).astype(np.float32)
    terms = np.arange(a.size).reshape(shape)
    axis = (np.arange(samples), np.arange(side), np.arange(side))
    inside = np.ones((side, side), bool)
    products = (a * g).ravel()
    return WindowContent(
        title="conv1.weight.gradient[2, 0, 1, 2]",
        patches=[
            GridStack("input", "input", a, *axis, inside, terms),
            GridStack("gradient", "conv1.output.gradient", g, *axis, inside, terms),
        ],
        operand_values=[a.ravel(), g.ravel()],
        operand_labels=[lambda t: f"[{t}]", lambda t: f"[{t}]"],
        contributions=products,
        totals=np.cumsum(products, dtype=np.float32),
        chunk_starts=tuple(range(0, a.size, a.size // 8)),
        cursor_term=cursor,
    )


def dense_content(inputs=400, cursor=123) -> WindowContent:
    """One unit of a dense layer."""
    r = np.random.default_rng(2)
    a, w = r.normal(size=(2, inputs)).astype(np.float32)
    axis = (np.zeros(1, int), np.zeros(1, int), np.arange(inputs))
    inside, terms = np.ones((1, inputs), bool), np.arange(inputs).reshape(1, 1, inputs)
    return WindowContent(
        title="dense1[17]",
        patches=[
            GridStack("input", "flatten1.output", a.reshape(1, 1, -1), *axis, inside, terms),
            GridStack("weight", "dense1.weight", w.reshape(1, 1, -1), *axis, inside, terms),
        ],
        operand_values=[a, w],
        operand_labels=[lambda t: f"[{t}]", lambda t: f"[17, {t}]"],
        contributions=a * w,
        totals=np.cumsum(a * w, dtype=np.float32),
        cursor_term=cursor,
        stages=[("+ bias", 0.1, ""), ("= z", 1.0, "")],
    )


def pool_content(values, kind="max", cursor=None) -> WindowContent:
    """A pooling window over values (h, w)."""
    values = np.asarray(values, np.float32)
    flat = values.ravel()
    totals = np.maximum.accumulate(flat) if kind == "max" else np.cumsum(flat)
    h, w = values.shape
    return WindowContent(
        title="pool1[0, 0, 0]",
        kind=kind,
        patches=[
            GridStack(
                "input",
                "relu1.output",
                values[None],
                np.zeros(1, int),
                np.arange(h),
                np.arange(w),
                np.ones((h, w), bool),
                np.arange(h * w).reshape(1, h, w),
            )
        ],
        operand_values=[flat],
        operand_labels=[lambda t: f"[0, {t // w}, {t % w}]"],
        contributions=flat,
        totals=totals,
        cursor_term=cursor,
        decisive=int(flat.argmax()) if kind == "max" else None,
        stages=[("= result", float(totals[-1]), "")],
    )


def picture(widget: QWidget) -> np.ndarray:
    """What a widget shows as uint8 (h, w, 3)."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    bits = image.constBits().asstring(image.sizeInBytes())
    rows = np.frombuffer(bits, np.uint8).reshape(image.height(), -1, 4)
    return rows[:, : image.width(), 2::-1].copy()


def count(widget: QWidget, name: str, tolerance: int = 6) -> int:
    """How many pixels of a widget have a colour."""
    wanted = np.array(QColor(name).getRgb()[:3], int)
    return int((np.abs(picture(widget).astype(int) - wanted).max(axis=2) <= tolerance).sum())


def shades(pixels: np.ndarray) -> int:
    """How many different colours a picture (h, w, 3) has."""
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return len(np.unique(packed))
