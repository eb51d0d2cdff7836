"""What a run was made with: its classes, the batches it saw, what its pictures go through.

A record is plain data beside the scheduler. `Scheduler.fit` fills it from the loader, run files
keep it, and every place that is given pictures or labels later (`evaluate`, the command line, the
window) goes by it: the same picture means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.data import parts, transforms
from engine.data.comparing import differences, plain, settings_of, shown
from engine.data.parts import listed
from engine.data.preparing import Preparation, Prepared, prepare_picture
from engine.data.sources import InOrder
from engine.errors import (
    ConfigurationError,
    DataError,
    EngineError,
    FormatError,
    ShapeError,
    StateError,
)
from engine.pictures import Look, look_of
from engine.typing import Array, Shape

Chain = tuple[Callable[..., Any], ...]
Chains = dict[Any, Chain]
"""What the samples of each input go through; the one input of most nets is called None."""

NOT_RECORDED = "not recorded"
CHAPTERS_KEPT = 16


@dataclass(frozen=True)
class Chapter:
    """A stretch of a run with one loader.

    Parameters
    ----------
    first_step : int
        The step it began with, from 0.
    settings : dict
        What the loader says of itself (`DataLoader.config`), JSON-able.
    preprocessing : list of dict, or dict of such lists
        Those of its transforms that draw nothing, as data: what every other picture needs too. A
        dict by name or number where the net has several inputs.
    look : Look or None
        How the samples look before any transform; None where they are no pictures.
    """

    first_step: int
    settings: dict[str, Any]
    preprocessing: Any = ()
    look: Look | None = None


@dataclass(frozen=True)
class RunRecord:
    """What is known of how a run was made; empty for a run of earlier versions.

    Parameters
    ----------
    chapters : tuple of Chapter
        The newest last. Of a run with very many, those in the middle are left out.
    chains : dict of tuples of callables, or None
        The preprocessing of the newest chapter, ready to be applied; None where the file names a
        function of the user's that cannot be made again.
    """

    chapters: tuple[Chapter, ...] = ()
    chains: Chains | None = field(default_factory=dict, compare=False, repr=False)

    # -- what is known -----------------------------------------------------------------------

    @property
    def newest(self) -> Chapter | None:
        """The chapter of the newest loader; None if nothing is recorded."""
        return self.chapters[-1] if self.chapters else None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the newest loader; empty if none is recorded."""
        return self.chapters[-1].settings if self.chapters else {}

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The name of each class number, or None if they are not recorded."""
        names = self.settings.get("classes")
        return None if names is None else tuple(names)

    @property
    def preprocessing(self) -> Any:
        """What every picture goes through before the net, as data; empty if nothing."""
        return self.chapters[-1].preprocessing if self.chapters else []

    @property
    def look(self) -> Look | None:
        """How the pictures looked that the run was trained on, before any transform."""
        return self.chapters[-1].look if self.chapters else None

    def name_of(self, number: int) -> str | None:
        """Return the name of a class, or None if it has none."""
        names = self.classes
        return names[number] if names is not None and 0 <= number < len(names) else None

    # -- loaders -----------------------------------------------------------------------------

    def continued(self, loader: Any, step: int) -> RunRecord:
        """Return the record of a run that goes on with a loader; itself if that is the same.

        Parameters
        ----------
        loader : DataLoader, or anything with ``batch`` and a length
        step : int
            The step that is made next.
        """
        settings, chains = settings_of(loader), chains_of(loader)
        newest = self.newest
        if newest is not None and newest.settings == settings:
            return self if self.chains is not None else replace(self, chains=chains)
        dataset = getattr(loader, "dataset", None)
        look = look_of(getattr(dataset, "x", None))
        chapter = Chapter(step, settings, described(chains), look)
        # A chapter that made no step yet was only meant to come: weights that begin anew.
        before = tuple(one for one in self.chapters if one.first_step < step)
        chapters = (*before, chapter)
        if len(chapters) > CHAPTERS_KEPT:
            chapters = (chapters[0], *chapters[-CHAPTERS_KEPT + 1 :])
        return RunRecord(chapters, chains)

    def differences(self, loader: Any) -> list[str]:
        """Return in words what a loader has that the newest one had not; empty if it is the same.

        What is not recorded differs from nothing.
        """
        return differences(self.settings, settings_of(loader))

    # -- pictures and labels -----------------------------------------------------------------

    def prepared(self, x: Any) -> Any:
        """Return samples as the net takes them: through everything that draws nothing.

        Parameters
        ----------
        x : array, shape (n, c, h, w), or tuple or dict of arrays
            As a Dataset has them; pictures in [0, 1].

        Raises
        ------
        StateError
            If a function of the user's belongs to it, which a file can only name.
        """
        if self.chains is None:
            raise StateError(
                f"this run's pictures go through {shown(self.preprocessing)}, and its file can "
                "only name what is not from engine.data.transforms; go on training with such a "
                "loader, or give dataclasses.replace(scheduler.record, chains={None: (...)})"
            )
        chains = {key: chain for key, chain in self.chains.items() if chain}
        if not chains:
            return x
        if not isinstance(x, (tuple, dict)):
            return transforms.applied(chains.get(None, ()), np.asarray(x))
        done = {key: transforms.applied(chains.get(key, ()), x[key]) for key in parts.keys(x)}
        return done if isinstance(x, dict) else tuple(done.values())

    def picture(
        self,
        picture: Any,
        shape: Shape,
        how: Preparation = Preparation.auto,
        name: str = "picture",
    ) -> Prepared:
        """Return a picture as the net of this run takes it.

        Parameters
        ----------
        picture, how, name
            As `engine.data.preparing.prepare_picture` takes them.
        shape : (c, h, w)
            What the net takes.

        Raises
        ------
        EngineError
            If it cannot be brought to that.
        """
        ready = prepare_picture(picture, shape, self.look, how, name)
        x, steps = self.prepared(ready.x[np.newaxis])[0], ready.steps
        if self.preprocessing:
            steps = (*steps, shown(self.preprocessing))
        if x.shape != tuple(shape):
            raise ShapeError(
                f"{name}: expected {tuple(shape)}, what the net takes, received {x.shape} after "
                f"{', '.join(steps)}; the run was trained on cut-outs of its pictures"
            )
        return Prepared(x, steps)

    def labels(self, y: Array, classes: Sequence[str] | None, where: str = "the data") -> Array:
        """Return class numbers of other data as this run's numbers, matched by name.

        Parameters
        ----------
        y : array
        classes : sequence of str or None
            Their names. Without names on one of the two sides, numbers stay as they are.
        where : str
            For the error.

        Raises
        ------
        DataError
            If a class that occurs is none of the run's.
        """
        mine = self.classes
        if mine is None or classes is None or tuple(classes) == mine[: len(classes)]:
            return y
        if not isinstance(y, np.ndarray) or y.ndim != 1 or y.dtype.kind not in "iu":
            return y
        places = {name: number for number, name in enumerate(mine)}
        unknown = [classes[k] for k in np.unique(y) if 0 <= k < len(classes)]
        unknown = [name for name in unknown if name not in places]
        if unknown:
            raise DataError(
                f"{where}: expected classes of this run ({listed(mine)}), received "
                f"{listed(unknown)}; what the run does not know cannot be judged"
            )
        # A name without a sample may be foreign: its number never occurs.
        table = np.array([places.get(name, -1) for name in classes], np.int64)
        # Numbers beyond the names, and negative ones to ignore, mean what they mean everywhere.
        named = (y >= 0) & (y < len(table))
        return np.where(named, table[np.where(named, y, 0)], y)

    def missing(self, y: Array, classes: Sequence[str] | None) -> tuple[str, ...]:
        """Return the run's classes of which other data, matched by name, have no sample."""
        mine = self.classes
        if mine is None or classes is None or y.ndim != 1:
            return ()
        present = set(np.unique(self.labels(y, classes)).tolist())
        return tuple(name for number, name in enumerate(mine) if number not in present)

    def seen(self, source: Any, where: str = "the data") -> Any:
        """Return batches as this run takes them: preprocessed, labels matched by name.

        Parameters
        ----------
        source : loader
            A data set in order (`engine.data.sources.InOrder`) is preprocessed; a loader does that
            by itself, and must do it as the run's own.
        where : str
            For the error.

        Raises
        ------
        DataError
            If there is a class that the run does not know.
        ConfigurationError
            If a loader prepares its samples in another way.
        """
        dataset = source.dataset
        names = getattr(dataset, "classes", None)
        same = self.labels(dataset.y, names, where) is dataset.y
        is_plain = isinstance(source, InOrder)
        if not is_plain and self.chapters and hasattr(source, "preprocessing"):
            theirs = described(chains_of(source))
            if theirs != self.preprocessing:
                raise ConfigurationError(
                    f"{where}: expected samples prepared as this run's "
                    f"({shown(self.preprocessing)}), this loader's go through {shown(theirs)}; "
                    "give it the same transforms, or give the Dataset, which gets them"
                )
        if same and (not is_plain or self.chains == {}):
            return source
        return Seen(self, source, None if same else names, is_plain)

    # -- as data -----------------------------------------------------------------------------

    def to_data(self) -> list[dict[str, Any]]:
        """Return the record for a run file."""
        return [
            {
                "first_step": chapter.first_step,
                "settings": chapter.settings,
                "preprocessing": chapter.preprocessing,
                "look": None if chapter.look is None else chapter.look.to_data(),
            }
            for chapter in self.chapters
        ]

    @classmethod
    def from_data(cls, data: Any) -> RunRecord:
        """Return the record that `to_data` wrote.

        Raises
        ------
        FormatError
            If it makes no sense.
        """
        if not isinstance(data, list):
            raise FormatError("run file: expected a list of what the run was made with")
        record = cls(tuple(_chapter(entry) for entry in data))
        return replace(record, chains=_built(record.preprocessing))


class Seen:
    """The batches of a loader as a run takes them.

    Parameters
    ----------
    record : RunRecord
    source : loader
    classes : sequence of str or None
        The names to match labels by.
    prepares : bool
        Whether samples go through the preprocessing of the run.
    """

    def __init__(
        self, record: RunRecord, source: Any, classes: Sequence[str] | None, prepares: bool
    ) -> None:
        self.dataset = source.dataset
        self._record, self._source = record, source
        self._classes, self._prepares = classes, prepares

    def __len__(self) -> int:
        return len(self._source)

    def batch(self, epoch: int, number: int) -> tuple[Any, Any]:
        """Return one batch."""
        x, y = self._source.batch(epoch, number)
        x = self._record.prepared(x) if self._prepares else x
        return x, self._record.labels(y, self._classes)


def chains_of(loader: Any) -> Chains:
    """Return what a loader's samples go through that draws nothing."""
    given = getattr(loader, "preprocessing", ())
    chains = dict(given) if isinstance(given, Mapping) else {None: given}
    return {key: tuple(chain) for key, chain in chains.items() if chain}


def described(chains: Chains) -> Any:
    """Return preprocessing as data: a list for one input, else a dict of lists."""
    data = {key: [transforms.to_config(one) for one in chain] for key, chain in chains.items()}
    if not data or None in data:
        return plain(data.get(None, []))
    return plain({str(key): entries for key, entries in data.items()})


def _built(data: Any) -> Chains | None:
    """Return preprocessing ready to be applied; None if it cannot be made."""
    entries = data if isinstance(data, dict) else {None: data}
    try:
        return {
            int(key) if isinstance(key, str) and key.isdecimal() else key: tuple(
                transforms.from_config(one) for one in chain
            )
            for key, chain in entries.items()
            if chain
        }
    except EngineError:  # a function of the user's, or a transform of a later version
        return None


def _chapter(data: Any) -> Chapter:
    try:
        settings, preprocessing, look = data["settings"], data["preprocessing"], data["look"]
        several = isinstance(preprocessing, dict)
        chains = list(preprocessing.values()) if several else [preprocessing]
        good = isinstance(settings, dict) and all(
            isinstance(chain, list) and all(isinstance(one, dict) for one in chain)
            for chain in chains
        )
        names = settings.get("classes")
        if not good or (names is not None and not all(isinstance(name, str) for name in names)):
            raise TypeError("a setting is of the wrong kind")
        return Chapter(
            int(data["first_step"]),
            settings,
            preprocessing,
            None if look is None else Look.from_data(look),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise FormatError(
            f"run file: what the run was made with is damaged ({type(error).__name__}: {error})"
        ) from error


# -- for the reader ------------------------------------------------------------------------------


def classes_text(record: RunRecord) -> str:
    """Return the names of the classes in a line."""
    names = record.classes
    if names is None:
        return NOT_RECORDED if record.newest is None else "without names"
    return f"{len(names)}: {listed(names)}"


def pictures_text(record: RunRecord) -> str:
    """Return in a line how pictures are brought to the net."""
    look = record.look
    if record.newest is None:
        return NOT_RECORDED
    told = []
    if look is not None:
        channels, height, width = look.shape
        told.append(f"{width}×{height}, {channels} channel{'s' * (channels != 1)}")
        told.append(f"values {look.low:.4g} to {look.high:.4g}")
        if look.centred:
            told.append("cut out and centred as MNIST's digits")
    if record.preprocessing:
        told.append(f"then {shown(record.preprocessing)}")
    return ", ".join(told) or "no pictures"


def loader_text(record: RunRecord) -> str:
    """Return in a line which samples came in which order."""
    said = record.settings
    if "samples" not in said:
        return NOT_RECORDED
    told = [f"{said['samples']:,} samples in batches of {said.get('batch_size')}"]
    told.append(f"shuffled with seed {said.get('seed')}" if said.get("shuffle") else "in order")
    if said.get("drop_last"):
        told.append("full batches only")
    if said.get("transform"):
        told.append(shown(said["transform"]))
    told.append(f"fingerprint {str(said.get('fingerprint'))[:8]}")
    if len(record.chapters) > 1:
        told.append(f"since step {record.chapters[-1].first_step:,}, others before")
    return ", ".join(told)
