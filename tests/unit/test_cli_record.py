"""A run knows what it was made with: the command line goes by it, or says what differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine import Model, Scheduler, load, save
from engine.data import DataLoader, load_mnist_split
from engine.data.readers import read_image_folder
from engine.data.transforms import Grey, Normalize, RandomHorizontalFlip, Resize
from engine.debug import Session
from engine.layers import Conv2d, Dense, Flatten, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from tests.building import bits_of
from tests.unit.cli_tools import CommandLine

CLASSES = [str(number) for number in range(1, 13)]
SIDE = 28


def shape_of_class(kind: int, rng: np.random.Generator) -> Any:
    """Return a bright picture with a dark bar at a place that tells its class; nothing centred."""
    picture = np.full((SIDE, SIDE), 225) + rng.integers(-10, 10, (SIDE, SIDE))
    row, column = divmod(kind, 4)
    picture[3 + 8 * row : 9 + 8 * row, 2 + 6 * column : 6 + 6 * column] = 30
    return picture.astype(np.uint8)


def fill(folder: Path, classes: list[str] = CLASSES, count: int = 8, side: int = SIDE) -> Path:
    """Write class folders."""
    for kind, name in enumerate(CLASSES):
        if name not in classes:
            continue
        (folder / name).mkdir(parents=True)
        rng = np.random.default_rng(kind)
        for number in range(count):
            image = Image.fromarray(shape_of_class(kind, rng))
            image.resize((side, side), Image.Resampling.NEAREST).save(
                folder / name / f"{number}.png"
            )
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return twelve own classes of grey pictures of 28 x 28, in folders 1 to 12."""
    return fill(tmp_path_factory.mktemp("own") / "data")


@pytest.fixture(scope="module")
def own_run(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that knows them."""
    from engine.cli import main

    path = tmp_path_factory.mktemp("own_run") / "run.safetensors"
    words = ["train", "--model", "digits_cnn", "--data", own, "--epochs", 20, "--batch-size", 16]
    assert main([*map(str, words), "--output", str(path)]) == 0
    return path


# -- own classes on nets that take what MNIST's do -------------------------------------------------


def test_twelve_own_classes_are_predicted_as_they_are_evaluated(
    convscope: CommandLine, own: Path, own_run: Path
):
    (measured,) = convscope.good("evaluate", own_run, "--data", own, "--json").objects
    assert measured["accuracy"] > 0.95
    files = [own / name / f"{number}.png" for name in CLASSES for number in range(8)]
    lines = convscope.good("predict", own_run, *files, "--json").objects
    right = [line["class"] == file.parent.name for line, file in zip(lines, files, strict=True)]
    assert np.mean(right) == pytest.approx(measured["accuracy"])
    assert all(line["steps"][-1] == "taken as it is" for line in lines)
    by_data = convscope.good("predict", own_run, "--data", own, "--json").objects
    key = {(line["label"], line["prediction"]) for line in by_data}
    assert key == {
        (CLASSES.index(file.parent.name), line["prediction"])
        for file, line in zip(files, lines, strict=True)
    }


def test_names_and_numbers_of_classes_are_told_apart(
    convscope: CommandLine, own: Path, own_run: Path
):
    """Folders 1 to 12: class 9 is called "10"."""
    file = own / "10" / "0.png"
    (line,) = convscope.good("predict", own_run, file, "--json").objects
    assert (line["prediction"], line["class"]) == (9, "10")
    assert convscope.good("predict", own_run, file).out.startswith(f"{file}: 10, class 9 (")
    (digit,) = convscope.good("predict", "bundled", "--data", "mnist", "--json").objects[:1]
    assert digit["class"] == str(digit["prediction"])
    text = convscope.good("evaluate", own_run, "--data", own, "--confusion").out
    assert "label down" in text


def test_a_run_without_names_has_null(convscope: CommandLine, digits_npz: Path, run_file: Path):
    lines = convscope.good("predict", run_file, "--data", digits_npz, "--json").objects
    assert {line["class"] for line in lines} == {None}


# -- other data ------------------------------------------------------------------------------------


def test_a_missing_class_folder_changes_no_number(
    convscope: CommandLine, own: Path, own_run: Path, tmp_path: Path
):
    (whole,) = convscope.good("evaluate", own_run, "--data", own, "--json").objects
    assert whole["accuracy"] == 1
    part = tmp_path / "part"
    shutil.copytree(own, part)
    shutil.rmtree(part / "1")
    shutil.rmtree(part / "5")
    (found,) = convscope.good("evaluate", own_run, "--data", part, "--json").objects
    assert (found["accuracy"], found["samples"]) == (1, 80)
    assert "no sample of 1, 5, which the run knows too" in found["notes"]
    (counted,) = convscope.good(
        "evaluate", own_run, "--data", part, "--confusion", "--json"
    ).objects
    assert np.array_equal(
        np.array(counted["confusion"]).sum(1) > 0, [k not in (0, 4) for k in range(12)]
    )
    text = convscope.good("evaluate", own_run, "--data", part).out
    assert "no sample of 1, 5" in text


def test_a_foreign_class_is_refused(
    convscope: CommandLine, own: Path, own_run: Path, tmp_path: Path
):
    other = tmp_path / "other"
    shutil.copytree(own, other)
    (other / "5").rename(other / "five")
    for command in ("evaluate", "predict"):
        message = convscope.wrong(command, own_run, "--data", other)
        assert "expected classes of this run (1, 2, 3, 4, 5 and 7 more), received five" in message
    assert "received 0" in convscope.wrong("evaluate", own_run)  # --data mnist is the default


def coloured(folder: Path) -> Path:
    for kind, name in enumerate(("circle", "square", "star")):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.zeros((32, 32, 3), np.uint8)
            pixels[8:24, 8:24, kind] = 200 + number
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_the_digit_net_does_not_judge_coloured_shapes(
    convscope: CommandLine, tmp_path: Path, run_file: Path
):
    shapes = coloured(tmp_path / "shapes")
    message = convscope.wrong("evaluate", "bundled", "--data", shapes)
    assert "received circle, square, star" in message
    # A run that records no names can only compare how many there are.
    message = convscope.wrong("evaluate", run_file, "--data", shapes)
    assert "expected 10 classes, as many as the net has outputs, received 3" in message


def test_digits_in_folders_are_prepared_as_predict_does(convscope: CommandLine, tmp_path: Path):
    from tests.photos import photo

    labels = load_mnist_split("test").y
    files = []
    for number in range(10):
        folder = tmp_path / "photos" / str(labels[number])
        folder.mkdir(parents=True, exist_ok=True)
        files.append(folder / f"{number}.png")
        pixels = np.rint(photo("shadow", number) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(files[-1])
    lines = convscope.good("predict", "bundled", *files, "--json").objects
    right = np.mean(
        [line["class"] == file.parent.name for line, file in zip(lines, files, strict=True)]
    )
    (found,) = convscope.good(
        "evaluate", "bundled", "--data", tmp_path / "photos", "--json"
    ).objects
    assert found["accuracy"] == pytest.approx(right)
    assert right >= 0.9


# -- going on --------------------------------------------------------------------------------------


def resumed(run: Path, data: Path, *more: object) -> tuple[object, ...]:
    return ("train", "--resume", run, "--data", data, "--epochs", 21, *more)


def test_resume_needs_no_settings_again(
    convscope: CommandLine, own: Path, own_run: Path, tmp_path: Path
):
    whole, again = tmp_path / "whole.safetensors", tmp_path / "again.safetensors"
    convscope.good(*resumed(own_run, own, "--output", again))
    run = load(own_run)
    loader = DataLoader.from_config(_train_half(own), dict(run.record.settings))
    from engine.schedules import CosineDecay

    rate = run.optimizer.learning_rate
    run.optimizer.learning_rate = CosineDecay(rate.start, 21 * len(loader), rate.end)
    run.fit(loader, epochs=1)
    save(run, whole)
    assert bits_of(load(again).model) == bits_of(load(whole).model)
    assert load(again).record == load(own_run).record


def _train_half(folder: Path) -> Any:
    from engine.commands.datasets import read_data

    return read_data(str(folder), 0).train


CHANGES: dict[str, tuple[Any, tuple[object, ...], str]] = {
    "a renamed class folder": (
        lambda folder: (folder / "5").rename(folder / "five"),
        (),
        "classes without 5 and with five",
    ),
    "another batch size with as many batches": (
        lambda folder: None, ("--batch-size", 17), "batch size 16, now 17",
    ),
    "another picture": (
        lambda folder: Image.new("L", (SIDE, SIDE), 9).save(folder / "5" / "0.png"),
        (),
        "other samples or labels",
    ),
    "a picture more": (
        lambda folder: shutil.copy(folder / "5" / "0.png", folder / "5" / "x.png"), (), "samples",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_resume_names_what_differs(
    convscope: CommandLine, own: Path, own_run: Path, tmp_path: Path, name: str
):
    change, words, told = CHANGES[name]
    folder = tmp_path / "data"
    shutil.copytree(own, folder)
    change(folder)
    message = convscope.wrong(*resumed(own_run, folder, *words))
    assert told in message
    assert "add --accept-changes" in message
    path = tmp_path / "new.safetensors"
    result = convscope.good(*resumed(own_run, folder, *words, "--accept-changes", "--output", path))
    assert "goes on with something else than before" in " ".join(result.out.split())
    record = load(path).record
    assert [chapter.first_step for chapter in record.chapters] == [0, load(own_run).global_step]
    assert len(record.chapters) == 2


def test_accepted_changes_in_the_middle_of_an_epoch_begin_it_again(
    convscope: CommandLine, own: Path, own_run: Path, tmp_path: Path
):
    run = load(own_run)
    run.fit(DataLoader.from_config(_train_half(own), dict(run.record.settings)), steps=2)
    path = save(run, tmp_path / "middle.safetensors")
    words = resumed(path, own, "--batch-size", 30)
    assert "batch size 16, now 30" in convscope.wrong(*words)
    text = convscope.good(*words, "--accept-changes", "--output", path).out
    assert "epoch 20 begins again" in text
    again = load(path)
    assert (again.epoch, again.batch) == (21, 0)
    assert again.global_step == run.global_step + 3  # of 88 samples


def test_accept_changes_is_for_resume(convscope: CommandLine, own: Path):
    assert "is for --resume alone" in convscope.wrong("train", "--data", own, "--accept-changes")


# -- told ------------------------------------------------------------------------------------------


def test_info_tells_what_is_recorded(convscope: CommandLine, own_run: Path):
    (data,) = convscope.good("info", own_run, "--json").objects
    assert data["classes"] == CLASSES
    assert data["pictures"]["shape"] == [1, SIDE, SIDE]
    assert data["pictures"]["centred"] is False
    assert (data["loader"]["batch_size"], data["loader"]["seed"], data["chapters"]) == (16, 0, 1)
    text = convscope.good("info", own_run).out
    for words in ("12: 1, 2, 3, 4, 5 and 7 more", "28×28, 1 channel", "in batches of 16"):
        assert words in text
    assert "not recorded" not in text


def test_export_writes_it_beside_the_graph(convscope: CommandLine, own_run: Path, tmp_path: Path):
    import onnx

    from engine.io import export_onnx

    convscope.good("export", own_run, tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx")
    notes = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(notes["convscope.classes"]) == CLASSES
    assert "28×28" in notes["convscope.pictures"]
    assert "28×28" in graph.graph.input[0].doc_string
    assert "12" in graph.graph.output[0].doc_string
    export_onnx(load(own_run).model, tmp_path / "plain.onnx")
    assert not onnx.load(tmp_path / "plain.onnx").metadata_props


# -- everywhere the same ---------------------------------------------------------------------------


NAMES = ["wide", "tall", "both"]
NORM = Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.25])


def draw(kind: str, rng: np.random.Generator) -> Any:
    """Return a coloured picture whose class shows after resizing, grey and normalising alike."""
    pixels = rng.integers(150, 256, (40, 60, 3)).astype(np.uint8)
    if kind in ("wide", "both"):
        pixels[16:24, 5:55] = rng.integers(0, 60, 3)
    if kind in ("tall", "both"):
        pixels[4:36, 26:34] = rng.integers(0, 60, 3)
    return pixels


PLACES = ("predict", "predict --data", "evaluate", "resume", "window: file", "window: pasted",
          "window: array", "explain", "scheduler.evaluate", "validation in fit")  # fmt: skip
CHAINS = {
    "normalised": [RandomHorizontalFlip(), NORM],
    "grey, resized, normalised": [Grey(), Resize((12, 10)), Normalize(0.5, 0.2)],
}


@pytest.mark.parametrize("chain", CHAINS)
def test_a_picture_is_the_same_for_every_place(
    convscope: CommandLine, tmp_path: Path, chain: str, monkeypatch: pytest.MonkeyPatch
):
    """Own classes, pictures that are resampled, and a Normalize: the same scores wherever asked."""
    folder, rng = tmp_path / "data", np.random.default_rng(0)
    files = []
    for name in NAMES:
        (folder / name).mkdir(parents=True)
        for number in range(10):
            files.append(folder / name / f"{number}.png")
            Image.fromarray(draw(name, rng)).save(files[-1])
    train = read_image_folder(folder, (20, 30))
    transforms = CHAINS[chain]
    shape = (3, 20, 30) if len(transforms) == 2 else (1, 12, 10)
    features = 4 * (shape[1] - 2) * (shape[2] - 2)
    layers = [Conv2d(shape[0], 4, 3, name="conv"), ReLU(), Flatten(), Dense(features, 3)]
    model = Model(layers, input_shape=shape, device="cpu", seed=1)
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(0.02, momentum=0.9))
    loader = DataLoader(train, batch_size=8, shuffle=True, seed=model.seed, transform=transforms)
    scheduler.fit(loader, epochs=12, validation=train)
    path = save(scheduler, tmp_path / "run.safetensors")

    # What the net was trained on, by the transforms themselves.
    fixed = [one for one in transforms if not one.draws]
    x = train.x
    for one in fixed:
        x = np.stack([one(sample, np.random.default_rng(0)) for sample in x])
    expected = model(x)
    share = np.exp(expected - expected.max(1, keepdims=True))
    sure = (share / share.sum(1, keepdims=True)).max(1)
    classes = expected.argmax(1)
    accuracy = float(np.mean(classes == train.y))
    assert accuracy > 0.7
    untouched = model(np.ascontiguousarray(train.x)) if shape == (3, 20, 30) else None
    assert untouched is None or (untouched.argmax(1) != classes).any()

    found: dict[str, Any] = {}
    lines = convscope.good("predict", path, *files, "--json").objects
    found["predict"] = [(line["prediction"], line["probability"]) for line in lines]
    assert [line["class"] for line in lines] == [NAMES[k] for k in _order(classes, train.classes)]
    lines = convscope.good("predict", path, "--data", folder, "--json").objects
    found["predict --data"] = [(line["prediction"], line["probability"]) for line in lines]
    found["window: file"], found["window: pasted"], found["window: array"] = _window(path, files)
    found["explain"] = _terminal(path, files, model)
    order = [files.index(file) for file in sorted(files, key=lambda f: (f.parent.name, f.name))]
    for place, answers in found.items():
        at = range(len(files)) if place == "predict --data" else [order.index(i) for i in range(30)]
        wanted = [(int(classes[k]), float(sure[k])) for k in at]
        assert [a[0] for a in answers] == [w[0] for w in wanted], place
        np.testing.assert_allclose(
            [a[1] for a in answers], [w[1] for w in wanted], rtol=1e-4, err_msg=place
        )
    (line,) = convscope.good("evaluate", path, "--data", folder, "--json").objects
    found["evaluate"] = line["accuracy"]
    found["scheduler.evaluate"] = load(path).evaluate(train).accuracy
    found["validation in fit"] = scheduler.history.accuracies[-1]
    for place in ("evaluate", "scheduler.evaluate", "validation in fit"):
        assert found[place] == accuracy, place
    found["resume"] = _resume(convscope, path, folder, tmp_path, train, transforms, monkeypatch)
    assert set(found) == set(PLACES)


def _order(classes: Any, names: Any) -> list[int]:
    """Return classes of the folder's order as places in NAMES, for files in the order of NAMES."""
    by_folder = {name: list(classes[10 * k : 10 * k + 10]) for k, name in enumerate(names)}
    return [NAMES.index(names[k]) for name in NAMES for k in by_folder[name]]


def _window(path: Path, files: list[Path]) -> tuple[list[Any], list[Any], list[Any]]:
    """Return what the window shows for files, for what is pasted, and for arrays."""
    from gui.worker.bench import EngineBench
    from gui.worker.mailbox import Command
    from gui.worker.thread import Outlets

    bench = EngineBench(Outlets(), prepare=False)
    bench.handle(Command("open_run", (str(path),)))
    desk = bench._open()
    assert desk.info.labels == tuple(sorted(NAMES))
    assert desk.info.dataset_sizes == {}
    answers: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for file in files:
        pixels = np.asarray(Image.open(file))
        array = file.with_suffix(".npy")
        np.save(array, pixels.astype(np.uint16) * 257)
        asked = (
            ("open_image", (str(file),)),
            ("use_pixels", (pixels, "pasted")),
            ("open_image", (str(array),)),
        )
        for answer, (name, arguments) in zip(answers, asked, strict=True):
            bench.handle(Command(name, arguments))
            scores = desk.scheduler.model(desk.sample.x)[0]
            share = np.exp(scores - scores.max())
            answer.append((int(scores.argmax()), float((share / share.sum()).max())))
        array.unlink()
    bench.close()
    return answers


def _terminal(path: Path, files: list[Path], model: Model) -> list[Any]:
    """Return what step and explain run on."""
    from engine.commands.sessions import gather

    scheduler = load(path)
    answers = []
    for file in files:
        scores = model(gather(scheduler, "mnist", 0, 1, file).x)[0]
        share = np.exp(scores - scores.max())
        answers.append((int(scores.argmax()), float((share / share.sum()).max())))
    return answers


def _resume(
    convscope: CommandLine, path: Path, folder: Path, tmp_path: Path, train: Any,
    transforms: list[Any], monkeypatch: pytest.MonkeyPatch,
) -> bool:  # fmt: skip
    """Go on at the command line and in a script: the same bits."""
    from engine.commands import train as command
    from engine.commands.datasets import Data

    straight = load(path)
    straight.fit(
        DataLoader(train, batch_size=8, shuffle=True, seed=1, transform=transforms), epochs=1
    )
    # The command line would hold samples out; here it is given the set that the run was made with.
    read = lambda *_: Data(read_image_folder(folder, (20, 30)), train, 3)  # noqa: E731
    monkeypatch.setattr(command, "read_data", read)
    new = tmp_path / "new.safetensors"
    words = ("--resume", path, "--data", folder, "--epochs", 13, "--output", new)
    convscope.good("train", *words)
    assert bits_of(load(new).model) == bits_of(straight.model)
    assert load(new).history.accuracies[-1] == load(new).evaluate(train).accuracy
    assert Session(load(new), loader=straight and DataLoader(train, 8)).position.batch == 0
    return True
