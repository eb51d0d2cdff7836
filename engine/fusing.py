"""Plans for running many operations at once: which launches become one, with the same bits.

A plan is a list of launches made from the list that a program was lowered to. Nothing here knows a
device; a backend says whether it has the kernels (`Backend.fuses`), and which buffers lie side by
side.

- `whole_run` is for programs whose every tensor can be looked at afterwards: a training step, a
  forward pass. All tensors are filled, exactly as step by step.
- `collapsed` is for predictions, where only some tensors are wanted: a convolution with its batch
  normalisation, residual sum and ReLU becomes one launch, and what lay between is never stored.
  Weights are used as they are, so results have the bits of the single launches and a changed
  parameter needs no refresh. (Folding the normalisation into the weights would round differently.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from engine.device import Arena, Backend, Buffer, Launch
from engine.kernels.settings import Epsilon, FusedDense, FusedTiles, FusedWindow

LATE = ("batch_norm_running",)
"""Kernels whose results nobody reads before the next step: they may wait for the update."""
UPDATES = ("sgd_update", "adam_update")
CONVOLUTIONS = ("conv2d_forward", "winograd_convolve")
PRODUCTS = (*CONVOLUTIONS, "dense_forward")
"""Kernels that can do what follows them as well."""
KERNELS = (
    "conv2d_fused_forward",
    "dense_fused_forward",
    "inverse_deviation",
    "winograd_fused_forward",
)
"""Kernels that only plans use."""


@dataclass(frozen=True)
class Plan:
    """Launches to run in place of a program's own.

    Parameters
    ----------
    launches : list of Launch
    harmless : int
        How many of them, from the first, change nothing that outlives the batch.
    """

    launches: list[Launch]
    harmless: int


def whole_run(
    launches: Sequence[Launch], changing: Iterable[tuple[int, int]], backend: Backend
) -> Plan:
    """Plan a run of a whole program after which every tensor holds what it should.

    Parameters
    ----------
    launches : sequence of Launch
    changing : iterable of (start, stop)
        The launches of each operation that changes what outlives the batch.
    backend : Backend
    """
    if not backend.fuses:
        return Plan(list(launches), 0)
    count = len(launches)
    updates = next((i for i in range(count) if launches[i].kernel in UPDATES), count)
    late = [one for one in launches[:updates] if one.kernel in LATE]
    body = with_relu([one for one in launches[:updates] if one.kernel not in LATE])
    # An operation that changes state by other means makes every interruption harmful.
    known = all(
        any(one.kernel in (*LATE, *UPDATES) for one in launches[start:stop])
        for start, stop in changing
    )
    planned = [*body, *late, *merged(launches[updates:], backend)]
    return Plan(planned, len(body) if known else 0)


def with_relu(launches: Sequence[Launch]) -> list[Launch]:
    """Let convolutions and products fill the ReLU's output too; their own output is kept."""
    planned: list[Launch] = []
    for launch in launches:
        product = planned[-1] if planned else None
        if (
            product is not None
            and launch.kernel == "relu_forward"
            and product.kernel in PRODUCTS
            and _same(launch.buffers[0], product.buffers[-1])
        ):
            before, output = product.buffers[-1], launch.buffers[1]
            if output.shape != before.shape:
                output = output.reshaped(before.shape)
            planned[-1] = _product(product, output, before=before, relu=True)
        else:
            planned.append(launch)
    return planned


def merged(launches: Sequence[Launch], backend: Backend) -> list[Launch]:
    """Update parameters that lie side by side in one launch."""
    groups: list[list[Launch]] = []
    for launch in launches:
        if groups and _continues(groups[-1][-1], launch, backend):
            groups[-1].append(launch)
        else:
            groups.append([launch])
    planned = []
    for group in groups:
        if len(group) == 1:
            planned += group
            continue
        columns = list(zip(*(one.buffers[:-1] for one in group), strict=True))
        whole = [backend.joined(column) for column in columns]
        if any(b is None or b.size != whole[0].size for b in whole if whole[0] is not None):
            planned += group
            continue
        buffers = [b for b in whole if b is not None]
        planned.append(replace(group[0], buffers=(*buffers, group[0].buffers[-1])))
    return planned


def _continues(launch: Launch, following: Launch, backend: Backend) -> bool:
    """Return whether two updates do the same to memory that lies side by side."""
    return (
        launch.kernel in UPDATES
        and (launch.kernel, launch.settings) == (following.kernel, following.settings)
        and launch.buffers[-1] is following.buffers[-1]
        and all(
            backend.joined(pair) is not None
            for pair in zip(launch.buffers[:-1], following.buffers[:-1], strict=True)
        )
    )


def _same(a: Buffer, b: Buffer) -> bool:
    return a.root is b.root and a.size == b.size


def _product(
    launch: Launch,
    output: Buffer,
    before: Buffer | None = None,
    norm: Sequence[Buffer] = (),
    residual: Buffer | None = None,
    relu: bool = False,
) -> Launch:
    """Return a convolution or matrix product together with what follows it.

    Parameters
    ----------
    launch : Launch
        Of one of `PRODUCTS`.
    output : Buffer
        What the last of the steps fills.
    before : Buffer or None
        Where to keep what goes into the ReLU.
    norm : sequence of Buffer
        Mean, 1 / deviation, scale and shift; empty for none.
    residual : Buffer or None
    relu : bool
    """
    first, bias, keep = launch.buffers[:3], launch.buffers[2], before is not None
    # What the flags switch off is not looked at: any buffer of the right rank will do.
    last = (before or output, output)
    if launch.kernel == "dense_forward":
        has_bias = bias.size == output.shape[1]
        product = FusedDense(int(has_bias), int(keep), int(relu))
        return Launch("dense_fused_forward", (*first, *last), product, launch.work)
    flags = [int(flag) for flag in (bool(norm), residual is not None, keep, relu)]
    buffers = (*first, *(tuple(norm) or (bias,) * 4), residual or output, *last)
    if launch.kernel == "winograd_convolve":
        tiles = FusedTiles(*launch.settings, *flags)
        return Launch("winograd_fused_forward", buffers, tiles, launch.work)
    window = FusedWindow(*launch.settings, *flags)
    return Launch("conv2d_fused_forward", buffers, window, launch.work)


# -- predictions -------------------------------------------------------------------------------


def collapsed(launches: Sequence[Launch], wanted: Collection[Buffer], arena: Arena) -> list[Launch]:
    """Plan a run after which only the `wanted` tensors must hold what they should.

    Parameters
    ----------
    launches : sequence of Launch
        Of a forward pass with running statistics, every tensor written once.
    wanted : collection of Buffer
    arena : Arena
        For the small memory that plans need; not committed yet.
    """
    outputs = {buffer.root for buffer in wanted}
    readers = _readers(launches)
    planned: list[Launch | None] = list(launches)
    inverses: list[Launch] = []
    for first, launch in enumerate(launches):
        if launch.kernel not in PRODUCTS:
            continue
        chain = _Chain(launch, first)
        while chain.output.root not in outputs:
            using = readers.get(chain.output.root, [])
            if len(using) != 1 or planned[using[0]] is not launches[using[0]]:
                break
            if not chain.take(launches[using[0]], using[0]):
                break
        if len(chain.places) == 1:
            continue
        norm: tuple[Buffer, ...] = ()
        if chain.norm is not None:
            mean, variance, scale, shift = chain.norm.buffers[1:5]
            inverse = arena.request(f"{variance.name}.inverse", variance.shape, variance.dtype)
            settings = Epsilon(chain.norm.settings.epsilon)
            inverses.append(Launch("inverse_deviation", (variance, inverse), settings))
            norm = (mean, inverse, scale, shift)
        output = chain.output
        if output.shape != launch.buffers[-1].shape:
            output = output.reshaped(launch.buffers[-1].shape)
        for place in chain.places:
            planned[place] = None
        # At the place of the last step all operands are there.
        planned[chain.places[-1]] = _product(launch, output, None, norm, chain.residual, chain.relu)
    return [*inverses, *(one for one in planned if one is not None)]


class _Chain:
    """A product and the steps after it that one launch can do."""

    def __init__(self, launch: Launch, place: int) -> None:
        self.kernel, self.output, self.places = launch.kernel, launch.buffers[-1], [place]
        self.norm: Launch | None = None
        self.residual: Buffer | None = None
        self.relu = False

    def take(self, launch: Launch, place: int) -> bool:
        """Add a step if it comes in the kernel's order; return whether it did."""
        conv, summed = self.kernel in CONVOLUTIONS, self.residual is not None
        if self.relu:
            return False
        if launch.kernel == "relu_forward" and _same(launch.buffers[0], self.output):
            self.relu = True
        elif conv and launch.kernel == "batch_norm_forward" and not summed and self.norm is None:
            self.norm = launch
        elif conv and launch.kernel == "add_forward" and not summed:
            a, b = launch.buffers[:2]
            other = b if a.root is self.output.root else a
            if other.root is self.output.root or launch.buffers[2].root in (a.root, b.root):
                return False
            self.residual = other
        else:
            return False
        self.output = launch.buffers[-1]
        self.places.append(place)
        return True


def _readers(launches: Iterable[Launch]) -> dict[Buffer, list[int]]:
    """Return for every memory the launches that use it after the one that fills it."""
    found: dict[Buffer, list[int]] = {}
    seen: set[Buffer] = set()
    for number, launch in enumerate(launches):
        for root in {buffer.root for buffer in launch.buffers}:
            if root in seen:
                found.setdefault(root, []).append(number)
            seen.add(root)
    return found


__all__ = ["KERNELS", "Plan", "collapsed", "merged", "whole_run", "with_relu"]
