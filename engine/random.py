"""One seed, one independent generator per consumer.

Initialisation, shuffling, dropout and augmentation never share a generator, so using more random
numbers in one of them leaves the others untouched, and any of them can be repeated alone.
"""

from __future__ import annotations

import hashlib
from typing import SupportsIndex, cast

import numpy as np

from engine import arguments

DIGEST_BYTES = 16
LARGEST_SEED = 2**128 - 1
"""As much as NumPy's own `SeedSequence` draws."""


def check_seed(seed: SupportsIndex, where: str = "seed") -> int:
    """Return `seed` as a Python int.

    Parameters
    ----------
    seed : int
        Any whole number from 0 on, of up to 128 bits; NumPy integers are welcome.
    where : str
        The call and its argument, for the error.

    Returns
    -------
    int

    Raises
    ------
    ConfigurationError
        If it is negative, too large, or no whole number.
    """
    return arguments.whole(where, seed, 0, LARGEST_SEED)


def generator(seed: SupportsIndex, consumer: str, *keys: int | str) -> np.random.Generator:
    """Return the generator that belongs to `consumer` under `seed`.

    The same arguments always give a generator in the same state; different arguments give
    independent streams.

    Parameters
    ----------
    seed : int
        The seed of the run, 0 or greater.
    consumer : str
        Who draws: ``"init"``, ``"shuffle"``, ``"dropout"``, ``"augmentation"`` ...
    *keys : int or str
        What is drawn for, for example ``generator(seed, "shuffle", epoch)``.

    Returns
    -------
    numpy.random.Generator
        A PCG64 generator.

    Raises
    ------
    ConfigurationError
        If the seed is negative or no whole number, or the consumer or a key is of the wrong kind.
    """
    # A hash over a text that cannot be read in two ways keeps ("a", 12) apart from ("a1", 2);
    # SeedSequence alone pads and joins its words, so two lists of keys could meet.
    drawing = arguments.text("generator consumer", consumer, 'a word such as "shuffle"')
    place = repr((check_seed(seed), drawing, *(_plain(key) for key in keys)))
    digest = hashlib.blake2b(place.encode(), digest_size=DIGEST_BYTES).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def stream_of(name: str) -> int:
    """Return the number of the random stream that belongs to a name: the same in every run."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "little")


def _plain(key: int | str) -> int | str:
    """Return a NumPy integer as a Python one: their texts differ, their streams must not."""
    return key if isinstance(key, str) else arguments.whole("generator keys", key, most=None)


class Streams:
    """A numbered family of independent generators that is cheap to walk through.

    Making a generator from a seed costs some 40 us, too much for every sample of every batch;
    moving one to the place of a sample costs 3.

    Parameters
    ----------
    seed, consumer, *keys
        As for `generator`.
    """

    # The golden section of the period 2**128. An even distance (2**64, say) would leave the low
    # bits of all streams equal, and a PCG shows that in its output.
    DISTANCE = 0x9E3779B97F4A7C15F39CC0605CEDC835

    def __init__(self, seed: SupportsIndex, consumer: str, *keys: int | str) -> None:
        self._bits = cast(np.random.PCG64, generator(seed, consumer, *keys).bit_generator)
        self._start = self._bits.state
        self._stream = np.random.Generator(self._bits)

    def at(self, number: int) -> np.random.Generator:
        """Return the generator of stream `number`, at its beginning.

        Parameters
        ----------
        number : int
            0 or greater.

        Returns
        -------
        numpy.random.Generator
            The same object on every call: draw from it before asking for the next stream.
        """
        self._bits.state = self._start
        self._bits.advance(number * self.DISTANCE % 2**128)
        return self._stream
