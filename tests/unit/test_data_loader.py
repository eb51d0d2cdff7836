"""Batches: every one a pure function of (seed, epoch, number)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import DataLoader, Dataset
from engine.data.transforms import Normalize, RandomCrop, RandomHorizontalFlip
from engine.errors import ConfigurationError, DataError, EngineError, ShapeError, UnknownName

AUGMENTATION = [RandomCrop(4, padding=2), RandomHorizontalFlip(0.5), Normalize(3.0, 2.0)]


def numbered(count: int = 10) -> Dataset:
    """Image i is full of distinct values that tell which it is; its label is i."""
    x = np.arange(count * 16, dtype=np.float32).reshape(count, 1, 4, 4)
    return Dataset(x, np.arange(count))


@given(
    count=st.integers(1, 40),
    size=st.integers(1, 45),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    seed=st.integers(0, 2**40),
)
def test_an_epoch_visits_every_sample_once(count, size, shuffle, drop_last, seed):
    if drop_last and size > count:
        with pytest.raises(ConfigurationError, match="leaves no batch"):
            DataLoader(numbered(count), size, shuffle, drop_last, seed)
        return
    loader = DataLoader(numbered(count), size, shuffle, drop_last, seed)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert all(len(x) == len(y) for x, y in batches)
    assert all(len(x) == size for x, _ in batches[:-1])
    seen = np.concatenate([y for _, y in batches])
    whole = count // size * size if drop_last else count
    assert len(seen) == whole
    assert len(set(seen.tolist())) == whole
    if not shuffle:
        assert seen.tolist() == list(range(whole))
    for x, y in batches:
        assert np.array_equal(x[:, 0, 0, 0], y * 16)


@given(seed=st.integers(0, 2**40), epoch=st.integers(0, 5), number=st.integers(0, 3))
def test_any_batch_at_any_time(seed: int, epoch: int, number: int):
    first = DataLoader(numbered(), 3, shuffle=True, seed=seed, transform=AUGMENTATION)
    for _ in range(epoch):
        list(first)
    in_passing = list(first)[number]
    directly = DataLoader(numbered(), 3, shuffle=True, seed=seed, transform=AUGMENTATION)
    for a, b in zip(in_passing, directly.batch(epoch, number), strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    for a, b in zip(in_passing, first.batch(epoch, number), strict=True):
        assert a.tobytes() == b.tobytes()


def test_iterations_walk_through_the_epochs():
    loader = DataLoader(numbered(), 4, shuffle=True, seed=1)
    assert loader.epoch == 0
    orders = [np.concatenate([y for _, y in loader]).tolist() for _ in range(3)]
    assert loader.epoch == 3
    assert orders == [loader.epoch_order(epoch).tolist() for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    loader.epoch = 1
    assert np.concatenate([y for _, y in loader]).tolist() == orders[1]


def test_an_iteration_that_is_left_early_counts():
    loader = DataLoader(numbered(), 4, shuffle=True)
    next(iter(loader))
    assert loader.epoch == 1


def test_two_iterations_at_once_do_not_disturb_each_other():
    loader = DataLoader(numbered(), 5, shuffle=True, transform=AUGMENTATION)
    pairs = zip(iter(loader), iter(loader), strict=True)
    for number, (a, b) in enumerate(pairs):
        assert np.array_equal(a[0], loader.batch(0, number)[0])
        assert np.array_equal(b[0], loader.batch(1, number)[0])


def test_batches_from_the_middle_of_an_epoch():
    loader = DataLoader(numbered(), 3, shuffle=True, seed=2)
    rest = list(loader.batches(4, start=2))
    assert loader.epoch == 0
    assert [y.tolist() for _, y in rest] == [loader.batch(4, n)[1].tolist() for n in (2, 3)]


def test_seeds_differ_and_the_order_is_pinned():
    pinned = [1, 6, 2, 7, 8, 4, 5, 9, 0, 3]  # recorded runs must replay
    assert DataLoader(numbered(), 4, True, seed=0).epoch_order(0).tolist() == pinned
    orders = {tuple(DataLoader(numbered(), 4, True, seed=s).epoch_order(0)) for s in range(6)}
    assert len(orders) == 6


def test_augmentation_belongs_to_the_sample_not_to_its_batch():
    """The same sample looks the same in an epoch whatever the batch size, and differs by epoch."""

    def by_label(size: int, epoch: int) -> dict[int, bytes]:
        loader = DataLoader(numbered(), size, shuffle=True, seed=3, transform=AUGMENTATION)
        return {
            int(label): image.tobytes()
            for x, y in loader.batches(epoch)
            for image, label in zip(x, y, strict=True)
        }

    assert by_label(3, 0) == by_label(10, 0)
    assert by_label(3, 0) != by_label(3, 1)


def test_batches_are_copies():
    data = numbered()
    for transform in ([], [RandomHorizontalFlip(0.0)]):
        x, y = DataLoader(data, 4, transform=transform).batch(0, 0)
        x[:] = -1
        y[:] = -1
        assert data.x[0, 0, 0, 1] == 1
        assert data.y[1] == 1


def test_a_single_transform_and_functions_are_accepted():
    loader = DataLoader(numbered(), 2, transform=lambda image, random: image[:, :2] + 1)
    x, _ = loader.batch(0, 0)
    assert x.shape == (2, 1, 2, 4)
    assert x.dtype == np.float32
    assert x[0, 0, 0, 0] == 1


def test_transforms_must_agree_on_a_shape():
    def ragged(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return image[:, : 1 + int(image[0, 0, 0]) // 16]

    with pytest.raises(ShapeError, match=r"gave sample 1 shape \(1, 2, 4\)"):
        DataLoader(numbered(), 3, transform=ragged).batch(0, 0)


def test_config_goes_through_json():
    data = numbered()
    loader = DataLoader(data, 3, True, True, seed=9, transform=AUGMENTATION)
    config = json.loads(json.dumps(loader.config()))
    assert (config["batch_size"], config["seed"], config["samples"]) == (3, 9, 10)
    again = DataLoader.from_config(data, config)
    assert again.config() == loader.config()
    for number in range(len(loader)):
        assert loader.batch(2, number)[0].tobytes() == again.batch(2, number)[0].tobytes()


def test_config_tells_the_classes_and_what_belongs_to_every_picture():
    data = Dataset(numbered().x, numbered().y % 2, ["odd", "even"])
    loader = DataLoader(data, 3, transform=AUGMENTATION)
    assert loader.config()["classes"] == ["odd", "even"]
    assert loader.preprocessing == (Normalize(3.0, 2.0),)


@pytest.mark.parametrize(("size", "drop", "last"), [(3, False, 1), (3, True, 3), (5, False, 5)])
def test_the_last_batch_is_known(size: int, drop: bool, last: int):
    loader = DataLoader(numbered(), size, drop_last=drop)
    assert loader.last_batch_size == last == len(list(loader)[-1][1])


def test_a_last_batch_of_one_sample_is_said():
    """65 samples in batches of 64: batch normalization learns nothing from the last one."""
    assert DataLoader(numbered(65), 65).notes == ()
    assert DataLoader(numbered(65), 64, drop_last=True).notes == ()
    assert DataLoader(numbered(65), 1).notes == ()
    (note,) = DataLoader(numbered(65), 64).notes
    assert "last batch of an epoch has one sample (65 in batches of 64)" in note
    assert "drop_last=True" in note


def test_config_refuses_other_data_and_unknown_parts():
    config = DataLoader(numbered(), 3).config()
    with pytest.raises(DataError, match="made for other data"):
        DataLoader.from_config(numbered(9), config)
    with pytest.raises(ConfigurationError, match="lack 'seed'"):
        DataLoader.from_config(numbered(), {k: v for k, v in config.items() if k != "seed"})
    own = DataLoader(numbered(), 3, transform=lambda image, random: image).config()
    with pytest.raises(UnknownName, match="unknown transform"):
        DataLoader.from_config(numbered(), own)
    with pytest.raises(ConfigurationError, match="do not fit"):
        DataLoader.from_config(
            numbered(), {**config, "transform": [{"name": "RandomCrop", "width": 3}]}
        )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"batch_size": 0}, "batch_size of at least 1, received 0"),
        ({"batch_size": -3}, "batch_size of at least 1"),
        ({"batch_size": 2.5}, "batch_size as a whole number, received 2.5"),
        ({"batch_size": True}, "batch_size as a whole number"),
        ({"batch_size": "4"}, "batch_size as a whole number"),
        ({"batch_size": 11, "drop_last": True}, "leaves no batch of 11 from 10 samples"),
        ({"batch_size": 2, "seed": -1}, "seed: expected a whole number"),
        ({"batch_size": 2, "transform": [3]}, "expected transforms as"),
    ],
)
def test_settings_out_of_range(settings, text: str):
    with pytest.raises(ConfigurationError, match=text):
        DataLoader(numbered(), **settings)


def test_arrays_are_no_dataset():
    with pytest.raises(ConfigurationError, match="expected a Dataset, received ndarray"):
        DataLoader(numbered().x, 2)


@pytest.mark.parametrize(("epoch", "number"), [(0, 4), (0, -1), (-1, 0), (0.5, 0), (0, None)])
def test_batches_that_do_not_exist(epoch, number):
    with pytest.raises(EngineError, match="DataLoader: "):
        DataLoader(numbered(), 3).batch(epoch, number)


@pytest.mark.parametrize(
    ("dtype", "transform", "text"),
    [
        ("float32", lambda image, random: None, "expected an array of numbers, received None"),
        ("float32", lambda image, random: image * 1j, "received <complex"),
        ("float32", lambda image, random: [[1], [1, 2]], "of which NumPy makes none"),
        ("int64", lambda image, random: image / 255, "to give int64 .* received float64"),
    ],
)
def test_what_a_transform_gives_has_a_place_in_the_batch(dtype, transform, text):
    """Without a check, None would be NaN and a fraction of whole numbers 0."""
    data = Dataset(np.ones((3, 1, 2, 2), dtype), [0, 1, 2])
    with pytest.raises(EngineError, match=rf"^DataLoader: sample 0.*{text}"):
        DataLoader(data, 2, transform=transform).batch(0, 0)


def test_what_a_transform_gives_may_be_of_a_narrower_kind():
    data = Dataset(np.full((2, 1, 2, 2), 3, np.float32), [0, 1])
    for change in (lambda x, r: x.astype(np.int8), lambda x, r: x > 2, lambda x, r: x.tolist()):
        batch, _ = DataLoader(data, 2, transform=change).batch(0, 0)
        assert batch.dtype == np.float32
        assert batch.tolist() == np.asarray(change(data.x, None), np.float32).tolist()


def test_a_wrong_place_is_refused_before_the_first_batch():
    loader = DataLoader(numbered(), 3)
    for epoch, start in ((-1, 0), (0, -1), (0, 5), (0, True), (0.0, 0)):
        with pytest.raises(ConfigurationError, match=r"DataLoader: expected (epoch|start)"):
            loader.batches(epoch, start)
    assert list(loader.batches(0, 4)) == []
    with pytest.raises(ConfigurationError, match="expected epoch as a whole number"):
        loader.epoch = "2"
    assert loader.epoch == 0


@pytest.mark.parametrize("transform", [{RandomHorizontalFlip()}, RandomHorizontalFlip, [3], None])
def test_transforms_have_an_order_and_are_objects(transform):
    with pytest.raises(ConfigurationError, match="DataLoader: expected transforms as"):
        DataLoader(numbered(), 3, transform=transform)
