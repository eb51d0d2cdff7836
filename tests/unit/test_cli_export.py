"""`convscope export`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from engine import load
from tests.unit.cli_tools import CommandLine


def test_export_for_people(convscope: CommandLine, run_file: Path, tmp_path: Path):
    target = tmp_path / "net.onnx"
    text = convscope.good("export", run_file, target).out
    assert text.splitlines() == [
        "input 1×28×28 to logits 10, batch dynamic, opset 17",
        f"wrote {target}, {target.stat().st_size:,} bytes",
    ]
    x = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["logits"], {"input": x})
    assert np.allclose(scores, load(run_file).model(x), rtol=1e-4, atol=1e-6)


def test_export_for_scripts(convscope: CommandLine, run_file: Path, tmp_path: Path):
    target = tmp_path / "net.onnx"
    words = ("--json", "--batch", 4, "--opset", 15)
    (data,) = convscope.good("export", run_file, target, *words).objects
    assert data == {
        "output": str(target),
        "bytes": target.stat().st_size,
        "opset": 15,
        "batch": 4,
        "inputs": {"input": [1, 28, 28]},
        "outputs": {"logits": [10]},
    }
    graph = onnx.load(target)
    assert graph.opset_import[0].version == 15
    assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 4


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("export", "Missing argument 'RUN'"),
        ("export {run}", "Missing argument 'ONNX'"),
        ("export {tmp}/none {tmp}/net.onnx", "there is no such run file"),
        ("export {run} {tmp}", "ONNX: expected the path of a file"),
        ("export {run} {tmp}/none/net.onnx", "the folder {tmp}/none does not exist"),
        ("export {run} {tmp}/net.onnx --batch 0", "--batch: expected a positive number or dynamic"),
        ("export {run} {tmp}/net.onnx --opset 9", "opset: expected 14 to"),
    ],
)
def test_wrong_use(convscope: CommandLine, run_file: Path, tmp_path: Path, line: str, text: str):
    names = {"run": run_file, "tmp": tmp_path}
    message = convscope.wrong(*(word.format(**names) for word in line.split()))
    assert text.format(**names) in message
    assert not list(tmp_path.iterdir())
