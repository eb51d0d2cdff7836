"""Several inputs and targets: tuples in order, dicts by name, in sets and in their batches."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from engine import Input, Model, Scheduler
from engine.data import DataLoader, Dataset
from engine.data.transforms import Normalize, RandomCrop, RandomHorizontalFlip
from engine.errors import ConfigurationError, DataError, EngineError, ShapeError, UnknownName
from engine.layers import Concat, Dense, Flatten
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD

COUNT = 7
A = np.arange(COUNT * 16, dtype=np.float32).reshape(COUNT, 1, 4, 4)
B = np.arange(COUNT * 3).reshape(COUNT, 3)
YC = np.arange(COUNT) % 3
YR = np.linspace(0, 1, COUNT, dtype=np.float32)[:, None]

ARRANGED: dict[str, tuple[Any, Any]] = {
    "one and one": (A, YC),
    "two in order": ((A, B), YC),
    "two and two": ((A, B), (YC, YR)),
    "by name": ({"picture": A, "tokens": B}, {"kind": YC, "size": YR}),
    "one in a tuple": ((A,), (YC,)),
    "one by name": ({"picture": A}, YC),
    "mixed": ({"picture": A, "tokens": B}, (YC, YR)),
}


def arrays(values: Any) -> list[np.ndarray]:
    if isinstance(values, dict):
        return list(values.values())
    return list(values) if isinstance(values, tuple) else [values]


def same(found: Any, expected: Any, pick: Any = slice(None)) -> bool:
    """Return whether `found` is arranged as `expected`, with the same bits at `pick`."""
    if type(found) is not type(expected) and not isinstance(expected, np.ndarray):
        return False
    if isinstance(expected, dict) and list(found) != list(expected):
        return False
    pairs = zip(arrays(found), arrays(expected), strict=True)
    return all(np.asarray(a).tobytes() == b[pick].tobytes() for a, b in pairs)


@pytest.mark.parametrize("kind", ARRANGED)
def test_what_goes_in_comes_out_alike(kind: str):
    x, y = ARRANGED[kind]
    data = Dataset(x, y, name="few")
    assert len(data) == COUNT
    assert same(data.x, x)
    assert same(data.y, y)
    assert len(data.inputs) == len(arrays(x))
    for array in (*data.inputs, *data.targets):
        assert not array.flags.writeable
    for key in (3, slice(2, 5), [6, 0], np.array([1, 1])):
        found_x, found_y = data[key]
        assert same(found_x, x, key)
        assert same(found_y, y, key)
    chosen = data.subset([5, 2])
    assert same(chosen.x, x, [5, 2])
    assert same(chosen.y, y, [5, 2])
    assert [len(pair) for pair in data] == [2] * COUNT
    assert same(list(data)[4][0], x, 4)
    assert data.describe().samples == COUNT
    assert str(COUNT) in str(data.describe())
    for loader in (DataLoader(data, 3), DataLoader(data, 3, shuffle=True, seed=2)):
        for number in range(3):
            batch_x, batch_y = loader.batch(1, number)
            which = loader.batch_indices(1, number)
            assert same(batch_x, x, which)
            assert same(batch_y, y, which)
            arrays(batch_x)[0][:] = -1  # a copy
    assert same(data.x, x)
    settings = json.loads(json.dumps(loader.config()))
    assert DataLoader.from_config(data, settings).config() == loader.config()


def test_shapes_and_texts():
    named = Dataset(*ARRANGED["by name"])
    assert named.sample_shape == {"picture": (1, 4, 4), "tokens": (3,)}
    assert Dataset((A, B), YC).sample_shape == ((1, 4, 4), (3,))
    assert repr(Dataset((A, B), YC)) == (
        "Dataset(x (float32 (7, 1, 4, 4), int64 (7, 3)), y int64 (7,))"
    )
    assert "y {'kind': int64 (7,), 'size': float32 (7, 1)}" in repr(named)


def test_a_dict_that_was_given_back_changes_nothing():
    data = Dataset(*ARRANGED["by name"])
    data.x["picture"] = B
    data.y.clear()
    assert same(data.x, ARRANGED["by name"][0])
    assert list(data.y) == ["kind", "size"]


def test_fingerprints_differ_by_arrangement_and_content():
    sets = [Dataset(*pair) for pair in ARRANGED.values()]
    sets += [
        Dataset((B, A), YC),
        Dataset({"tokens": A, "picture": B}, {"kind": YC, "size": YR}),
        Dataset((A, B + 1), YC),
    ]
    assert len({data.fingerprint() for data in sets}) == len(sets)
    turned = Dataset({"tokens": B, "picture": A}, {"size": YR, "kind": YC})
    assert turned.fingerprint() == Dataset(*ARRANGED["by name"]).fingerprint()


def test_the_fingerprint_of_single_arrays_is_pinned():
    """Run files hold it: runs of earlier versions must recognise their data."""
    assert Dataset(A, YC).fingerprint() == "2451cf41bfd74b33fd72c1362cea2864"


def test_tuples_of_numbers_and_lists_are_one_array():
    assert Dataset(A, tuple(range(COUNT))).y.tolist() == list(range(COUNT))
    assert Dataset(((1.0, 2.0), (3.0, 4.0)), (0, 1)).x.shape == (2, 2)
    assert Dataset(A, tuple(np.int64(i) for i in range(COUNT))).y.shape == (COUNT,)


@pytest.mark.parametrize(
    ("x", "y", "error", "text"),
    [
        ((A, B[:3]), YC, ShapeError, r"expected x\[1\] to hold 7 samples as x\[0\] does, received"),
        ({"a": A, "b": B[:3]}, YC, ShapeError, r"expected x\['b'\] to hold 7 samples as x\['a'\]"),
        (
            (A, B),
            YC[:3],
            ShapeError,
            r"each of the 7 samples of x\[0\], received y of shape \(3,\)",
        ),
        (A, (YC, YR[:2]), ShapeError, r"samples of x, received y\[1\] of shape \(2, 1\)"),
        ((A[0], A[1]), YC[:2], ShapeError, "a tuple means several inputs or outputs, np.stack"),
        ((A, B.astype("u1")), YC, EngineError, r"expected x\[1\] as float32"),
        ({"a": A, "b": B > 1}, YC, EngineError, r"expected x\['b'\] as float32.*received bool"),
        ((A, B), {"kind": YC, "size": YR > 0}, EngineError, r"expected y\['size'\] as class"),
        ({}, YC, DataError, "x is empty; at least one array is needed"),
        (A, {}, DataError, "y is empty"),
        ({0: A}, YC, ConfigurationError, "expected x by names, received the key 0"),
        ({"": A}, YC, ConfigurationError, "expected x by names"),
        ((A, np.zeros((COUNT, 0))), YC, ShapeError, r"x\[1\] has shape \(7, 0\)"),
    ],
)
def test_arrays_that_do_not_belong_together(x: Any, y: Any, error: type[EngineError], text: str):
    with pytest.raises(error, match=text) as caught:
        Dataset(x, y)
    assert "\n" not in str(caught.value)


def test_classes_name_one_target():
    with pytest.raises(ConfigurationError, match="of one target, this set has 2; leave it out"):
        Dataset(A, (YC, YC), ["a", "b", "c"])
    assert Dataset(A, {"kind": YC}, ["a", "b", "c"]).classes == ("a", "b", "c")
    with pytest.raises(ConfigurationError, match="received 'cat' alone"):
        Dataset(A, YC, "cat")


def test_transforms_belong_to_one_input():
    data = Dataset({"picture": A, "tokens": B}, YC)
    with pytest.raises(
        ConfigurationError, match=r"has 2 inputs.*transform=\{'picture': \[\.\.\.\]"
    ):
        DataLoader(data, 3, transform=[Normalize(0, 1)])
    with pytest.raises(UnknownName, match="unknown input of the dataset 'image'"):
        DataLoader(data, 3, transform={"image": [Normalize(0, 1)]})
    with pytest.raises(ConfigurationError, match="one input without a name"):
        DataLoader(Dataset(A, YC), 3, transform={0: [Normalize(0, 1)]})
    x, _ = DataLoader(data, 3, transform={"picture": [Normalize(1, 2)]}).batch(0, 1)
    assert np.array_equal(x["picture"], (A[3:6] - 1) / 2)
    assert np.array_equal(x["tokens"], B[3:6])
    x, _ = DataLoader(Dataset((B, A), YC), 3, transform={1: Normalize(1, 2)}).batch(0, 1)
    assert np.array_equal(x[1], (A[3:6] - 1) / 2)
    x, _ = DataLoader(Dataset((A,), YC), 3, transform=[Normalize(1, 2)]).batch(0, 0)
    assert np.array_equal(x[0], (A[:3] - 1) / 2)


@pytest.mark.parametrize(("data", "name"), [(Dataset((A, A), YC), 1), (Dataset({"a": A}, YC), "a")])
def test_transforms_of_an_input_replay_and_go_through_json(data: Dataset, name: Any):
    chain = [RandomCrop(4, padding=2), RandomHorizontalFlip(), Normalize(3.0, 2.0)]
    loader = DataLoader(data, 3, shuffle=True, seed=4, transform={name: chain})
    assert loader.preprocessing == {name: (Normalize(3.0, 2.0),)}
    again = DataLoader.from_config(data, json.loads(json.dumps(loader.config())))
    assert again.transform == {name: tuple(chain)}
    for number in range(len(loader)):
        assert same(again.batch(3, number)[0], loader.batch(3, number)[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("by_name", [False, True])
def test_training_refuses_what_is_not_finite_in_any_input(bad: float, by_name: bool):
    nodes = Input((1, 4, 4), name="picture"), Input((3,), name="tokens")
    joined = Concat()(Flatten()(nodes[0]), nodes[1])
    model = Model(inputs=list(nodes), outputs=Dense(19, 3)(joined))
    spoilt = B.astype(np.float32)
    spoilt[5, 1] = bad
    x = {"picture": A, "tokens": spoilt} if by_name else (A, spoilt)
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(0.1))
    with pytest.raises(DataError, match=rf"holds {bad} at sample 5, input 2 place \(1,\)"):
        scheduler.fit(DataLoader(Dataset(x, YC), 3), epochs=1)


def test_inputs_draw_independently():
    crop = RandomCrop(4, padding=3)
    loader = DataLoader(Dataset((A, A), YC), COUNT, transform={0: [crop], 1: [crop]})
    first, second = loader.batch(0, 0)[0]
    assert not np.array_equal(first, second)
