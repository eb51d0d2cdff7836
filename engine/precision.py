"""Settings that would mean something else in the model's dtype.

A setting is a float64 of Python; a kernel gets it in the model's dtype. Most lose digits there,
which changes nothing. Some lose their meaning: an `eps` that becomes 0 divides 0 by 0, a momentum
that becomes 1 never forgets, a rate that becomes 0 trains nothing. Those are refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.config import Configurable
from engine.errors import ConfigurationError


def check_settings(thing: Configurable, dtype: str, where: str = "") -> None:
    """Raise if a setting of a layer, a loss, an optimiser ... is another one in `dtype`.

    Parameters
    ----------
    thing : Configurable
        Its numbers are looked at, alone or in sequences and arrays; the objects in it are not.
    dtype : {"float32", "float64"}
    where : str
        For the error text; by default the name of the class.

    Raises
    ------
    ConfigurationError
        With the numbers that fit.
    """
    for name in thing.setting_names():
        for label, value in _numbers(name, getattr(thing, name, None)):
            at = f"{where or type(thing).__name__} {label}"
            _check(at, value, dtype, name in thing.above_zero, name in thing.below_one)


def check_rates(rates: tuple[float, ...], dtype: str, step: int) -> None:
    """Raise if `dtype` cannot hold what an optimiser calculates with in a step.

    Raises
    ------
    ConfigurationError
        With the rate and the step.
    """
    largest = float(np.finfo(dtype).max)
    for rate in rates:
        if not -largest <= rate <= largest:  # NaN is not, either
            raise ConfigurationError(
                f"learning rate at step {step}: expected a step size that {dtype} can hold, up to "
                f"{largest:.4g}, received {rate:g}"
            )


def check_rate(rate: float, dtype: str, where: str) -> None:
    """Raise if a learning rate above 0 is 0 in `dtype`: nothing would be trained, and quietly."""
    _check(where, rate, dtype, False, False)


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield all floats in a setting with their labels: ``eps``, ``betas[1]``."""
    if isinstance(value, (float, np.floating)):
        yield name, float(value)
    elif isinstance(value, (tuple, list)):
        for number, item in enumerate(value):
            yield from _numbers(f"{name}[{number}]", item)
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
        for place in np.ndindex(value.shape):
            inside = f"[{', '.join(map(str, place))}]" if place else ""
            yield f"{name}{inside}", float(value[place])


def _check(where: str, value: float, dtype: str, above_zero: bool, below_one: bool) -> None:
    limits = np.finfo(dtype)
    with np.errstate(all="ignore"):
        held = float(np.asarray(value, np.float64).astype(dtype))
    least, largest = float(limits.smallest_subnormal), float(limits.max)
    below = 1 - float(limits.epsneg)
    if held == 0 and (above_zero or value != 0):
        expected = f"above 0 in {dtype}, from {least:.2g} on"
        expected = expected if above_zero else f"0, or one that is not 0 in {dtype} ({least:.2g})"
    elif math.isfinite(value) and not math.isfinite(held):
        expected = f"within the range of {dtype}, up to {largest:.4g}"
    elif below_one and value < 1 <= held:
        expected = f"below 1 in {dtype}, up to {below:.8g}"
    else:
        return
    became = "" if held == value else f", which {dtype} holds as {held:g}"
    fix = "" if dtype == "float64" or held == value else '; or use dtype="float64"'
    raise ConfigurationError(
        f"{where}: expected a number {expected}, received {value!r}{became}{fix}"
    )


__all__ = ["check_rate", "check_rates", "check_settings"]
