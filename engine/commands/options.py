"""Options and arguments that several subcommands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from engine.data.preparing import Preparation
from engine.errors import ConfigurationError

BUNDLED = "bundled"
"""What stands in place of a run file for the trained net that comes with the product."""

PANEL = "Everywhere"


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Convolution(StrEnum):
    """How to convolve; see `engine.Model`."""

    direct = "direct"
    winograd = "winograd"
    winograd2 = "winograd2"
    winograd4 = "winograd4"


DeviceOption = Annotated[
    Device,
    typer.Option(help="Where to compute; auto takes a GPU if there is one.", rich_help_panel=PANEL),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        min=0, help="Of everything random: weights, order, dropout.", rich_help_panel=PANEL
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="CPU threads; all by default. No result depends on it.", rich_help_panel=PANEL
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object a line, for scripts.", rich_help_panel=PANEL
    ),
]
DebugOption = Annotated[
    bool,
    typer.Option(
        "--debug", help="Show the traceback of an unexpected error.", rich_help_panel=PANEL
    ),
]

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help=f"A run file, or '{BUNDLED}' for the LeNet-5 inside.")
]
DataOption = Annotated[
    str,
    typer.Option(
        metavar="mnist|PATH",
        help="MNIST; idx files, pictures in class folders, an npz file, a table (csv, tsv), CIFAR.",
    ),
]
TABLES = "Tables"
LabelOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="The label's column by number from 0, or by name; a column called label, or the last.",
        rich_help_panel=TABLES,
    ),
]
DelimiterOption = Annotated[
    str | None,
    typer.Option(metavar="SIGN", help="Between columns: , ; tab | space.", rich_help_panel=TABLES),
]
DecimalOption = Annotated[
    str | None,
    typer.Option(metavar="SIGN", help="Before the decimals: . or ,", rich_help_panel=TABLES),
]
HeaderOption = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether the first row holds names.",
        rich_help_panel=TABLES,
    ),
]
PictureOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A picture instead of a sample of the data.")
]
PreparationOption = Annotated[
    Preparation,
    typer.Option(
        help="digit: as MNIST's digits; plain: resample only; auto: as the run records it."
    ),
]
SampleOption = Annotated[int, typer.Option(min=0, help="Number of the sample in the test set.")]


def parse_index(text: str, option: str = "--index") -> tuple[int, ...]:
    """Return the numbers of ``"0,5,7,4"``.

    Raises
    ------
    ConfigurationError
        If the text is anything else.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(
            f"{option}: expected whole numbers with commas such as 0,5,7,4, received {text!r}"
        ) from None


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) of ``"28x28"``.

    Raises
    ------
    ConfigurationError
        If the text is anything else.
    """
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(
        part.isascii() and part.isdigit() and int(part) for part in parts
    ):
        raise ConfigurationError(
            f"--image-size: expected HEIGHTxWIDTH in pixels such as 28x28, received {text!r}"
        )
    return int(parts[0]), int(parts[1])
