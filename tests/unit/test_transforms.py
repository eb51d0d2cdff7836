"""Transforms: what they compute, that they replay, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.transforms import (
    REGISTRY,
    Grey,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    Resize,
    applied,
    from_config,
    is_known,
    preprocessing,
    to_config,
)
from engine.errors import ConfigurationError, DtypeError, EngineError, ShapeError
from engine.random import generator


def image(channels: int = 2, height: int = 5, width: int = 6, dtype: str = "float32") -> np.ndarray:
    count = channels * height * width
    return np.arange(1, count + 1, dtype=dtype).reshape(channels, height, width)


@given(
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    padding=st.tuples(st.integers(0, 10), st.integers(0, 10)),
    seed=st.integers(0, 2**32),
)
def test_a_crop_is_a_window_of_the_padded_image(height, width, size, padding, seed):
    crop = RandomCrop(size, padding=padding, fill=-1)
    source = image(2, height, width)
    full = np.pad(source, ((0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=-1)
    if full.shape[1] < size[0] or full.shape[2] < size[1]:
        with pytest.raises(ShapeError, match=r"does not fit.*use a size of at most"):
            crop(source, generator(seed, "test"))
        return
    result = crop(source, generator(seed, "test"))
    windows = np.lib.stride_tricks.sliding_window_view(full, size, axis=(1, 2))
    found = (windows == result[:, None, None]).all(axis=(0, 3, 4))
    assert found.any()
    assert result.dtype == source.dtype
    assert np.array_equal(source, image(2, height, width))


def test_crops_reach_every_place_equally():
    crop = RandomCrop(2, padding=(1, 0))
    source = image(1, 3, 3)
    random = generator(0, "test")
    corners: dict[bytes, int] = {}
    for _ in range(4000):
        window = crop(source, random)
        corners[window.tobytes()] = corners.get(window.tobytes(), 0) + 1
    assert len(corners) == 4 * 2  # rows -1..2, columns 0..1
    assert all(400 < count < 600 for count in corners.values())


@given(p=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_flip_mirrors_or_copies(p: float, seed: int):
    source = image()
    result = RandomHorizontalFlip(p)(source, generator(seed, "test"))
    mirrored = np.array_equal(result, source[:, :, ::-1])
    assert mirrored or np.array_equal(result, source)
    assert not np.shares_memory(result, source)
    if p in (0, 1):
        assert mirrored == bool(p)


def test_flip_follows_its_probability():
    random, source = generator(0, "test"), image()
    flips = sum(RandomHorizontalFlip(0.25)(source, random)[0, 0, 0] != 1 for _ in range(2000))
    assert 420 < flips < 580


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalize(dtype: str):
    source = image(dtype=dtype)
    random = generator(0, "test")
    one = Normalize(0.5, 0.25)(source, random)
    assert one.dtype == np.dtype(dtype)
    assert np.array_equal(one, (source - source.dtype.type(0.5)) / source.dtype.type(0.25))
    each = Normalize([1, 2], (2.0, 4.0))(source, random)
    assert np.array_equal(each[1], (source[1] - 2) / 4)
    assert Normalize(np.array([1, 2]), 2) == Normalize((1.0, 2.0), [2.0])
    assert (
        Normalize([1, 2], 3)(source, random)[1, 0, 0]
        == np.dtype(dtype).type(source[1, 0, 0] - 2) / 3
    )


def test_nan_stays_where_it_is():
    source = image()
    source[1, 2, 3] = np.nan
    result = Normalize(0, 1)(source, generator(0, "test"))
    assert np.argwhere(np.isnan(result)).tolist() == [[1, 2, 3]]


def test_same_generator_state_same_result():
    for transform in (RandomCrop(3, padding=2), RandomHorizontalFlip(0.5)):
        a = [transform(image(), generator(s, "test")).tobytes() for s in range(30)]
        b = [transform(image(), generator(s, "test")).tobytes() for s in range(30)]
        assert a == b
        assert len(set(a)) > 1


EACH = [
    RandomCrop(4, padding=(1, 2), fill=0.5),
    RandomHorizontalFlip(0.1),
    Normalize([1, 2], 3),
    Resize((3, 4)),
    Grey(),
]


def test_every_transform_is_walked_over():
    assert {type(transform).__name__ for transform in EACH} == set(REGISTRY)


@pytest.mark.parametrize("transform", EACH)
def test_what_draws_nothing_says_so(transform):
    """Preprocessing is told from augmentation by this word, so it must be the truth."""
    source = image(1, 9, 9)

    class Refusing:
        def __getattr__(self, name: str):
            raise AssertionError(f"{transform} draws")

    if transform.draws:
        with pytest.raises(AssertionError, match="draws"):
            transform(source, Refusing())
    elif isinstance(transform, Normalize):
        Normalize(1, 2)(source, Refusing())
    else:
        transform(source, Refusing())
    assert bool(preprocessing([transform])) == (not transform.draws)
    assert is_known(transform)


def test_preprocessing_is_applied_to_whole_batches():
    chain = [RandomCrop(9), Grey(), lambda x, random: x, Resize(3), Normalize(4, 2)]
    kept = preprocessing(chain)
    assert kept == (Grey(), Resize(3), Normalize(4, 2))
    batch = np.stack([image(3), image(3) + 1])
    result = applied(kept, batch)
    assert (result.shape, result.dtype) == ((2, 1, 3, 3), batch.dtype)
    one = batch[1]
    for transform in kept:
        one = transform(one, generator(0, "test"))
    assert np.array_equal(result[1], one)
    assert applied((), batch) is batch
    with pytest.raises(ConfigurationError, match="those that draw nothing, received RandomCrop"):
        applied(chain, batch)
    assert not is_known(chain[2])


def test_resize_is_the_mean_of_what_a_pixel_covers():
    source = np.zeros((2, 4, 4), np.float32)
    source[:, :, 2:] = 1
    result = Resize((2, 4))(source, generator(0, "test"))
    assert result.tolist() == [[[0, 0, 1, 1]] * 2] * 2
    assert Resize(4)(source, generator(0, "test")) is not source
    assert np.array_equal(Resize(4)(source, generator(0, "test")), source)
    double = Resize(3)(source.astype(np.float64), generator(0, "test"))
    assert (double.shape, double.dtype) == ((2, 3, 3), np.float64)


def test_grey_weighs_the_colours():
    result = Grey()(image(3), generator(0, "test"))
    weights = np.float32([0.299, 0.587, 0.114])
    assert np.allclose(result[0], np.tensordot(weights, image(3), 1))
    assert np.array_equal(Grey()(image(1), generator(0, "test")), image(1))


@pytest.mark.parametrize("transform", EACH)
def test_settings_round_trip(transform):
    assert type(transform).__name__ in REGISTRY
    assert from_config(to_config(transform)) == transform
    assert hash(transform) == hash(from_config(to_config(transform)))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: RandomCrop(0), "RandomCrop: size: expected a whole number from 1 on"),
        (lambda: RandomCrop((3, 0)), "RandomCrop: size"),
        (lambda: RandomCrop((3, 3, 3)), "RandomCrop: size"),
        (lambda: RandomCrop(2.5), "RandomCrop: size"),
        (lambda: RandomCrop("3"), "RandomCrop: size"),
        (lambda: RandomCrop(3, padding=-1), "RandomCrop: padding: expected a whole number from 0"),
        (lambda: RandomCrop(3, fill=np.nan), "RandomCrop: fill: expected a finite number"),
        (lambda: RandomHorizontalFlip(1.5), "p as a probability from 0 to 1, received 1.5"),
        (lambda: RandomHorizontalFlip(-0.1), "p as a probability"),
        (lambda: RandomHorizontalFlip(None), "p: expected a finite number, received None"),
        (lambda: Normalize(0.1, 0), "expected std above 0, received 0"),
        (lambda: Normalize([0.1, 0.2], [1, -1]), "expected std above 0"),
        (lambda: Normalize([0.1, 0.2], [1, 2, 3]), "as many means as deviations"),
        (lambda: Normalize([], 1), "Normalize: mean: expected at least one number"),
        (lambda: Normalize(np.inf, 1), "Normalize: mean: expected a finite number"),
        (lambda: Resize(0), "Resize: size: expected a whole number from 1 on"),
        (lambda: Resize(2**15), "Resize: size: expected at most 89,478,485 pixels"),
        (lambda: RandomCrop(True), "RandomCrop: size"),
        (lambda: Normalize(True, 1), "Normalize: mean: expected a finite number, received True"),
        (lambda: Normalize("half", 1), "Normalize: mean: expected a finite number"),
    ],
)
def test_settings_out_of_range(make, text: str):
    with pytest.raises(ConfigurationError, match=text):
        make()


@pytest.mark.parametrize(
    ("transform", "source", "error", "text"),
    [
        (RandomCrop(3), image()[0], ShapeError, r"expected an image \(c, h, w\)"),
        (RandomHorizontalFlip(), image()[None], ShapeError, r"received shape \(1, 2, 5, 6\)"),
        (Normalize([1, 2, 3], 1), image(), ShapeError, "3 means or deviations for an image of 2"),
        (Normalize(0, 1), image(dtype="int64"), DtypeError, "Normalize: expected a float image"),
        (Normalize(0, 1e-60), image(), ConfigurationError, "Normalize std: .* float32 can hold"),
        (Normalize(-1e300, 1), image(), ConfigurationError, "Normalize mean: .* float32 can hold"),
        (RandomCrop(9, 9, 0.5), image(dtype="int64"), ConfigurationError, "int64 can hold"),
        (RandomCrop(9, 9, -1), image(dtype="uint8"), ConfigurationError, "uint8 can hold"),
        (RandomCrop(9, 9, 1e300), image(), ConfigurationError, "RandomCrop fill: .* float32"),
        (Resize(2), image(dtype="int64"), DtypeError, "Resize: expected a float image"),
        (Grey(), image(3, dtype="int64"), DtypeError, "Grey: expected a float image"),
        (Grey(), image(2), ShapeError, "Grey: expected 1 or 3 channels, received 2"),
    ],
)
def test_images_that_do_not_fit(transform, source, error: type[EngineError], text: str):
    with pytest.raises(error, match=text):
        transform(source, generator(0, "test"))
