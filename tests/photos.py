"""Photographs of digits as people take them: MNIST's test digits as ink on some background.

Everything is drawn from a seed, so that the same number always gives the same photograph.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from engine.data import load_mnist_split
from tests.reference import Array

HEIGHT, WIDTH = 320, 280


def ink_of(number: int, rng: np.random.Generator, turn: float = 8.0) -> Array:
    """Return where ink lies on a sheet, (HEIGHT, WIDTH) in [0, 1]: a digit, turned a little."""
    digit = load_mnist_split_cached().x[number, 0]
    side = int(rng.integers(150, 230))
    small = Image.fromarray((digit * 255).astype(np.uint8))
    large = small.resize((side, side), Image.Resampling.BICUBIC)
    large = large.rotate(float(rng.uniform(-turn, turn)), Image.Resampling.BICUBIC)
    ink = np.zeros((HEIGHT, WIDTH))
    top = int(rng.integers(10, HEIGHT - side - 10))
    left = int(rng.integers(10, WIDTH - side - 10))
    ink[top : top + side, left : left + side] = np.asarray(large) / 255
    return np.clip((ink - 0.15) / 0.55, 0, 1)  # edges as sharp as those of a pen


_CACHE: list = []


def load_mnist_split_cached():
    """Return the test half of MNIST, read once."""
    if not _CACHE:
        _CACHE.append(load_mnist_split("test"))
    return _CACHE[0]


def sheet(ink: Array, paper: float = 0.9, pen: float = 0.15) -> Array:
    """Return ink on even paper."""
    return paper + (pen - paper) * ink


def ramp(low: float, high: float, angle: float) -> Array:
    """Return brightness that falls evenly across the sheet."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    along = np.cos(angle) * x / WIDTH + np.sin(angle) * y / HEIGHT
    along = (along - along.min()) / np.ptp(along)
    return low + (high - low) * along


def noise(rng: np.random.Generator, sigma: float) -> Array:
    """Return noise as of a sensor, a little blurred by its own processing."""
    grain = Image.fromarray(rng.normal(0, sigma * 2, (HEIGHT, WIDTH)).astype(np.float32))
    half = grain.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BOX)
    return np.asarray(half.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR), np.float64)


def lines(rng: np.random.Generator, gap: int, shade: float, tilt: float = 0.0) -> Array:
    """Return the factor by which ruled lines darken a sheet."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    place = (y + np.tan(np.radians(tilt)) * x + rng.uniform(0, gap)) % gap
    return np.where(place < 2.2, shade, 1.0)


def clean(ink: Array, rng: np.random.Generator) -> Array:
    return sheet(ink)


def shadow(ink: Array, rng: np.random.Generator) -> Array:
    """Brightness from 0.35 to 0.75 across the sheet."""
    return sheet(ink, 1.0, 0.15) * ramp(0.35, 0.75, rng.uniform(0, 2 * np.pi))


def noisy_shadow(ink: Array, rng: np.random.Generator) -> Array:
    return shadow(ink, rng) + noise(rng, 0.02)


def ruled(ink: Array, rng: np.random.Generator) -> Array:
    """Pale lines, as in an exercise book."""
    return sheet(ink) * lines(rng, int(rng.integers(24, 44)), 0.72, rng.uniform(-2, 2))


def dark_ruled(ink: Array, rng: np.random.Generator) -> Array:
    """Lines as dark as a pencil."""
    paper = 0.9 * lines(rng, int(rng.integers(34, 60)), 0.4, rng.uniform(-2, 2))
    return paper + (0.12 - paper) * ink


def squared(ink: Array, rng: np.random.Generator) -> Array:
    gap, tilt = int(rng.integers(24, 40)), rng.uniform(-2, 2)
    across = lines(rng, gap, 0.75, tilt)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    down = np.where((x - np.tan(np.radians(tilt)) * y) % gap < 2.2, 0.75, 1.0)
    return sheet(ink) * np.minimum(across, down)


def ruled_shadow(ink: Array, rng: np.random.Generator) -> Array:
    paper = sheet(ink, 1.0, 0.15) * lines(rng, int(rng.integers(28, 44)), 0.75, rng.uniform(-2, 2))
    return paper * ramp(0.4, 0.8, rng.uniform(0, 2 * np.pi)) + noise(rng, 0.01)


def grainy(ink: Array, rng: np.random.Generator) -> Array:
    return sheet(ink) + noise(rng, 0.04)


def vignette(ink: Array, rng: np.random.Generator) -> Array:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    far = np.hypot(y - HEIGHT / 2, x - WIDTH / 2) / (WIDTH / 2)
    return sheet(ink) * np.clip(1 - 0.35 * far**2, 0.2, 1) + noise(rng, 0.01)


def edge_of_a_hand(ink: Array, rng: np.random.Generator) -> Array:
    """A shadow with a rather sharp edge across the sheet."""
    along = ramp(-1, 1, rng.uniform(0, 2 * np.pi)) + rng.uniform(-0.3, 0.3)
    return sheet(ink) * (0.55 + 0.45 / (1 + np.exp(-along / 0.03))) + noise(rng, 0.01)


def chalk(ink: Array, rng: np.random.Generator) -> Array:
    """White on a board that is lit unevenly."""
    return ramp(0.1, 0.35, rng.uniform(0, 2 * np.pi)) + 0.55 * ink + noise(rng, 0.02)


def inverted(ink: Array, rng: np.random.Generator) -> Array:
    return 1 - clean(ink, rng)


PHOTOS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    function.__name__: function
    for function in (
        clean, inverted, shadow, noisy_shadow, ruled, dark_ruled, squared, ruled_shadow, grainy,
        vignette, edge_of_a_hand, chalk,
    )
}  # fmt: skip


def photo(kind: str, number: int, turn: float = 8.0) -> Array:
    """Return a photograph of a test digit, (HEIGHT, WIDTH) in [0, 1]."""
    rng = np.random.default_rng([number, len(kind)])
    return np.clip(PHOTOS[kind](ink_of(number, rng, turn), rng), 0, 1)


def empty(kind: str, number: int) -> Array:
    """Return the same photograph of a sheet that nobody has written on."""
    rng = np.random.default_rng([number, len(kind)])
    ink_of(number, rng)
    return np.clip(PHOTOS[kind](np.zeros((HEIGHT, WIDTH)), rng), 0, 1)
