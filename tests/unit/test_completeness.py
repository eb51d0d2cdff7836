"""Walks the registry: every op has a shape rule, both passes, an explanation, kernels and tests."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler, fusing, layers
from engine.kernels.cpu.backend import all_kernels as cpu_kernels
from engine.kernels.types import Signature
from engine.layers import Dense, Layer
from engine.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from engine.ops import REGISTRY, Op
from engine.optimizers import SGD, Adam, AdamW
from engine.regularizers import L1, L2
from tests import reference
from tests.gallery import LAYERS, branching, chain

OPS = sorted(REGISTRY)
TESTS = Path(__file__).parents[1]
REARRANGING = {"add", "concat", "flatten"}
"""Their reference is NumPy's own +, concatenate and reshape."""
HELPERS = {"accumulate", "copy"}
"""What a program adds around ops where a tensor has several readers."""


def cuda_kernels() -> dict[str, Any]:
    """Return the twins; importing them needs no GPU."""
    from engine.kernels.cuda.backend import all_kernels

    return dict(all_kernels())


def shown_models() -> dict[str, Model]:
    return {name: chain(name) for name in LAYERS} | {"branching": branching()}


def ops_of(model: Model) -> set[str]:
    return {node.layer.op.name for node in model.nodes if node.layer is not None}


def classes_of(op: str) -> set[str]:
    """Return the layer classes of the gallery that carry an op."""
    found = set()
    for model in shown_models().values():
        for node in model.nodes:
            if node.layer is not None and node.layer.op.name == op:
                found.add(type(node.layer).__name__)
    return found


@pytest.mark.parametrize("name", OPS)
def test_an_op_has_all_four_parts_in_one_place(name: str) -> None:
    op = REGISTRY[name]
    assert op.name == name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert not inspect.isabstract(op)
    homes = set()
    for part in ("output_shape", "forward", "backward", "explain"):
        method = getattr(op, part)
        assert method is not getattr(Op, part), f"{name} has no {part}"
        homes.add(inspect.getsourcefile(method))
    assert len(homes) == 1, f"{name} is spread over {homes}"
    assert (op.__doc__ or "").strip()


@pytest.mark.parametrize("name", OPS)
def test_the_kernels_of_an_op_exist_on_both_devices_with_one_signature(name: str) -> None:
    op = REGISTRY[name]
    assert op.kernels
    cpu, cuda = cpu_kernels(), cuda_kernels()
    for kernel in op.kernels:
        assert kernel in cpu, f"{name}: no CPU kernel {kernel}"
        assert kernel in cuda, f"{name}: no CUDA kernel {kernel}"
        assert alike(cpu[kernel].signature, cuda[kernel].signature), kernel
        assert cpu[kernel].function.__doc__, f"{kernel} says nothing"


def test_both_devices_have_the_same_kernels() -> None:
    cpu, cuda = cpu_kernels(), cuda_kernels()
    assert set(cpu) == set(cuda)
    for name, kernel in cpu.items():
        assert alike(kernel.signature, cuda[name].signature), name


def alike(cpu: Signature, cuda: Signature) -> bool:
    """Return whether two twins take the same; on the CPU, weights have an axis for panels more."""
    return (
        cpu.settings == cuda.settings
        and len(cpu.arrays) == len(cuda.arrays)
        and all(
            one.number == other.number and one.rank - other.rank in (0, 1)
            for one, other in zip(cpu.arrays, cuda.arrays, strict=True)
        )
    )


def launched(program: Any) -> dict[str, set[str]]:
    """Return which kernels each kind of operation launches."""
    found: dict[str, set[str]] = {}
    for row in program.operations:
        kernels = {launch.kernel for launch in program._launches[row.start : row.stop]}
        found.setdefault(row.kind, set()).update(kernels)
    return found


def test_ops_launch_the_kernels_they_declare_and_no_others() -> None:
    """So that a missing twin is found here and not on somebody's GPU."""
    used: dict[str, set[str]] = {}
    for name, model in shown_models().items():
        programs = [model.program(3, backward=True), model.program(3, training=True)]
        programs.append(model.program(3, training=True, backward=True))
        for program in programs:
            for kind, kernels in launched(program).items():
                if kind in REGISTRY:
                    extra = kernels - set(REGISTRY[kind].kernels) - HELPERS
                    assert not extra, f"{name}: {kind} launches {extra}, which it does not declare"
                    used.setdefault(kind, set()).update(kernels)
    for kind, op in REGISTRY.items():
        assert kind in used, f"{kind} has no line in tests/gallery.py"
        idle = set(op.kernels) - used[kind] - HELPERS
        assert not idle, f"{kind} declares {idle} and never launches it"


def test_every_kernel_is_needed_by_something() -> None:
    declared = set(HELPERS) | set(fusing.KERNELS)
    for op in REGISTRY.values():
        declared.update(op.kernels)
    losses = (CrossEntropyLoss, MSELoss, BCEWithLogitsLoss)
    for loss in losses:
        for optimizer in (SGD, Adam, AdamW):
            model = Model(
                [Dense(3, 4, regularizer=L1(0.1)), Dense(4, 2, regularizer=L2(0.1))],
                input_shape=(3,),
                device="cpu",
            )
            program = Scheduler(model, loss(), optimizer()).program(2)
            declared.update(*launched(program).values())
    assert set(cpu_kernels()) == declared


@pytest.mark.parametrize("name", OPS)
def test_an_op_has_a_layer(name: str) -> None:
    carrying = classes_of(name)
    assert carrying, f"{name} has no line in tests/gallery.py"
    for layer in carrying:
        assert layer in layers.__all__
        assert (getattr(layers, layer).__doc__ or "").strip()


def test_every_layer_is_in_the_gallery() -> None:
    shown = {
        type(node.layer).__name__
        for model in shown_models().values()
        for node in model.nodes
        if node.layer is not None
    }
    for name in layers.__all__:
        kind = getattr(layers, name)
        if inspect.isclass(kind) and issubclass(kind, Layer) and kind is not Layer:
            assert name in shown, f"{name} has no line in tests/gallery.py"


@pytest.mark.parametrize("name", OPS)
def test_an_op_is_judged_by_a_reference(name: str) -> None:
    text = (TESTS / "kernels" / "test_ops_reference.py").read_text(encoding="utf-8")
    for layer in classes_of(name):
        assert re.search(rf"\b{layer}\b", text), f"{layer} is missing in test_ops_reference.py"
    if name not in REARRANGING:
        assert hasattr(reference, name), f"tests/reference.py has no {name}"
        assert re.search(rf"\bref\.{name}\b", text), f"ref.{name} is never used"


def test_gradient_check_and_explanation_walk_the_same_gallery() -> None:
    for file in ("gradients/test_gradcheck.py", "debug/test_explain.py"):
        text = (TESTS / file).read_text(encoding="utf-8")
        assert "from tests.gallery import" in text
        assert "LAYERS" in text


@pytest.mark.parametrize("name", OPS)
def test_an_op_is_a_description_without_numbers(name: str) -> None:
    """Ops are shared by programs of any batch size: equal settings are equal, nothing is kept."""
    for model in shown_models().values():
        for node in model.nodes:
            if node.layer is not None and node.layer.op.name == name:
                op = node.layer.op
                hash(op)
                arrays = [v for v in vars(op).values() if isinstance(v, np.ndarray)]
                assert not arrays
