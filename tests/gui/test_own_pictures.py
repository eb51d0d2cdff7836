"""The window prepares pictures as `predict` does: drawn, pasted, dropped, of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from PyQt6.QtGui import QColor, QImage

from engine import Model, Scheduler, load, save
from engine.data import DataLoader, Dataset, load_mnist_split
from engine.data.transforms import Normalize
from engine.errors import DataError
from engine.layers import Dense, Flatten
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from gui.controllers.inputs import Inputs, image_array
from gui.widgets.digit_canvas import DigitCanvas
from gui.worker import runs
from gui.worker.bench import EngineBench
from gui.worker.mailbox import Command
from gui.worker.thread import Outlets
from tests.photos import photo


@pytest.fixture
def bench() -> Any:
    made = EngineBench(Outlets(), prepare=False)
    made.handle(Command("open_default", ()))
    yield made
    made.close()


def opened(path: Path) -> Any:
    bench = EngineBench(Outlets(), prepare=False)
    bench.handle(Command("open_run", (str(path),)))
    return bench


def run_on(dataset: Dataset, path: Path, **options: Any) -> Path:
    """Save a run that has seen a data set."""
    shape, outputs = dataset.sample_shape, len(dataset.classes or range(10))
    model = Model([Flatten(), Dense(int(np.prod(shape)), outputs)], input_shape=shape, device="cpu")
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(0.01))
    scheduler.fit(DataLoader(dataset, batch_size=32, **options), epochs=1)
    return save(scheduler, path)


def asked(bench: Any, name: str, *arguments: object) -> Any:
    bench.handle(Command(name, arguments))
    return bench._open().sample.x[0]


@pytest.mark.parametrize("kind", ["clean", "shadow", "ruled", "inverted"])
def test_a_photograph_is_prepared_as_predict_does(bench: Any, tmp_path: Path, kind: str):
    for number in (0, 8, 18):
        pixels = np.rint(photo(kind, number) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        np.save(tmp_path / "a.npy", pixels.astype(np.uint16) * 257)
        np.save(tmp_path / "b.npy", pixels.astype(np.float32))
        record = bench._open().scheduler.record
        expected = record.picture(tmp_path / "a.png", (1, 28, 28)).x
        assert np.array_equal(asked(bench, "open_image", str(tmp_path / "a.png")), expected)
        assert np.array_equal(asked(bench, "use_pixels", pixels, "pasted"), expected)
        for name in ("a.npy", "b.npy"):
            found = asked(bench, "open_image", str(tmp_path / name))
            assert np.abs(found - expected).max() < 0.02


def test_a_sheet_without_a_digit_is_told_and_the_last_picture_stays(bench: Any, tmp_path: Path):
    before = bench._open().sample
    Image.fromarray(np.full((200, 200), 200, np.uint8)).save(tmp_path / "empty.png")
    with pytest.raises(DataError, match="nothing stands out"):
        bench.handle(Command("open_image", (str(tmp_path / "empty.png"),)))
    assert bench._open().sample is before


def drawing() -> Any:
    image = Image.new("L", (280, 280), 0)
    ImageDraw.Draw(image).line([(60, 60), (200, 60), (110, 220)], fill=255, width=22)
    return np.asarray(image, np.float32) / np.float32(255)


def prepared_by_window(info: Any, sheet: Any) -> Any:
    inputs = Inputs.__new__(Inputs)
    inputs.show_stages = lambda text: None  # type: ignore[method-assign]
    return inputs._prepared(info, sheet)


def test_a_drawing_is_prepared_as_its_file_is(bench: Any, tmp_path: Path):
    sheet = drawing()
    info, record = bench._open().info, bench._open().scheduler.record
    Image.fromarray(np.rint(sheet * 255).astype(np.uint8)).save(tmp_path / "a.png")
    expected = record.picture(tmp_path / "a.png", (1, 28, 28)).x
    picture = prepared_by_window(info, sheet)
    assert np.abs(picture - expected[0]).max() < 1e-6
    assert np.array_equal(asked(bench, "show_picture", picture, "drawn", "drawn")[0], picture)
    assert not prepared_by_window(info, np.zeros_like(sheet)).any()
    two = np.zeros_like(sheet)
    two[40:200, 30:50] = two[40:200, 230:250] = 1
    assert prepared_by_window(info, two) is None


def test_a_drawing_for_own_classes_is_not_centred(tmp_path: Path):
    rng = np.random.default_rng(0)
    own = Dataset(
        rng.random((64, 1, 20, 30)).astype(np.float32), np.arange(64) % 12, list("abcdefghijkl")
    )
    bench = opened(run_on(own, tmp_path / "run.safetensors", transform=[Normalize(0.5, 0.25)]))
    sheet = drawing()
    picture = prepared_by_window(bench._open().info, sheet)
    Image.fromarray(np.rint(sheet * 255).astype(np.uint8)).save(tmp_path / "a.png")
    expected = asked(bench, "open_image", str(tmp_path / "a.png"))
    shown = asked(bench, "show_picture", picture, "drawn", "drawn")
    assert picture.shape == (20, 30)
    assert np.abs(shown - expected).max() < 0.02
    assert shown.min() == pytest.approx(-2)
    bench.close()


def test_only_data_of_the_runs_own_classes_are_offered(tmp_path: Path):
    test = load_mnist_split("test")
    names = [f"style {number}" for number in range(10)]
    other = Dataset(test.x[:64], test.y[:64], names)
    bench = opened(run_on(other, tmp_path / "own.safetensors"))
    info = bench._open().info
    assert (info.dataset_sizes, info.can_train, info.labels) == ({}, False, tuple(names))
    bench.close()
    bench = opened(run_on(test.subset(64), tmp_path / "mnist.safetensors"))
    info = bench._open().info
    assert (info.can_train, info.labels) == (True, test.classes)
    bench.close()


def test_samples_of_a_set_go_through_the_preprocessing(tmp_path: Path):
    test = load_mnist_split("test")
    path = run_on(test.subset(64), tmp_path / "run.safetensors", transform=[Normalize(0.1, 0.3)])
    bench = opened(path)
    expected = (test.x[5] - np.float32(0.1)) / np.float32(0.3)
    assert np.array_equal(asked(bench, "show_sample", "test", 5), expected)
    bench.handle(Command("move_sample", ("test", "mistake", -1)))
    number = int(bench._open().sample.picture.source.partition("#")[2])
    run = load(path)
    scores = run.model(run.record.prepared(test.x[number : number + 1]))
    assert scores.argmax() != test.y[number]
    bench.close()


def test_training_goes_on_with_the_runs_own_loader(tmp_path: Path):
    train = load_mnist_split("test").subset(100)
    options = {"shuffle": True, "seed": 9, "transform": [Normalize(0.1, 0.3)]}
    path = run_on(train, tmp_path / "run.safetensors", **options)
    run = load(path)
    own = DataLoader(train, batch_size=32, **options)
    assert runs.training_loader(run, train).config() == own.config()
    run.fit(own, steps=1)
    assert runs.training_loader(run, train).config() == own.config()
    assert run.batch == 1
    # Other data cannot finish the epoch: the next one begins, with the run's preprocessing.
    other = runs.training_loader(run, load_mnist_split("test").subset(90))
    assert (run.epoch, run.batch) == (2, 0)
    assert other.transform == (Normalize(0.1, 0.3),)
    run.fit(other, steps=1)


def test_a_net_that_begins_anew_takes_the_same_pictures(bench: Any):
    record = bench._open().scheduler.record
    bench.handle(Command("fresh", (3,)))
    scheduler = bench._open().scheduler
    assert scheduler.record == record
    assert bench._open().info.labels == record.classes
    scheduler.fit(DataLoader(load_mnist_split("test").subset(32), batch_size=32), steps=1)
    assert len(scheduler.record.chapters) == 1


def test_an_old_net_for_digits_takes_photographs(tmp_path: Path):
    net = Model([Flatten(), Dense(784, 10)], input_shape=(1, 28, 28), device="cpu")
    bench = opened(save(net, tmp_path / "old.safetensors"))
    pixels = np.rint(photo("shadow", 0) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = asked(bench, "open_image", str(tmp_path / "a.png"))
    record = load(runs.bundled_run()).record
    assert np.array_equal(found, record.picture(tmp_path / "a.png", (1, 28, 28)).x)
    bench.close()


def test_pasted_pictures_keep_what_is_transparent():
    image = QImage(4, 3, QImage.Format.Format_ARGB32)
    image.fill(0)
    image.setPixelColor(1, 2, QColor("white"))
    pixels = image_array(image)
    assert pixels.shape == (3, 4, 4)
    assert pixels[2, 1].tolist() == [255, 255, 255, 255]
    assert not pixels[0, 0, 3]


def test_the_canvas_shows_what_it_is_told_to_prepare(shown: Any):
    canvas = shown(DigitCanvas(), 400, 320)
    told: list[Any] = []
    canvas.changed.connect(told.append)
    canvas.set_prepare(lambda sheet: np.full((5, 7), sheet.max(), np.float32))
    canvas.set_strokes(drawing())
    assert told[-1].shape == (5, 7)
    assert np.array_equal(canvas.picture(), told[-1])
    count = len(told)
    canvas.set_prepare(lambda sheet: None)  # nothing clear: the last picture stays
    canvas.set_strokes(drawing() * 0.5)
    assert len(told) == count
    assert np.array_equal(canvas.picture(), told[-1])
