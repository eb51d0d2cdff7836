"""Every sample runs, says what it should, and is listed."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from engine import load

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "samples").glob("[0-9]*.py"))


def run(name: str, *words: object) -> str:
    """Run a sample in a process of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "samples" / name), *map(str, words)],
        cwd=ROOT / "samples",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_train_headless(tmp_path: Path):
    path = tmp_path / "run.safetensors"
    words = ("--steps", 60, "--test-samples", 300, "--output", path)
    text = run("01_train_headless.py", *words)
    accuracy = re.search(r"test accuracy (\d\.\d+) on 300 pictures", text)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.5
    assert "61,706 parameters" in text
    assert "step   50   loss" in text
    assert load(path).global_step == 60


def test_step_forward():
    text = run("02_step_forward.py", "--terms", 3, "--sample", 2)
    assert "conv1  -> (1, 6, 28, 28)" in text
    assert "at pixel (0, 9, 3, 4)" in text
    assert "term 2: " in text
    assert "term 3: " not in text
    assert "back: term 3 of (0, 9, 3, 4)" in text
    assert "The network says 1, the label is 1." in text


def test_worked_example():
    text = run("03_worked_example.py")
    assert "[[37 47]\n [67 77]]" in text
    assert "[[23 33]\n [53 63]]" in text
    assert "[[37 47 21]\n [67 77 33]\n [23 26  9]]" in text
    assert "[[23 33 24]\n [53 63 42]\n [52 59 36]]" in text
    assert "output[0, 0] = 1 x 1 + 2 x 2 + 4 x 3 + 5 x 4 = 37" in text
    assert "output[0, 0] = 1 x 4 + 2 x 3 + 4 x 2 + 5 x 1 = 23" in text
    assert "output[0, 2] = 3 x 1 + 0 x 2 (padding) + 6 x 3 + 0 x 4 (padding) = 21" in text
    # Every product of every output is printed, and they add up.
    sums = re.findall(r"output\[\d, \d\] = (.*) = (\d+)$", text, flags=re.MULTILINE)
    assert len(sums) == 4 + 4 + 9 + 9
    for products, total in sums:
        factors = re.findall(r"(\d+) x (\d+)", products)
        assert len(factors) == 4
        assert sum(int(a) * int(b) for a, b in factors) == int(total)


def test_break_on_condition():
    text = run("04_break_on_condition.py")
    assert "before conv2 backward; batch 0" in text
    assert "holds after conv2 forward; batch " in text
    assert "nan in input[0, 0, 14, 9]" in text
    assert "it comes from input[0, 0, 14, 9]: sample 384 of the data" in text
    assert "the spoilt one was sample 384" in text


def test_save_and_resume(tmp_path: Path):
    path = tmp_path / "half.safetensors"
    text = run("05_save_and_resume.py", "--steps", 12, "--output", path)
    assert "loaded: epoch 0, batch 6, step 6" in text
    assert "parameters with the same bits: 10 of 10" in text
    assert "losses of all steps the same bits: True" in text
    assert load(path).global_step == 6


def test_open_the_app(tmp_path: Path):
    path = tmp_path / "window.png"
    text = run("06_open_the_app.py", "--steps", 3, "--screenshot", path, "--size", "1000x700")
    assert f"drawn: {path}" in text
    with Image.open(path) as picture:
        assert picture.size == (1000, 700)
        assert len(picture.convert("RGB").getcolors(2**24) or ()) > 100  # not an empty window


def test_every_sample_is_tested_and_listed():
    source = Path(__file__).read_text(encoding="utf-8")
    listed = (ROOT / "samples" / "README.md").read_text(encoding="utf-8")
    assert len(SAMPLES) == 6
    for sample in SAMPLES:
        assert f'run("{sample.name}"' in source
        assert f"({sample.name})" in listed


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_begin_with_what_they_show(sample: Path):
    documentation = ast.get_docstring(ast.parse(sample.read_text(encoding="utf-8")))
    assert documentation is not None
    assert f"python samples/{sample.name}" in documentation
