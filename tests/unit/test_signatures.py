"""Every public call with every wrong thing in the place of every argument.

What is wrong is an `EngineError` of one line that names the argument, at the call that got it;
what is right is taken. `tests/calls.py` says which is which.
"""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import CLASSES as MADE_OF_SETTINGS
from engine.config import Configurable
from engine.errors import ConfigurationError, EngineError, shown
from tests.calls import CONSTRUCTORS, WRONG, Call, Given, found
from tests.calls_data import DATA
from tests.calls_running import RUNNING

CALLS = CONSTRUCTORS | RUNNING | DATA
LONGEST = 600
"""Characters of an error text, with the names that there are."""


def bound(target: Any, arguments: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments by name as they are passed."""
    positional, keywords = [], {}
    kinds = {p.name: p.kind for p in inspect.signature(target).parameters.values()}
    for name, value in arguments.items():
        if kinds[name] in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL):
            positional.append(value)
        else:
            keywords[name] = value
    return positional, keywords


def outcome(call: Call, argument: str | None = None, wrong: Any = None) -> BaseException | None:
    """Return what a call raises with one argument replaced; None if it goes well."""
    target = call.target()
    given = {
        name: wrong if name == argument else one.make() for name, one in call.arguments.items()
    }
    positional, keywords = bound(target, given)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = target(*positional, **keywords)
            if isinstance(result, Iterator):
                list(result)
    except Exception as error:
        return error
    return None


def faults(call: Call, argument: str, given: Given) -> Iterator[str]:
    """Yield what is wrong with how a call takes the values of `WRONG` as one argument."""
    words = (argument, *given.words)
    for label, value in WRONG.items():
        error = outcome(call, argument, value)
        text = str(error)
        if error is None and label in given.takes:
            continue
        if error is None:
            yield f"{argument}={label}: accepted"
        elif label in given.takes:
            yield f"{argument}={label}: refused: {type(error).__name__}: {text}"
        elif not isinstance(error, EngineError):
            yield f"{argument}={label}: {type(error).__name__}: {text[:200]}"
        elif "\n" in text or not 10 < len(text) <= LONGEST:
            yield f"{argument}={label}: no single line: {text[:200]!r} ({len(text)} characters)"
        elif not any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in words):
            yield f"{argument}={label}: does not name it: {text}"


def inside(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a list, tuple or dict with every value of `WRONG` in the place of its first entry."""
    for label, wrong in WRONG.items():
        if isinstance(value, dict) and value:
            yield label, {**value, next(iter(value)): wrong}
        elif isinstance(value, (list, tuple)) and type(value) in (list, tuple) and value:
            yield label, type(value)([wrong, *value[1:]])


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some wrong things are names of files that a call may well write."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments_are_refused_by_name_and_right_ones_taken(name: str) -> None:
    call = CALLS[name]
    error = outcome(call)
    assert error is None, f"{name} with right arguments: {error!r}"
    found_faults = [
        fault
        for argument, given in call.arguments.items()
        for fault in faults(call, argument, given)
    ]
    assert not found_faults, f"{name}\n  " + "\n  ".join(found_faults)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_wrong_within_an_argument_is_no_other_error(name: str) -> None:
    call = CALLS[name]
    for argument, given in call.arguments.items():
        for label, value in inside(given.make()):
            error = outcome(call, argument, value)
            text = str(error)
            assert error is None or isinstance(error, EngineError), (argument, label, error)
            assert "\n" not in text
            assert len(text) <= LONGEST, f"{argument}[{label}]: {text}"


# -- the table is complete ------------------------------------------------------------------------

MODULES = (
    "engine",
    "engine.layers",
    "engine.losses",
    "engine.optimizers",
    "engine.regularizers",
    "engine.initializers",
    "engine.schedules",
    "engine.metrics",
    "engine.data",
    "engine.data.transforms",
    "engine.data.readers",
    "engine.data.bundled",
    "engine.data.preparing",
    "engine.io",
    "engine.debug",
    "engine.zoo",
    "engine.gradcheck",
    "engine.receptive_field",
    "engine.summary",
    "engine.model",
    "engine.scheduler",
)
CLASSES = {
    "engine.model.Model",
    "engine.model.State",
    "engine.scheduler.Scheduler",
    "engine.debug.Session",
    "engine.layers.Parameter",
    "engine.data.Dataset",
    "engine.data.DataLoader",
}
"""Classes whose methods people call, besides those that `MODULES` lead to."""

BASES = "a base for classes of one's own"
RECORD = "a record that the engine makes for people to read"
INNER = "a step of the engine's own, which hands on what has been checked"
LEFT_OUT = {
    "engine.Input": "engine.layers.Input",
    "engine.Model": "engine.model.Model",
    "engine.Scheduler": "engine.scheduler.Scheduler",
    "engine.load": "engine.io.load",
    "engine.save": "engine.io.save",
    "engine.layers.Layer": BASES,
    "engine.layers.Node": RECORD,
    "engine.layers.Parameter": RECORD,
    "engine.losses.Loss": BASES,
    "engine.losses.LossSite": RECORD,
    "engine.optimizers.Optimizer": BASES,
    "engine.optimizers.rate_of": INNER,
    "engine.metrics.ClassReport": RECORD,
    "engine.metrics.Tally": RECORD,
    "engine.regularizers.Regularizer": BASES,
    "engine.regularizers.checked": INNER,
    "engine.initializers.Initializer": BASES,
    "engine.initializers.checked": INNER,
    "engine.schedules.Schedule": BASES,
    "engine.data.preparing.NotRecorded": "an error",
    "engine.data.preparing.Preparation": "an enumeration; who takes one checks it",
    "engine.data.preparing.Prepared": RECORD,
    "engine.debug.Box": RECORD,
    "engine.debug.Frame": RECORD,
    "engine.debug.Origin": RECORD,
    "engine.debug.Position": "a record; `Session.run_to` checks what it is given",
    "engine.debug.StepRecord": RECORD,
    "engine.debug.Stop": RECORD,
    "engine.zoo.Builder": "a name for a type",
    "engine.gradcheck.GradientCheck": RECORD,
    "engine.receptive_field.Span": RECORD,
    "engine.receptive_field.Box": RECORD,
    "engine.receptive_field.field_of": INNER,
    "engine.model.Gradients": RECORD,
    "engine.model.ModelNode": RECORD,
    "engine.model.State": RECORD,
    "engine.model.Model.arrange": INNER,
    "engine.model.Model.check_inputs": INNER,
    "engine.model.Model.predictor": INNER,
    "engine.model.Model.program": INNER,
    "engine.scheduler.Batches": "a name for a type",
    "engine.scheduler.Examples": "a name for a type",
    "engine.scheduler.Evaluation": RECORD,
    "engine.scheduler.Snapshot": RECORD,
    "engine.scheduler.Scheduler.book": INNER,
    "engine.scheduler.Scheduler.correct_predictions": INNER,
    "engine.scheduler.Scheduler.emit": INNER,
    "engine.scheduler.Scheduler.exclusive": INNER,
    "engine.scheduler.Scheduler.finish_epoch": INNER,
    "engine.scheduler.Scheduler.load_batch": INNER,
    "engine.scheduler.Scheduler.program": INNER,
    "engine.scheduler.Scheduler.record_with": INNER,
    "engine.scheduler.Scheduler.restore": INNER,
    "engine.debug.Session.aside": INNER,
    "engine.debug.Session.bad_operand": INNER,
    "engine.debug.Session.explain_at": INNER,
    "engine.debug.Session.inside": INNER,
    "engine.layers.Parameter.allocate": INNER,
    "engine.layers.Parameter.belongs_to": INNER,
    "engine.model.State.get": "Python's own, from Mapping",
    "engine.model.State.pop": "Python's own, from Mapping",
    "engine.model.State.setdefault": "Python's own, from Mapping",
    "engine.model.State.update": "Python's own, from Mapping",
}
"""What is public by name and not walked, and why."""


def public(module: str) -> Iterator[str]:
    """Yield what a module offers that can be called."""
    home = importlib.import_module(module)
    names = getattr(home, "__all__", None) or [
        name
        for name, value in vars(home).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    ]
    for name in names:
        if callable(getattr(home, name)):
            yield f"{module}.{name}"


def methods(path: str) -> Iterator[str]:
    """Yield the methods of a class that take arguments, and the attributes that can be assigned."""
    for name, value in inspect.getmembers(found(path)):
        if name.startswith("_"):
            continue
        if isinstance(value, property) and value.fset is not None:
            yield f"{path}.{name}="
        elif inspect.isroutine(value) and len(inspect.signature(value).parameters) > 1:
            yield f"{path}.{name}"


def test_every_public_call_is_walked_or_left_out_for_a_reason() -> None:
    there = {path for module in MODULES for path in public(module)}
    there |= {path for one in CLASSES for path in methods(one)}
    known = {name.partition(" ")[0] for name in CALLS} | set(LEFT_OUT)
    missing = sorted(there - known)
    assert not missing, f"give these lines in tests/calls.py: {missing}"
    gone = sorted(set(LEFT_OUT) - there)
    assert not gone, f"these are no more: {gone}"


@pytest.mark.parametrize("name", CALLS)
def test_every_argument_is_walked(name: str) -> None:
    call = CALLS[name]
    kinds = inspect.Parameter
    wanted = {
        argument.name
        for argument in inspect.signature(call.target()).parameters.values()
        if argument.kind is not kinds.VAR_KEYWORD
    }
    other_forms = {
        argument
        for other, form in CALLS.items()
        if other.partition(" ")[0] == name.partition(" ")[0]
        for argument in form.arguments
    }
    missing = wanted - other_forms - IGNORED.get(name.partition(" ")[0], set())
    assert not missing, f"{name}: give these lines in tests/calls.py: {sorted(missing)}"


IGNORED = {
    "engine.random.check_seed": {"where"},  # a text for the error, from the engine itself
    "engine.random.generator": {"keys"},
    "engine.debug.Breakpoint": {"expression"},  # made from `when`
    "engine.optimizers.SGD.rates": {"updates"},
}


# -- relatives ------------------------------------------------------------------------------------


def configurables() -> dict[str, Call]:
    """Return the constructors of everything whose settings may be assigned."""
    return {
        name: call
        for name, call in CONSTRUCTORS.items()
        if isinstance(call.target(), type) and issubclass(call.target(), Configurable)
    }


@pytest.mark.parametrize("name", configurables())
def test_assigning_refuses_what_the_constructor_refuses(name: str) -> None:
    """A setting may be fixed; where it is not, a wrong value is refused and the old one stays."""
    call = configurables()[name]
    made = call.target()(**{argument: one.make() for argument, one in call.arguments.items()})
    before = repr(made)
    for argument, given in call.arguments.items():
        for label, value in WRONG.items():
            if label in given.takes:
                continue
            with pytest.raises(EngineError) as caught:
                setattr(made, argument, value)
            assert argument in str(caught.value), f"{argument}={label}: {caught.value}"
            assert repr(made) == before, f"{argument}={label} left something behind"


@pytest.mark.parametrize("name", configurables())
def test_a_text_of_an_object_makes_the_same_object(name: str) -> None:
    call = configurables()[name]
    made = call.target()(**{argument: one.make() for argument, one in call.arguments.items()})
    again = eval(repr(made), dict(MADE_OF_SETTINGS))
    assert again.config() == made.config()
    assert repr(again) == repr(made)
    assert "\n" not in repr(made)


def test_the_walk_sees_what_is_sloppy() -> None:
    """Each of these would pass unseen if the walk looked for less."""

    def sloppy(size: Any) -> Any:
        if size == "a":
            raise ConfigurationError("something is wrong, but nobody says what")
        if isinstance(size, list):
            raise ConfigurationError("sloppy size: on several\nlines".replace("\n", "\r"))
        return int(size)

    call = Call(lambda: sloppy, {"size": Given(lambda: 1, frozenset({"np 2", "five"}))})
    seen = list(faults(call, "size", call.arguments["size"]))
    for part in (
        "size=text: does not name it",
        "size=3.5: accepted",
        "size=True: accepted",
        "size=None: TypeError",
        "size=five: refused",
    ):
        assert any(fault.startswith(part) for fault in seen), part
    assert not any(fault.startswith("size=np 2") for fault in seen)


def test_an_error_is_one_line_whatever_a_name_holds() -> None:
    assert "\n" not in str(ConfigurationError("a\nb: expected this\r\nor that"))
    assert len(shown("x" * 10**6)) <= 80
    assert shown(np.zeros((2, 3))) == "<float64 array of shape (2, 3)>"
    assert shown(10**5000) == "<an integer of 16610 bits>"
