"""What a run was made with: filled by `fit`, kept in its file, compared and applied afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler, load, save
from engine.data import DataLoader, Dataset, transforms
from engine.data.transforms import Normalize, RandomHorizontalFlip
from engine.debug import Session
from engine.errors import ConfigurationError, DataError, FormatError, StateError
from engine.io import checkpoint
from engine.layers import Dense, Flatten
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.pictures import look_of
from engine.record import CHAPTERS_KEPT, RunRecord
from tests.building import bits_of

NAMES = ("cat", "dog", "hen")
SETTINGS: dict[str, Any] = {"batch_size": 4, "shuffle": True, "seed": 0, "drop_last": False}
STD = 0.25


def data(names: tuple[str, ...] | None = NAMES, seed: int = 0, count: int = 10) -> Dataset:
    rng = np.random.default_rng(seed)
    x = rng.random((count, 1, 4, 4)).astype(np.float32)
    return Dataset(x, np.arange(count) % 3, names)


def loader(dataset: Dataset | None = None, **changes: Any) -> DataLoader:
    return DataLoader(data() if dataset is None else dataset, **{**SETTINGS, **changes})


def run() -> Scheduler:
    model = Model([Flatten(), Dense(16, 3, name="logits")], input_shape=(1, 4, 4), device="cpu")
    return Scheduler(model, CrossEntropyLoss(), SGD(0.1, momentum=0.9))


OTHERS: dict[str, tuple[DataLoader, str]] = {
    "batch size": (loader(batch_size=5), "batch size 4, now 5"),
    "seed": (loader(seed=1), "seed of the order 0, now 1"),
    "order": (loader(shuffle=False), "shuffle True, now False"),
    "last batch": (loader(drop_last=True), "drop_last False, now True"),
    "transforms": (
        loader(transform=[Normalize(0.5, STD)]),
        "transforms none, now Normalize(mean=0.5, std=0.25)",
    ),
    "more samples": (loader(data(count=11)), "samples 10, now 11; other data"),
    "other samples": (loader(data(seed=1)), "other samples or labels"),
    "a renamed class": (loader(data(("cat", "dog", "duck"))), "classes without hen and with duck"),
    "classes in another order": (
        loader(data(("dog", "cat", "hen"))),
        "the same classes in another order",
    ),
}


def test_every_setting_of_a_loader_is_compared():
    """A setting that a loader gets later must have its words, and a case above."""
    changed = set()
    for other, _ in OTHERS.values():
        mine, theirs = loader().config(), other.config()
        changed |= {name for name in mine if mine[name] != theirs[name]}
    assert changed == set(loader().config())


def test_a_new_run_records_nothing_before_its_first_step():
    scheduler = run()
    assert scheduler.record == RunRecord()
    assert (scheduler.record.classes, scheduler.record.look) == (None, None)
    scheduler.fit(loader(), steps=0)
    assert scheduler.record == RunRecord()
    scheduler.step(data().x, data().y)  # arrays say nothing of where they come from
    assert scheduler.record == RunRecord()


def test_fit_fills_the_record_at_its_first_step():
    scheduler, seen = run(), []
    scheduler.listen(lambda event: seen.append(scheduler.record.classes))
    scheduler.fit(loader(), steps=1)
    assert seen[-1] == NAMES
    assert dict(scheduler.record.settings) == loader().config()
    assert scheduler.record.look == look_of(data().x)
    assert [chapter.first_step for chapter in scheduler.record.chapters] == [0]


def test_a_session_fills_it_too():
    session = Session(run(), loader=loader(), epochs=1)
    assert session.scheduler is not None
    assert session.scheduler.record == RunRecord()
    while session.position.batch < 1:
        session.step_over()
    assert session.scheduler.record.classes == NAMES


def test_the_same_loader_opens_no_new_chapter():
    scheduler = run()
    for _ in range(3):
        scheduler.fit(loader(), steps=1)
    first = scheduler.record
    scheduler.fit(loader(), steps=3)
    assert scheduler.record is first
    assert len(first.chapters) == 1


@pytest.mark.parametrize("name", OTHERS)
def test_in_the_middle_of_an_epoch_another_loader_is_refused(name: str):
    other, words = OTHERS[name]
    scheduler = run()
    scheduler.fit(loader(), steps=2)
    before = bits_of(scheduler.model)
    with pytest.raises(StateError) as caught:
        scheduler.fit(other, steps=1)
    assert f"batch 2 of epoch 0 with another loader ({words})" in str(caught.value)
    with pytest.raises(StateError, match="Session: the run stands at batch 2"):
        Session(scheduler, loader=other)
    assert bits_of(scheduler.model) == before
    assert len(scheduler.record.chapters) == 1
    scheduler.fit(loader(), steps=1)  # the epoch's own loader, equally built, may finish it
    assert (scheduler.epoch, scheduler.batch) == (1, 0)


@pytest.mark.parametrize("name", OTHERS)
def test_between_epochs_another_loader_opens_a_chapter(name: str, tmp_path: Path):
    other, _ = OTHERS[name]
    scheduler = run()
    scheduler.fit(loader(), epochs=1)
    scheduler.fit(other, steps=1)
    assert [chapter.first_step for chapter in scheduler.record.chapters] == [0, 3]
    assert dict(scheduler.record.settings) == other.config()
    again = load(save(scheduler, tmp_path / "run.safetensors"))
    assert again.record == scheduler.record
    assert again.record.chains == scheduler.record.chains


def test_setting_the_batch_back_begins_the_epoch_again():
    scheduler = run()
    scheduler.fit(loader(), steps=2)
    scheduler.batch = 0
    scheduler.fit(loader(batch_size=5), epochs=1)
    assert scheduler.record.settings["batch_size"] == 5


def test_chapters_do_not_pile_up():
    scheduler, pair = run(), [loader(count) for count in (data(), data(seed=1))]
    for number in range(CHAPTERS_KEPT + 5):
        scheduler.fit(pair[number % 2], epochs=1)
    chapters = scheduler.record.chapters
    assert len(chapters) == CHAPTERS_KEPT
    assert (chapters[0].first_step, chapters[-1].first_step) == (0, 3 * (CHAPTERS_KEPT + 4))


class Plain:
    """A loader that says nothing of itself."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return 2

    def batch(self, epoch: int, number: int) -> tuple[Any, Any]:
        return self.dataset[slice(5 * number, 5 * number + 5)]


def test_a_loader_that_says_nothing_is_recorded_by_its_batches():
    scheduler = run()
    scheduler.fit(Plain(data()), steps=1)
    assert dict(scheduler.record.settings) == {"batches": 2}
    assert scheduler.record.classes is None
    scheduler.fit(Plain(data()), steps=1)
    assert len(scheduler.record.chapters) == 1


# -- preprocessing ---------------------------------------------------------------------------------


def normalised() -> DataLoader:
    return loader(transform=[RandomHorizontalFlip(), Normalize(0.5, STD)])


def by_hand(x: Any) -> Any:
    return (x - np.float32(0.5)) / np.float32(STD)


@pytest.mark.parametrize("reloaded", [False, True])
def test_evaluation_goes_through_the_preprocessing(reloaded: bool, tmp_path: Path):
    scheduler, test = run(), data(seed=7)
    scheduler.fit(normalised(), epochs=2, validation=test)
    if reloaded:
        scheduler = load(save(scheduler, tmp_path / "run.safetensors"))
    scores = scheduler.model(by_hand(test.x))
    expected = float(CrossEntropyLoss()(scores, test.y))
    unprepared = float(CrossEntropyLoss()(scheduler.model(test.x), test.y))
    assert abs(expected - unprepared) > 1e-3
    for given in (test, (test.x, test.y)):
        result = scheduler.evaluate(given)
        assert result.loss == pytest.approx(expected, rel=1e-6)
        assert result.accuracy == np.mean(scores.argmax(1) == test.y)
    assert scheduler.history.validations[-1] == pytest.approx(expected, rel=1e-6)
    assert np.array_equal(scheduler.record.prepared(test.x), by_hand(test.x))


def test_a_loader_prepares_its_samples_itself_and_as_the_run():
    scheduler, test = run(), data(seed=7)
    scheduler.fit(normalised(), epochs=1)
    own = scheduler.evaluate(loader(test, shuffle=False, transform=[Normalize(0.5, STD)]))
    assert own.loss == pytest.approx(scheduler.evaluate(test).loss, rel=1e-6)
    for chain in ([], [Normalize(0.5, 0.3)]):
        with pytest.raises(ConfigurationError, match=r"expected samples prepared as this run's"):
            scheduler.evaluate(loader(test, transform=chain))
        with pytest.raises(ConfigurationError, match="fit validation: expected samples prepared"):
            scheduler.fit(normalised(), epochs=1, validation=loader(test, transform=chain))


class Blur:
    """A transform of the user's own that belongs to every picture."""

    draws = False

    def __call__(self, image: Any, generator: Any) -> Any:
        return (image + np.roll(image, 1, axis=2)) / 2


def test_what_a_file_can_only_name_is_never_left_out_in_silence(tmp_path: Path):
    scheduler, test = run(), data(seed=7)
    own = loader(transform=[Blur()])
    scheduler.fit(own, epochs=1)
    expected = scheduler.evaluate(test).loss
    assert expected == pytest.approx(
        float(CrossEntropyLoss()(scheduler.model(Blur()(test.x[:, 0], None)[:, None]), test.y))
    )
    again = load(save(scheduler, tmp_path / "run.safetensors"))
    with pytest.raises(StateError, match=r"this run's pictures go through .*Blur"):
        again.evaluate(test)
    ready = replace(again.record, chains={None: (Blur(),)})
    again.record = ready
    assert again.evaluate(test).loss == expected
    again = load(tmp_path / "run.safetensors")
    again.fit(own, epochs=1)  # such a loader says what the file could not
    assert again.evaluate(test).loss > 0


def test_several_inputs_go_through_their_own_preprocessing(tmp_path: Path):
    from engine import Input
    from engine.layers import Add

    a, b = Input((1, 4, 4), name="a"), Input((1, 4, 4), name="b")
    h = Add(name="add")(Dense(16, 3, name="da")(Flatten(name="fa")(a)), _dense(b))
    model = Model(inputs=[a, b], outputs=h, device="cpu")
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(0.1))
    x = {"a": data().x, "b": data(seed=2).x}
    both = Dataset(x, data().y)
    chain = {"b": [Normalize(0.5, STD)]}
    scheduler.fit(DataLoader(both, batch_size=4, transform=chain), epochs=1)
    scheduler = load(save(scheduler, tmp_path / "run.safetensors"))
    scores = model(x["a"], by_hand(x["b"]))
    assert scheduler.evaluate(both).accuracy == np.mean(scores.argmax(1) == both.y)
    prepared = scheduler.record.prepared(x)
    assert np.array_equal(prepared["b"], by_hand(x["b"]))
    assert np.array_equal(prepared["a"], x["a"])


def _dense(node: Any) -> Any:
    return Dense(16, 3, name="db")(Flatten(name="fb")(node))


@pytest.mark.parametrize("name", transforms.REGISTRY)
def test_every_transform_of_the_product_says_whether_it_belongs_to_later_pictures(name: str):
    assert isinstance(transforms.REGISTRY[name].draws, bool)


# -- classes ---------------------------------------------------------------------------------------


def test_labels_are_matched_by_name():
    scheduler, test = run(), data(seed=7)
    scheduler.fit(loader(), epochs=1, validation=test)
    turned = Dataset(test.x, (test.y + 1) % 3, ("hen", "cat", "dog"))
    assert scheduler.evaluate(turned) == scheduler.evaluate(test)
    few = np.flatnonzero(test.y != 1)
    part = Dataset(test.x[few], test.y[few] // 2, ("cat", "hen"))
    expected = np.mean(scheduler.model(test.x[few]).argmax(1) == test.y[few])
    assert scheduler.evaluate(part).accuracy == expected
    assert scheduler.record.missing(part.y, part.classes) == ("dog",)
    without = Dataset(test.x, test.y)
    assert scheduler.evaluate(without) == scheduler.evaluate(test)
    assert scheduler.record.labels(np.array([-100, 1, 0]), ("hen", "cat")).tolist() == [-100, 0, 2]


def test_a_class_that_the_run_does_not_know_is_refused():
    scheduler = run()
    scheduler.fit(loader(), epochs=1)
    foreign = data(("cat", "dog", "duck"))
    with pytest.raises(DataError, match=r"evaluate: expected classes of this run \(cat, dog, hen"):
        scheduler.evaluate(foreign)
    with pytest.raises(DataError, match="fit validation: expected classes of this run"):
        scheduler.fit(loader(), epochs=1, validation=foreign)
    assert (scheduler.epoch, scheduler.batch) == (1, 0)
    unused = Dataset(foreign.x[:2], foreign.y[:2], foreign.classes)  # no duck among them
    assert scheduler.evaluate(unused).samples == 2


# -- files -----------------------------------------------------------------------------------------


def header(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    found: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["run"])
    return found


def test_readers_that_know_no_preprocessing_refuse_what_has_some(tmp_path: Path):
    """Version 1 readers ignore the record; without preprocessing nothing is wrong with that."""
    plain, other = run(), run()
    plain.fit(loader(), epochs=1)
    other.fit(normalised(), epochs=1)
    assert header(save(plain, tmp_path / "a.safetensors"))["version"] == 1
    assert header(save(other, tmp_path / "b.safetensors"))["version"] == 2
    assert header(save(run(), tmp_path / "c.safetensors")).get("record") is None


def test_a_file_of_a_later_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoint, "OLDEST_VERSION", 3)
    save(run(), tmp_path / "run.safetensors")
    monkeypatch.undo()
    with pytest.raises(FormatError, match="expected run file version 1 to 2, received 3; update"):
        load(tmp_path / "run.safetensors")


BROKEN: list[Any] = [
    {}, "x", 5, [5], [{}], [{"settings": 5}],
    [{"first_step": "a", "settings": {}, "preprocessing": [], "look": None}],
    [{"first_step": 0, "settings": {"classes": 5}, "preprocessing": [], "look": None}],
    [{"first_step": 0, "settings": {"classes": [5]}, "preprocessing": [], "look": None}],
    [{"first_step": 0, "settings": {}, "preprocessing": 5, "look": None}],
    [{"first_step": 0, "settings": {}, "preprocessing": [5], "look": None}],
    [{"first_step": 0, "settings": {}, "preprocessing": [], "look": 5}],
    [{"first_step": 0, "settings": {}, "preprocessing": [], "look": {"shape": 3}}],
    [{"first_step": float("inf"), "settings": {}, "preprocessing": [], "look": None}],
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_a_damaged_record_is_one_sentence(number: int):
    with pytest.raises(FormatError):
        RunRecord.from_data(BROKEN[number])


def test_a_copy_of_a_run_keeps_its_record():
    import copy

    scheduler = run()
    scheduler.fit(normalised(), steps=2)
    assert copy.deepcopy(scheduler).record is scheduler.record
