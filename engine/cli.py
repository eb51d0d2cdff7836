"""The `convscope` command: finds the subcommand, and turns every error into one line.

Subcommands live in `engine.commands`; others, such as the window, join through the entry point
group ``convscope.commands``, so that the engine imports nothing of them.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Annotated, Any

import typer

from engine.commands.interrupt import ending_as_interrupt, ignore_endings
from engine.commands.output import Diverged, Interrupted, memory_text
from engine.commands.streams import guarded_streams, output_problem
from engine.errors import ConfigurationError, EngineError

NAME = "convscope"
GROUP = "convscope.commands"
DEFAULT = "app"
"""The subcommand that runs when none is named."""

COMMANDS = {
    "train": "engine.commands.train:train",
    "evaluate": "engine.commands.evaluate:evaluate",
    "predict": "engine.commands.predict:predict",
    "step": "engine.commands.step:step",
    "explain": "engine.commands.explain:explain",
    "info": "engine.commands.info:info",
    "export": "engine.commands.export:export",
    "compile": "engine.commands.compile:compile",
    "doctor": "engine.commands.doctor:doctor",
}
"""Where the engine's own subcommands are; a module is imported when its command is called."""

FLAGS = ("--json", "--debug")
SETTINGS = ("--device", "--seed", "--threads")

# Typer carries a copy of Click in some versions and depends on it in others; what both raise for a
# wrong command line is the class that Typer's BadParameter derives from.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

FAILED, WRONG_USE, DIVERGED, INTERRUPTED = 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        Exit status: 0; 1 for an unexpected error; 2 for wrong use, bad input, or output that could
        not be written; 3 after a training that ended in NaN; 130 after Ctrl-C, SIGTERM or a closed
        terminal. A reader who leaves, as `head` does, changes nothing.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with guarded_streams(), ending_as_interrupt(last=arguments is None):
        status = _run(given)
        problem = output_problem()
        return status if problem is None or status else _complain(problem, WRONG_USE)


def _run(given: list[str]) -> int:
    """Run the command line between streams that do not fail; return the exit status."""
    words = ordered(given)
    if words[0] not in COMMANDS:  # what joins from elsewhere need not know what is handled here
        words = [word for word in words if word != "--debug"]
    try:
        result = command_line(words[0])(words, prog_name=NAME, standalone_mode=False)
    except UsageError as error:
        return _complain(_usage_text(error), WRONG_USE)
    except EngineError as error:
        if "--debug" in given:
            traceback.print_exc()
        return _complain(str(error), WRONG_USE)
    except Interrupted as error:
        return _complain(str(error), INTERRUPTED)
    except Diverged as error:
        return _complain(str(error), DIVERGED)
    except (KeyboardInterrupt, typer.Abort):
        ignore_endings()
        return _complain("interrupted", INTERRUPTED)
    except Exception as error:
        return _unexpected(error, "--debug" in given)
    if result == INTERRUPTED:  # newer versions of Typer turn Ctrl-C into this status
        ignore_endings()
        return _complain("interrupted", INTERRUPTED)
    return result if isinstance(result, int) else 0


def _unexpected(error: Exception, debug: bool) -> int:
    """Say what happened in one line, or show where; return the exit status."""
    if debug:
        traceback.print_exc()
        return FAILED
    if isinstance(error, OSError) and error.filename is not None:
        return _complain(f"{error.filename}: {error.strerror}", WRONG_USE)
    if isinstance(error, MemoryError):
        return _complain(memory_text(error), WRONG_USE)
    text = f"unexpected {type(error).__name__}: {error}; add --debug to see where it comes from"
    return _complain(text, FAILED)


def ordered(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the subcommand first: what holds everywhere may stand before it."""
    before: list[str] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        name, has_value, _ = rest[0].partition("=")
        if name in FLAGS or (name in SETTINGS and has_value):
            before.append(rest.pop(0))
        elif name in SETTINGS and len(rest) > 1:
            before += [rest.pop(0), rest.pop(0)]
        else:
            break
    if not rest:
        return [DEFAULT, *before]
    return [rest[0], *before, *rest[1:]]


def command_line(first: str = "") -> Callable[..., Any]:
    """Return the command line as something to call with arguments.

    Parameters
    ----------
    first : str
        The subcommand that is asked for. If it exists, only that one is imported; otherwise all
        are, so that help and errors know them.
    """
    app = typer.Typer(
        name=NAME,
        help="Convolutional networks down to the single multiplication.",
        epilog="Without a command, the window opens.",
        pretty_exceptions_enable=False,
        no_args_is_help=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_everywhere)
    plugins = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    names = [*sorted(plugins), *COMMANDS]
    if first == DEFAULT and first not in names:
        raise ConfigurationError(
            f"{first}: the window is not installed here; run: pip install {NAME}"
        )
    for name in [first] if first in names else names:
        function = _joined(plugins[name]) if name in plugins else _imported(COMMANDS[name])
        app.command(name)(function)
    made: Callable[..., Any] = typer.main.get_command(app)
    return made


def _imported(place: str) -> Callable[..., None]:
    """Return the function at ``module:name``."""
    module, _, name = place.partition(":")
    function: Callable[..., None] = getattr(importlib.import_module(module), name)
    return function


def _joined(entry: metadata.EntryPoint) -> Callable[..., None]:
    """Return the function of an entry point, or one that says why there is none."""
    try:
        function: Callable[..., None] = entry.load()
    except ImportError as error:
        reason = str(error)

        def unavailable() -> None:
            """Cannot be started here."""
            raise ConfigurationError(f"{entry.name}: cannot be started ({reason})")

        return unavailable
    return function


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{NAME} {metadata.version(NAME)}")
        raise typer.Exit


def _everywhere(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Carry the options that need no subcommand."""


def _usage_text(error: Any) -> str:
    """Return what is wrong with the command line, and where its help is."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else NAME
    text = error.format_message().rstrip(".").replace("Value error, ", "")
    return f"{text}; see {path} --help"


def _complain(text: str, status: int) -> int:
    """Write one line to the error stream and return the exit status."""
    sys.stderr.write(f"{NAME}: {' '.join(text.split())}\n")
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
