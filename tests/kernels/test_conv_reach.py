"""Convolutions whose windows span much of a large image: more than scratch is planned for."""

from __future__ import annotations

import numpy as np
import pytest

from engine import Model
from engine.errors import ConfigurationError
from engine.kernels.cpu._jit import WORK_BYTES
from engine.layers import Conv2d


def test_one_row_of_windows_may_need_more_scratch_than_planned() -> None:
    far, width = 18, 300
    assert (2 * far + 1) * (width + 2 * far) * 64 * 4 > WORK_BYTES
    layer = Conv2d(64, 3, 3, dilation=far, padding=far, name="conv")
    model = Model([layer], input_shape=(64, 20, width), device="cpu", threads=2)
    draws = np.random.default_rng(0)
    x = draws.standard_normal((2, 64, 20, width)).astype(np.float32)
    weight, bias = (model.parameters[f"conv.{n}"].value.astype(float) for n in ("weight", "bias"))
    padded = np.pad(x.astype(float), ((0, 0), (0, 0), (far, far), (far, far)))
    taps = {
        (ky, kx): padded[:, :, ky * far :, kx * far :][:, :, :20, :width]
        for ky in range(3)
        for kx in range(3)
    }
    wanted = sum(
        np.einsum("nchw,oc->nohw", v, weight[:, :, ky, kx]) for (ky, kx), v in taps.items()
    )
    np.testing.assert_allclose(model(x), wanted + bias[:, None, None], atol=2e-5)
    grad = draws.standard_normal(wanted.shape)
    actual = model.gradients(x, grad).parameters["conv.weight"]
    for (ky, kx), v in taps.items():
        by_weight = np.einsum("nchw,nohw->oc", v, grad)
        np.testing.assert_allclose(actual[:, :, ky, kx], by_weight, atol=1e-2)


def test_windows_that_span_too_much_are_refused() -> None:
    layer = Conv2d(512, 512, 3, dilation=40, padding=40)
    model = Model([layer], input_shape=(512, 90, 300), device="cpu")
    with pytest.raises(ConfigurationError, match=r"spans 63 MiB of the image, at most 30"):
        model(np.zeros((1, 512, 90, 300), np.float32))
