"""`convscope step`: a pass in the terminal, key by key or as a tour."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
import typer

from engine.commands.drawing import picture_text
from engine.commands.interrupt import on_interrupt
from engine.commands.options import (
    BUNDLED,
    DataOption,
    DebugOption,
    DecimalOption,
    DelimiterOption,
    Device,
    DeviceOption,
    HeaderOption,
    JsonOption,
    LabelOption,
    PictureOption,
    PreparationOption,
    SampleOption,
    SeedOption,
    ThreadsOption,
    parse_index,
)
from engine.commands.output import Output
from engine.commands.runs import open_run
from engine.commands.sessions import Material, forward_session, gather, training_session
from engine.commands.sources import table_of
from engine.commands.tour import default_layer, tour
from engine.commands.walking import operations_table, show_stack, show_stop
from engine.data.preparing import Preparation
from engine.debug import Session, Stop
from engine.errors import ConfigurationError, EngineError
from engine.typing import PHASES

try:
    import termios
except ImportError:  # Windows
    TERMINAL_ERROR: type[Exception] = OSError
else:
    TERMINAL_ERROR = termios.error
"""What comes where a terminal is gone, beside OSError."""

BATCH = 8
HELP = "n over  i into  o out  b back  r run  s stack  ? help  q leave"


def step(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run file; the LeNet-5 inside by default.")
    ] = BUNDLED,
    is_tour: Annotated[
        bool, typer.Option("--tour", help="Walk the whole way without asking for keys.")
    ] = False,
    keys: Annotated[
        str | None, typer.Option(metavar="KEYS", help=f"Press these keys, then leave: {HELP}.")
    ] = None,
    training: Annotated[
        bool,
        typer.Option("--training", help=f"A training step of {BATCH} samples, not a forward pass."),
    ] = False,
    layer: Annotated[
        str | None, typer.Option(help="Whose pixel is stepped into; the last convolution's.")
    ] = None,
    index: Annotated[
        str | None, typer.Option(help="Which pixel, sample first: 0,5,7,4; else the strongest.")
    ] = None,
    stop_at: Annotated[
        list[str] | None,
        typer.Option("--break", metavar="LAYER[:PHASE]", help="Key r stops before this."),
    ] = None,
    when: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Key r stops where it holds: any_nonfinite ..."),
    ] = None,
    picture: PictureOption = None,
    preparation: PreparationOption = Preparation.auto,
    sample: SampleOption = 0,
    data: DataOption = "mnist",
    label: LabelOption = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    header: HeaderOption = None,
    device: DeviceOption = Device.auto,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Step through a pass: layer by layer, into a pixel, into one multiply-add, and back.

    Without a keyboard (in a pipe, say) it takes the tour.
    """
    out = Output(as_json)
    if keys is not None and (is_tour or as_json):
        raise ConfigurationError(
            "--keys: does not go together with --tour or --json; leave one out"
        )
    is_walk = not (is_tour or as_json) and (keys is not None or sys.stdin.isatty())
    scheduler = open_run(run, device, threads)
    table = table_of(label, delimiter, decimal, header)
    material = gather(
        scheduler, data, sample, BATCH if training else 1, picture, table, preparation
    )
    session = (training_session if training else forward_session)(scheduler, material)
    chosen = layer if layer is not None else default_layer(session)
    where = None if index is None else parse_index(index)
    if layer is not None or where is not None:
        session.pick(chosen, where if where is not None else _origin(session, chosen))
    for text in stop_at or []:
        _add_breakpoint(session, text)
    for condition in when or []:
        session.add_breakpoint(when=condition)
    if as_json:
        _list_operations(session, out)
    elif is_walk:
        _walk(session, material, out, keys)
    elif training:
        _tell_training(session, out)
    else:
        tour(session, material, chosen, where, out)


def _origin(session: Session, layer: str) -> tuple[int, ...]:
    """Return the first place of a layer's output."""
    return (0,) * (1 + len(session.model.node(layer).output_shape))


def _add_breakpoint(session: Session, text: str) -> None:
    """Add the breakpoint of ``"conv2"`` or ``"conv2:backward"``.

    Raises
    ------
    ConfigurationError
        If the phase does not exist.
    """
    layer, _, name = text.partition(":")
    phase = next((phase for phase in PHASES if phase == name), None)
    if name and phase is None:
        raise ConfigurationError(
            f"--break: expected one of the phases {', '.join(PHASES)}, received {name!r}"
        )
    session.add_breakpoint(layer=layer or None, phase=phase)


def _run_all(session: Session) -> None:
    """Step over every operation of the batch, so that each has its own time."""
    operations = len(session.program.operations)
    for _ in range(operations):
        session.step_over()


def _list_operations(session: Session, out: Output) -> None:
    """Print one JSON object for each result of each operation."""
    for operation in session.program.operations:
        session.step_over()
        for result in operation.results:
            is_load = operation.phase == "load"
            name = operation.layer if is_load else f"{operation.layer}.{result}"
            array = np.asarray(session.program.read(name))
            elapsed = session.timings.get((operation.phase, operation.layer))
            out.json(
                phase=operation.phase,
                layer=operation.layer,
                op=operation.kind,
                tensor=name,
                shape=array.shape,
                min=array.min(),
                mean=array.mean(dtype=np.float64),
                max=array.max(),
                zeros=np.mean(array == 0),
                elapsed_ms=elapsed,
            )


def _tell_training(session: Session, out: Output) -> None:
    """Show what every operation of a training step computed, phase by phase."""
    operations = session.program.operations
    _run_all(session)
    for phase in PHASES:
        rows = [operation for operation in operations if operation.phase == phase]
        if rows:
            out.heading(phase)
            out.show(operations_table(session, rows))


# -- keys ----------------------------------------------------------------------------------------


def _walk(session: Session, material: Material, out: Output, keys: str | None) -> None:
    """Let keys decide where to go."""
    label = "" if material.label is None else f", label {material.label}"
    out.line(f"{material.title}{label}", "bold")
    for done in material.steps:
        out.line(done, "dim")
    if material.x[0].ndim == 3:
        out.show(picture_text(material.x[0], out.console))
    show_stop(session, session.stop, out)
    if keys is None:
        out.line(HELP, "dim")
    for key in _from_keyboard() if keys is None else iter(keys):
        if key == "q":
            return
        _press(session, key, out)


def _from_keyboard() -> Iterator[str]:
    """Yield keys as they are pressed; Ctrl-C, Ctrl-D and a terminal that is gone leave."""
    while True:
        try:
            key = typer.getchar()
        except (EOFError, KeyboardInterrupt, OSError, TERMINAL_ERROR):
            return
        yield key


def _press(session: Session, key: str, out: Output) -> None:
    """Carry out a key; what cannot be done is said, and nothing has changed then."""
    commands: dict[str, Callable[[], Stop]] = {
        "n": session.step_over,
        "i": session.step_into,
        "o": session.step_out,
        "b": session.step_back,
        "r": functools.partial(_run, session),
    }
    if key == "s":
        out.line()
        show_stack(session, out)
    elif key in commands:
        try:
            show_stop(session, commands[key](), out)
        except EngineError as error:
            out.line(str(error), "red")
    else:
        out.line(HELP, "dim")


def _run(session: Session) -> Stop:
    """Run to a breakpoint, or to the end of the batch where there is none; Ctrl-C pauses."""
    with on_interrupt(session.pause):
        return session.resume(batches=None if session.breakpoints else 1)
