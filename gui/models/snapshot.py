"""What the worker posts: one frozen picture of the session, made of copies.

Nothing in a snapshot refers to memory of the engine, so the window may keep and draw it while the
next step already runs. Parts of panels that nobody sees are None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from gui.models.layout import Array, Mode, TensorLayout

if TYPE_CHECKING:
    from engine.debug.position import Position
    from engine.pictures import Look
    from gui.widgets.window_content import WindowContent

FrameState = Literal["done", "current", "waiting"]
State = Literal["loading", "paused", "running", "training", "failed"]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One box of the network: what never changes while a run is open."""

    name: str
    kind: str
    shape: tuple[int, ...]
    inputs: tuple[str, ...]
    parameters: int
    settings: str
    parameter_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The open run.

    Parameters
    ----------
    title : str
        File or model name.
    path : str
        Where it was read, or empty.
    nodes : tuple of NodeInfo
        In execution order, inputs first.
    input_shape : tuple of int
        Of the first input, without the batch axis.
    labels : tuple of str
        Class names, or empty.
    parameters : int
    facts : str
        Device, threads and dtype in a few words.
    can_train : bool
        Whether data are there to train on.
    dataset_sizes : dict
        Number of pictures by name of the set: ``{"test": 10000, "train": 60000}``.
    class_counts : dict
        Pictures of each class, by name of the set.
    look : Look or None
        How the pictures looked that it was trained on; None if that is not recorded.
    """

    title: str
    path: str
    nodes: tuple[NodeInfo, ...]
    input_shape: tuple[int, ...]
    labels: tuple[str, ...]
    parameters: int
    facts: str
    can_train: bool
    dataset_sizes: dict[str, int] = field(default_factory=dict)
    class_counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    look: Look | None = None

    def node(self, name: str) -> NodeInfo | None:
        """Return the node of that name, or None."""
        return next((node for node in self.nodes if node.name == name), None)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next thing to execute, in words and numbers."""

    layer: str
    phase: str
    kind: str
    level: str
    epoch: int
    batch: int
    operation: int
    tensor: str
    index: tuple[int, ...]
    term: int | None
    finished: bool = False
    position: Position | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class StackFrame:
    """A line of the call stack; layer and tensor are what a click looks at, empty for nothing."""

    title: str
    detail: str
    state: FrameState
    depth: int
    position: Position | None
    layer: str
    tensor: str = ""


@dataclass(frozen=True, slots=True)
class BreakpointRow:
    """A breakpoint as the list shows it."""

    number: int
    layer: str | None
    phase: str | None
    when: str | None
    hit_count: int
    hits: int
    enabled: bool

    @property
    def text(self) -> str:
        """One line for the reader."""
        place = " ".join(part for part in (self.layer, self.phase) if part)
        condition = (self.when or "").replace("_", " ")
        if place and condition:
            return f"{place} · {condition}"
        return place or condition or "every operation"


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """Where a training stands, for the person who decides how it goes on.

    Parameters
    ----------
    step : int
        Steps made so far.
    batches : int
        Steps of an epoch; 0 while the data are not known.
    rate : float
        Learning rate of the next step.
    schedule : str
        How the rate changes, in words.
    ended : bool
        Whether a schedule has come to its end: the rate stays what it is.
    cosine : (float, float) or None
        Start and end of a schedule that can be stretched over more steps.
    unsaved : int
        Steps that are in no file of the person.
    """

    step: int
    batches: int
    rate: float
    schedule: str
    ended: bool
    cosine: tuple[float, float] | None = None
    unsaved: int = 0

    @property
    def idle(self) -> bool:
        """Whether training would change no weight."""
        return self.rate == 0


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """The maps of one node for the network strip."""

    name: str
    maps: Array
    mode: Mode
    badge: str
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class MapsView:
    """The maps of the selected tensor.

    Parameters
    ----------
    maps : array, shape (c, h, w)
    gradient : array of the same shape, or None
        Gradient of the loss with respect to these values, where the pass has computed it.
    revealed : int or None
        Elements computed so far, in engine order; None means all.
    ahead : bool
        True if the values come from a forward pass made ahead of the cursor.
    cursor : (channel, y, x) or None
        Fields of the execution cursor in this tensor; -1 where it is not that deep.
    """

    layer: str
    tensor: str
    layout: TensorLayout
    sample: int
    maps: Array
    mode: Mode
    limits: tuple[float, float]
    scope: str
    gradient: Array | None = None
    revealed: int | None = None
    ahead: bool = False
    cursor: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class KernelsView:
    """The weights of a layer as kernels, shape (o, i, kh, kw)."""

    layer: str
    name: str
    kernels: Array
    norm: float
    borrowed: bool
    layout: TensorLayout

    def cell(self, index: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Return (o, i, ky, kx) of a weight by its public index."""
        if len(index) < 3:
            return (0, *self.layout.place(index))
        places = np.unravel_index(
            int(np.ravel_multi_index(index, self.layout.shape)), self.kernels.shape
        )
        o, i, ky, kx = (int(place) for place in places)
        return o, i, ky, kx


@dataclass(frozen=True, slots=True)
class LocalRow:
    """A tensor of the selected layer with its statistics; None where it is not computed yet."""

    name: str
    shape: tuple[int, ...]
    low: float | None = None
    mean: float | None = None
    high: float | None = None
    deviation: float | None = None
    zeros: float | None = None
    bad: int | None = None
    ahead: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Probabilities of the shown picture, made by a complete forward pass."""

    probabilities: Array
    labels: tuple[str, ...]
    truth: int | None
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The input and where it came from."""

    image: Array
    title: str
    label: int | None
    source: str


@dataclass(frozen=True, slots=True)
class Words:
    """The explanation in sentences.

    `alert` says why the run stands here, where that is worth the first line.
    """

    heading: str
    value: str
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    next_step: str
    alert: str = ""


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Receptive fields of a tensor as an affine rule, so that hovering needs no engine.

    The box of row y and column x is (top + step_y * y, left + step_x * x) with the given size.
    """

    top: int
    left: int
    height: int
    width: int
    step_y: int
    step_x: int

    def box(self, y: int, x: int) -> Box:
        """Return (top, left, bottom, right), half-open, in pixels of the input."""
        top, left = self.top + self.step_y * y, self.left + self.step_x * x
        return (top, left, top + self.height, left + self.width)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything the visible panels show, at one position.

    `steps` counts stepping commands; `viewer` is the share of the worker's time that pictures took
    while training. `phase` is that of the shown tensor; `bad` says that the message speaks of a
    number that is none. `weight` is the place in the kernels that the next term uses.
    """

    number: int
    state: State
    program: str
    cursor: Cursor | None
    reason: str = ""
    message: str = ""
    layer: str = ""
    tensor: str = "output"
    phase: str = ""
    index: tuple[int, ...] = ()
    tensors: tuple[str, ...] = ("output",)
    steps: int = 0
    bad: bool = False
    viewer: float | None = None
    facts: TrainingFacts | None = None
    frames: tuple[StackFrame, ...] | None = None
    breakpoints: tuple[BreakpointRow, ...] = ()
    thumbnails: tuple[Thumbnail, ...] | None = None
    maps: MapsView | None = None
    kernels: KernelsView | None = None
    weight: tuple[int, int, int, int] | None = None
    window: WindowContent | None = None
    words: Words | None = None
    locals: tuple[LocalRow, ...] | None = None
    prediction: Prediction | None = None
    picture: Picture | None = None
    field: FieldRule | None = None
    box: Box | None = None
