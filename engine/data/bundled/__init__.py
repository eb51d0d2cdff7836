"""The files that come with the product, found in a checkout as in an installed wheel."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from engine import arguments
from engine.errors import DataError, shown


def entry(name: str) -> Traversable:
    """Return the bundled file or folder `name`.

    Parameters
    ----------
    name : str
        For example ``"mnist"`` or ``"lenet5-mnist.safetensors"``.

    Returns
    -------
    importlib.resources.abc.Traversable
        Has `read_bytes()` and, for folders, `/`.

    Raises
    ------
    DataError
        If this installation does not have it.
    ConfigurationError
        If `name` is no name of a file.
    """
    inside = arguments.path("bundled data name", name, "the name of a bundled file")
    found = resources.files(__name__).joinpath(inside.as_posix())
    if not (found.is_file() or found.is_dir()):
        raise DataError(
            f"bundled data: {shown(name)} is missing from this installation ({found}); install "
            "again"
        )
    return found


def path(name: str) -> Path:
    """Return the place of a bundled file in the file system.

    Parameters
    ----------
    name : str
        As for `entry`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DataError
        If the file is missing, or the package lies in an archive and has no files of its own.
    """
    found = entry(name)
    if not isinstance(found, Path):
        raise DataError(
            f"bundled data: {name!r} lies inside an archive ({found}); unpack the installation"
        )
    return found
