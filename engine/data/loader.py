"""Batches of a data set in an order that any place of a run can be replayed from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from engine import arguments
from engine.config import Sealed
from engine.data import fitting, parts, transforms
from engine.data.dataset import Dataset
from engine.errors import ConfigurationError, DataError, ShapeError, UnknownName, shown
from engine.random import Streams, check_seed, generator
from engine.typing import Array

Transform = Callable[[Array, np.random.Generator], Array]
"""``transform(image, generator) -> image``; the image is (c, h, w), or any sample's own shape."""
Chain = tuple[Transform, ...]


class DataLoader(Sealed):
    """Batches of `dataset`, one epoch after the other.

    Every batch is a pure function of (seed, epoch, number): the order of an epoch comes from a
    generator of its own, and so does what a transform draws for a sample. `batch` therefore gives
    any batch at any time, and iterating changes nothing but `epoch`.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
        Samples a batch. The last batch of an epoch may be smaller.
    shuffle : bool
        Draw a new order for every epoch; otherwise the set's own.
    drop_last : bool
        Leave out a last batch that is not full.
    seed : int
        0 or greater.
    transform : sequence of callables, or dict of them
        Applied to each sample in turn, as ``transform(image, generator)``. Where the dataset has
        several inputs, by the name or number of the input that each sequence is for; what one
        draws is independent of what another does.

    Attributes
    ----------
    epoch : int
        The epoch that the next iteration yields, from 0; it can be assigned.
    transform : tuple of callables, or dict of such tuples

    Raises
    ------
    ConfigurationError
        If a setting lies outside its range, or no batch would be left.
    """

    assignable = ("epoch",)

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        transform: Transform | Sequence[Transform] | Mapping[Any, Any] = (),
    ) -> None:
        self.dataset = _checked_dataset("DataLoader", dataset)
        self.batch_size = _whole("batch_size", batch_size, 1, arguments.LARGEST)
        self.shuffle = arguments.flag("DataLoader shuffle", shuffle)
        self.drop_last = arguments.flag("DataLoader drop_last", drop_last)
        self.seed = check_seed(seed)
        self._chains = _chains(transform, dataset.x)
        self.epoch = 0
        self._order: tuple[int, Array] | None = None
        if not len(self):
            raise ConfigurationError(
                f"DataLoader: drop_last=True leaves no batch of {batch_size} from {len(dataset)} "
                "samples; use a smaller batch_size"
            )
        self.seal()

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration yields, from 0."""
        return self._epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._epoch = _whole("epoch", value)

    @property
    def transform(self) -> Any:
        """The transforms, in order; those of each input where there are several."""
        return self._chains.get(None, ()) if self._is_single else dict(self._chains)

    @property
    def _is_single(self) -> bool:
        return not parts.is_several(self.dataset.x)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Yield the batches of epoch `self.epoch`, and move on to the next epoch."""
        epoch = self.epoch
        self.epoch += 1
        return self.batches(epoch)

    def __repr__(self) -> str:
        chains = list(self.transform) if self._is_single else self.transform
        return (
            f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"drop_last={self.drop_last}, seed={self.seed}, transform={chains!r})"
        )

    @property
    def last_batch_size(self) -> int:
        """Samples in the last batch of an epoch; `batch_size` where all are full."""
        rest = len(self.dataset) % self.batch_size
        return rest if rest and not self.drop_last else self.batch_size

    @property
    def preprocessing(self) -> Any:
        """The transforms that draw nothing: what every other picture of the model needs too.

        Arranged as `transform`.
        """
        kept = {key: transforms.preprocessing(chain) for key, chain in self._chains.items()}
        return kept.get(None, ()) if self._is_single else kept

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing before training, beyond the notes of the dataset."""
        if self.last_batch_size > 1 or self.batch_size == 1:
            return ()
        return (
            f"the last batch of an epoch has one sample ({len(self.dataset):,} in batches of "
            f"{self.batch_size}): batch normalization of a single value per channel gives its bias "
            "and learns nothing; drop_last=True leaves that batch out",
        )

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, Any]]:
        """Return the batches of one epoch from number `start` on; `self.epoch` stays as it is.

        Parameters
        ----------
        epoch, start : int
            Both from 0. From the number of batches on there are none left.

        Yields
        ------
        x, y : array
            As `batch`.
        """
        epoch = _whole("epoch", epoch)
        start = _whole("start", start, most=len(self))
        return (self.batch(epoch, number) for number in range(start, len(self)))

    def epoch_order(self, epoch: int) -> Array:
        """Return the order in which an epoch visits the samples.

        Parameters
        ----------
        epoch : int
            From 0.

        Returns
        -------
        int64 array, shape (len(dataset),), read-only
            Sample numbers. With `drop_last` the end of it is not used.
        """
        epoch = _whole("epoch", epoch)
        # One tuple, read once and replaced as a whole: several threads may ask at the same time.
        remembered = self._order
        if remembered is not None and remembered[0] == epoch:
            return remembered[1]
        count = len(self.dataset)
        if self.shuffle:
            order = generator(self.seed, "shuffle", epoch).permutation(count)
        else:
            order = np.arange(count)
        order = order.astype(np.int64, copy=False)
        order.flags.writeable = False
        self._order = (epoch, order)
        return order

    def batch_indices(self, epoch: int, number: int) -> Array:
        """Return which samples make up a batch.

        Parameters
        ----------
        epoch, number : int
            The epoch, and the batch within it, both from 0.

        Returns
        -------
        int64 array, shape (samples,), read-only
        """
        number = _whole("batch number", number)
        if number >= len(self):
            raise DataError(
                f"DataLoader: no batch number {number}; an epoch has {len(self)} batches, numbered "
                f"from 0 to {len(self) - 1}"
            )
        start = number * self.batch_size
        return self.epoch_order(epoch)[start : start + self.batch_size]

    def batch(self, epoch: int, number: int) -> tuple[Any, Any]:
        """Return one batch: always the same arrays for the same place.

        Parameters
        ----------
        epoch, number : int
            The epoch, and the batch within it, both from 0.

        Returns
        -------
        x, y : array, shape (samples, ...), or tuple or dict of arrays
            Fresh copies in the dataset's dtypes, arranged as the dataset has them.

        Raises
        ------
        DataError
            If the epoch has no such batch.
        ShapeError
            If a transform gives samples of different shapes.
        DtypeError
            If it gives no numbers, or numbers that the data set's dtype has no place for.
        """
        indices = self.batch_indices(epoch, number)
        x, y = self.dataset[indices]
        if self._is_single:
            chain = self._chains.get(None, ())
            return (self._transformed(x, chain, indices, epoch) if chain else x), y
        changed = {
            key: self._transformed(x[key], chain, indices, epoch, key)
            for key, chain in self._chains.items()
            if chain
        }
        if isinstance(x, tuple):
            return tuple(changed.get(place, part) for place, part in enumerate(x)), y
        return {**x, **changed}, y

    def _transformed(
        self, samples: Array, chain: Chain, indices: Array, epoch: int, *keys: int | str
    ) -> Array:
        # Streams are numbered by the sample, not by its place in the batch: what a sample looks
        # like in an epoch does not depend on the batch size.
        streams = Streams(self.seed, "augmentation", epoch, *keys)
        results: Array | None = None
        for place, index in enumerate(indices.tolist()):
            sample, stream = samples[place], streams.at(index)
            for transform in chain:
                sample = transform(sample, stream)
            result = fitting.checked_result(f"DataLoader: sample {index}", sample, samples.dtype)
            if results is None:
                results = np.empty((len(samples), *result.shape), samples.dtype)
            if result.shape != results.shape[1:]:
                raise ShapeError(
                    f"DataLoader: the transforms gave sample {index} shape {result.shape}, but "
                    f"the others of its batch {results.shape[1:]}; a batch needs one shape"
                )
            results[place] = result
        return samples if results is None else results

    def config(self) -> dict[str, Any]:
        """Return the settings as JSON-able values, to go into a run file.

        Returns
        -------
        dict
            ``batch_size shuffle drop_last seed transform samples fingerprint classes``; the last
            three describe the dataset.
        """
        return {
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "seed": self.seed,
            "transform": self._transform_config(),
            "samples": len(self.dataset),
            "fingerprint": self.dataset.fingerprint(),
            "classes": None if self.dataset.classes is None else list(self.dataset.classes),
        }

    def _transform_config(self) -> Any:
        lists = {
            key: [transforms.to_config(transform) for transform in chain]
            for key, chain in self._chains.items()
        }
        if self._is_single:
            return lists.get(None, [])
        return {str(key): entries for key, entries in lists.items()}  # JSON has no other keys

    @classmethod
    def from_config(cls, dataset: Dataset, config: Mapping[str, Any]) -> DataLoader:
        """Build the loader that `config` describes.

        Parameters
        ----------
        dataset : Dataset
            The data the settings were made for.
        config : dict
            From `config()`.

        Returns
        -------
        DataLoader
            At epoch 0.

        Raises
        ------
        DataError
            If the dataset is another one.
        ConfigurationError
            If the settings are incomplete, or contain a transform that is not one of
            `engine.data.transforms`.
        """
        where = "DataLoader.from_config config"
        expected = "the dict that a loader's config() gives"
        arguments.instance(where, config, Mapping, expected)
        dataset = _checked_dataset("DataLoader.from_config", dataset)
        try:
            settings = {
                name: config[name] for name in ("batch_size", "shuffle", "drop_last", "seed")
            }
            fingerprint, descriptions = config["fingerprint"], config["transform"]
        except KeyError as error:
            raise ConfigurationError(
                f"{where}: the settings lack {error.args[0]!r}; there are: "
                f"{parts.listed(list(config)) or 'none'}"
            ) from error
        if dataset.fingerprint() != fingerprint:
            raise DataError(
                f"DataLoader: the settings were made for other data (fingerprint "
                f"{shown(fingerprint)}, received {dataset.fingerprint()}); load the data the run "
                "was made with"
            )

        def chain(entries: Any) -> list[Transform]:
            given = arguments.ordered(f"{where}['transform']", entries, "a list of transforms")
            return [transforms.from_config(entry) for entry in given]

        if not isinstance(descriptions, Mapping):
            return cls(dataset, **settings, transform=chain(descriptions))
        names = {str(key): key for key in parts.keys(dataset.x)}
        chains = {names.get(key, key): chain(entries) for key, entries in descriptions.items()}
        return cls(dataset, **settings, transform=chains)


def _checked_dataset(where: str, dataset: Any) -> Dataset:
    if not isinstance(dataset, Dataset):
        raise ConfigurationError(
            f"{where} dataset: expected a Dataset, received {type(dataset).__name__}; "
            "make one with Dataset(x, y)"
        )
    return dataset


def _whole(name: str, value: Any, least: int = 0, most: int = arguments.MOST_STEPS) -> int:
    if not arguments.is_whole(value):
        expected = "as a whole number"
    elif value < least:
        expected = f"of at least {least}"
    elif value > most:
        expected = f"of at most {most}"
    else:
        return int(value)
    raise arguments.refusal("DataLoader", f"{name} {expected}", value)


def _chains(
    transform: Transform | Sequence[Transform] | Mapping[Any, Any], x: Any
) -> dict[Any, Chain]:
    """Return the transforms of each input, by its name or number; None is the only one."""
    names = parts.keys(x)
    if not isinstance(transform, Mapping):
        chain = fitting.checked_chain("DataLoader", transform)
        if chain and len(names) > 1:
            raise ConfigurationError(
                f"DataLoader: the dataset has {len(names)} inputs, so each transform needs to know "
                f"which one it is for: transform={{{names[0]!r}: [...]}}; there are: "
                f"{', '.join(repr(name) for name in names)}"
            )
        return {names[0]: chain} if chain else {}
    if names == (None,):
        raise ConfigurationError(
            "DataLoader: the dataset has one input without a name; give transform as a list"
        )
    for name in transform:
        if name not in names:
            raise UnknownName("input of the dataset", name, map(str, names))
    return {name: fitting.checked_chain("DataLoader", chain) for name, chain in transform.items()}
