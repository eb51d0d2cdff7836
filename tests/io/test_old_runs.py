"""Run files of earlier versions: they open, and go on to the very bits they went to then."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from engine import load, save
from tests.io.old_runs import CASES, FOLDER, command_line_arrays, weights_hash
from tests.unit.cli_tools import CommandLine

RECORDED = json.loads((FOLDER / "recorded.json").read_text(encoding="utf-8"))


def test_every_file_is_recorded():
    files = {path.stem for path in FOLDER.glob("*.safetensors")}
    assert files >= set(RECORDED) == set(CASES)
    for name, entry in RECORDED.items():
        content = (FOLDER / f"{name}.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["file"], f"{name} was changed"


@pytest.mark.parametrize("name", RECORDED)
def test_a_file_opens_as_it_was_left(name: str):
    run = load(FOLDER / f"{name}.safetensors", device="cpu")
    entry = RECORDED[name]
    assert [run.epoch, run.batch, run.global_step] == entry["position"]
    assert weights_hash(run.model) == entry["weights"]


@pytest.mark.parametrize("name", RECORDED)
def test_a_file_goes_on_to_the_recorded_bits(name: str):
    run, case, entry = (
        load(FOLDER / f"{name}.safetensors", device="cpu"),
        CASES[name],
        RECORDED[name],
    )
    assert entry["steps_more"] == case.steps
    case.go_on(run, case.steps)
    assert weights_hash(run.model) == entry["then"]
    assert run.history.steps[-1] == entry["loss_then"]


@pytest.mark.parametrize("name", RECORDED)
def test_a_file_goes_on_to_the_recorded_numbers(name: str):
    """However sums are rounded: another order of data or other masks would be far away."""
    run = load(FOLDER / f"{name}.safetensors", device="cpu")
    CASES[name].go_on(run, CASES[name].steps)
    with np.load(FOLDER / "then.npz") as then:
        wanted = {key: then[key] for key in then.files if key.startswith(f"{name}/")}
    arrays = {f"{name}/{key}": p.value for key, p in run.model.parameters.items()}
    arrays |= {f"{name}/{key}": np.asarray(run.model.state[key]) for key in run.model.state}
    assert arrays.keys() == wanted.keys()
    for key, array in arrays.items():
        tolerance = 1e-5 if array.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(array, wanted[key], rtol=tolerance, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("name", RECORDED)
def test_saved_again_it_still_goes_on_so(name: str, tmp_path: Path):
    """What this version writes of an old run is the old run."""
    entry, case = RECORDED[name], CASES[name]
    again = save(load(FOLDER / f"{name}.safetensors", device="cpu"), tmp_path / "run.safetensors")
    run = load(again, device="cpu")
    assert weights_hash(run.model) == entry["weights"]
    case.go_on(run, case.steps)
    assert weights_hash(run.model) == entry["then"]


def test_the_command_line_goes_on_with_an_old_file(
    convscope: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    np.savez("old.npz", **command_line_arrays())
    words = ("--data", "old.npz", "--batch-size", 16, "--output", "new.safetensors")
    convscope.good("train", "--resume", FOLDER / "command_line.safetensors", *words)
    assert weights_hash(load("new.safetensors").model) == RECORDED["command_line"]["then"]


@pytest.mark.parametrize("name", RECORDED)
def test_what_a_file_lacks_reads_not_recorded(name: str, convscope: CommandLine):
    path = FOLDER / f"{name}.safetensors"
    record = load(path, device="cpu").record
    assert (record.classes, record.look, record.newest) == (None, None, None)
    (data,) = convscope.good("info", path, "--json").objects
    assert (data["classes"], data["pictures"], data["loader"]) == (None, None, None)
    lines = convscope.good("info", path).out.splitlines()
    told = [line for line in lines if "not recorded" in line]
    assert [line.split()[0] for line in told] == ["classes", "pictures", "data"]
