"""Going on with a run: with the data and the batches it was made with, or not at all by mistake."""

from __future__ import annotations

from engine import Scheduler
from engine.data import DataLoader, transforms
from engine.errors import ConfigurationError
from engine.schedules import CosineDecay


def recorded_batch(scheduler: Scheduler) -> int | None:
    """Return the batch size that a run was trained with, or None if it is not recorded."""
    size = scheduler.record.settings.get("batch_size")
    return size if isinstance(size, int) and size > 0 else None


def recorded_size(scheduler: Scheduler) -> tuple[int, int] | None:
    """Return height and width of the pictures of a run, or None if they are not recorded."""
    look = scheduler.record.look
    return (look.shape[1], look.shape[2]) if look is not None and len(look.shape) == 3 else None


def with_recorded_transforms(scheduler: Scheduler, loader: DataLoader) -> DataLoader:
    """Return a loader whose samples go through what the run's went through.

    Raises
    ------
    ConfigurationError
        If the run was trained with a function that its file can only name.
    """
    settings = scheduler.record.settings
    written = settings.get("transform") or []
    entries = written if isinstance(written, list) else []
    names = [str(one.get("name")) for one in entries]
    unknown = [name for name in names if name not in transforms.REGISTRY]
    if unknown or (written and not entries):
        raise ConfigurationError(
            f"--resume: this run was trained with transforms that its file can only name "
            f"({', '.join(unknown) or written}); go on with it in a script"
        )
    return DataLoader(
        loader.dataset,
        loader.batch_size,
        shuffle=bool(settings.get("shuffle", loader.shuffle)),
        drop_last=bool(settings.get("drop_last", loader.drop_last)),
        seed=loader.seed,
        transform=[transforms.from_config(one) for one in entries],
    )


def check_same(scheduler: Scheduler, loader: DataLoader, accept: bool, run: str) -> list[str]:
    """Refuse to go on with other data or batches than before, unless that is asked for.

    Returns
    -------
    list of str
        What the reader should know.

    Raises
    ------
    ConfigurationError
        If something differs; the text names each difference.
    """
    if scheduler.record.newest is None:
        return _check_batches(scheduler, loader, accept, run)
    found = scheduler.record.differences(loader)
    if not found:
        return []
    if not accept:
        raise ConfigurationError(
            f"{run}: this run was trained with something else ({'; '.join(found)}); give what it "
            "was trained with, or add --accept-changes to go on with these data and batches"
        )
    told = f"goes on with something else than before: {'; '.join(found)}"
    return [told, *_begin_again(scheduler)]


def _check_batches(scheduler: Scheduler, loader: DataLoader, accept: bool, run: str) -> list[str]:
    """Compare what there is to compare for a run of earlier versions."""
    batches, epoch = len(loader), scheduler.epoch
    before = (scheduler.global_step - scheduler.batch) / epoch if epoch else batches
    rate = scheduler.optimizer.learning_rate
    planned = rate.steps if isinstance(rate, CosineDecay) else None
    note = "what this run was trained with is not recorded: only the number of batches is compared"
    if before == batches and scheduler.batch <= batches and not (planned or batches) % batches:
        return [note]
    if accept:
        return [note, *_begin_again(scheduler)]
    seen = f"{before:g}" if epoch else "others"
    raise ConfigurationError(
        f"{run}: this run has seen {seen} batches in an epoch, these data and --batch-size "
        f"{loader.batch_size} make {batches}; give what it was trained with, or add "
        "--accept-changes"
    )


def _begin_again(scheduler: Scheduler) -> list[str]:
    """Leave an epoch that other batches cannot finish."""
    if not scheduler.batch:
        return []
    scheduler.batch = 0
    return [f"epoch {scheduler.epoch} begins again"]


def epochs_in_all(scheduler: Scheduler, loader: DataLoader, epochs: int | None, run: str) -> int:
    """Return how many epochs a run shall have; by default what is left of its own plan.

    The learning rate goes on falling to the new end if that is later than planned.

    Raises
    ------
    ConfigurationError
        If there is no plan, or nothing left to do.
    """
    batches, rate = len(loader), scheduler.optimizer.learning_rate
    total = epochs
    if total is None and isinstance(rate, CosineDecay):
        left = max(rate.steps - scheduler.global_step, 0)
        total = scheduler.epoch + -(-(left + scheduler.batch) // batches)
    if total is None:
        raise ConfigurationError(
            f"--epochs: how many epochs {run} shall have in all is not known; give it"
        )
    if total <= scheduler.epoch:
        raise ConfigurationError(
            f"--epochs: {run} has been trained for {scheduler.epoch} epochs already; expected more "
            f"than that in all, received {total}"
        )
    end = scheduler.global_step + (total - scheduler.epoch) * batches - scheduler.batch
    if isinstance(rate, CosineDecay) and end > rate.steps:
        scheduler.optimizer.learning_rate = CosineDecay(rate.start, end, rate.end)
    return total
