"""Makes snapshots: computes only what visible panels show, and nothing twice.

Everything is a function of (recorded run, position, selection); results are kept until the run
moves, so that looking around costs only what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gui.models.interest import Interest
from gui.models.layout import Array, Mode, TensorLayout, best_mode
from gui.models.snapshot import (
    Box,
    BreakpointRow,
    Cursor,
    FieldRule,
    KernelsView,
    LocalRow,
    MapsView,
    NodeInfo,
    Picture,
    Prediction,
    RunInfo,
    Snapshot,
    State,
    Thumbnail,
    Words,
)
from gui.widgets.window_content import ActivationPlot, OutputMap, WindowContent
from gui.worker import parts
from gui.worker.content import (
    activation_plot,
    missing_words,
    value_content,
    value_words,
    window_content,
    words,
)
from gui.worker.debuggee import OUTPUT, Debuggee
from gui.worker.focus import Focus, Looks

if TYPE_CHECKING:
    from engine.explanation import Explanation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moment:
    """What the bench adds to a snapshot."""

    state: State
    reason: str = ""
    message: str = ""
    breakpoints: tuple[BreakpointRow, ...] = ()
    steps: int = 0
    bad: bool = False
    viewer: float | None = None


class Snapshots:
    """The maker.

    Parameters
    ----------
    run : RunInfo
    debuggee : Debuggee
    """

    def __init__(self, run: RunInfo, debuggee: Debuggee) -> None:
        self.run, self.debuggee = run, debuggee
        self.ranges = parts.Ranges()
        self._number = 0
        self._tick = 0
        self._kept: dict[str, tuple[Hashable, Any]] = {}
        self.looks = Looks(debuggee)

    def use(self, debuggee: Debuggee) -> None:
        """Show another session; picked places stay."""
        self.debuggee = self.looks.debuggee = debuggee
        self.moved()

    def moved(self) -> None:
        """Say that the run has moved: what was computed before is void."""
        self._tick += 1

    def _keep(self, name: str, key: Hashable, make: Callable[[], T]) -> T:
        """Return the kept result for `key`, or make it; one result is kept for each name."""
        kept = self._kept.get(name)
        if kept is not None and kept[0] == key:
            return kept[1]  # type: ignore[no-any-return]
        made = make()
        self._kept[name] = (key, made)
        return made

    # --- the whole ------------------------------------------------------------------------------

    def make(self, interest: Interest, moment: Moment) -> Snapshot:
        """Return a snapshot of now, with what the operation at the cursor will bring."""
        with self.debuggee.looking():
            return self._make(interest, moment)

    def _make(self, interest: Interest, moment: Moment) -> Snapshot:
        self._number += 1
        tick, training = self._tick, moment.state == "training"
        stage = (tick if training else 0, self.debuggee.stage)
        cursor = self._keep("cursor", (tick, stage), self.debuggee.cursor)
        focus = self.looks.at(interest, cursor)
        place = (focus.layer, focus.tensor, focus.index)
        element = cursor.position.at_term(None) if cursor.position is not None else None
        explained = self._keep(
            "explained", (stage, *place, focus.at_cursor), lambda: self._explain(focus)
        )
        wants, shown = interest.shows, (stage, *place, cursor.position)
        maps = None
        if wants("map", "mosaic", "window", "input"):
            maps = self._keep(
                "maps",
                (stage, *place, element, training, self.looks.spot),
                lambda: self._maps(focus, cursor, training),
            )

        kernels = (
            self._keep("kernels", (stage, focus.layer, focus.phase), lambda: self._kernels(focus))
            if wants("kernels")
            else None
        )

        def part(panel: str, key: Hashable, make: Callable[[], T]) -> T | None:
            return self._keep(panel, key, make) if wants(panel) else None

        return Snapshot(
            number=self._number,
            state=moment.state,
            program=self.debuggee.program,
            cursor=None if training else cursor,
            reason=moment.reason,
            message=moment.message,
            layer=focus.layer,
            tensor=focus.tensor,
            index=focus.index,
            phase=focus.phase,
            bad=moment.bad,
            tensors=self.debuggee.tensors(focus.layer),
            steps=moment.steps,
            viewer=moment.viewer,
            frames=part("stack", (tick, stage), self.debuggee.frames),
            breakpoints=moment.breakpoints,
            thumbnails=part("network", stage, self._thumbnails),
            maps=maps,
            kernels=kernels,
            weight=self._weight_at(focus, cursor, explained[0], kernels),
            window=part("window", shown, lambda: self._window(focus, cursor, explained, maps)),
            words=part(
                "explanation",
                (*shown, moment.message, moment.bad),
                lambda: self._words(focus, cursor, explained, moment),
            ),
            locals=part("watch", (stage, focus.layer), lambda: self._locals(focus.layer)),
            prediction=part("prediction", stage, self._prediction),
            picture=self._keep("picture", stage[1], self._picture),
            field=self._field(focus),
            box=self._box(focus),
        )

    # --- one part for each panel ----------------------------------------------------------------

    def _maps(self, focus: Focus, cursor: Cursor, training: bool) -> MapsView | None:
        array, sample, ahead = self.debuggee.read(focus.layer, focus.tensor)
        if array is None:
            return None
        maps = focus.layout.maps(array, sample)
        node = self.run.node(focus.layer)
        mode: Mode = "signed"  # weights and gradients have a sign, even where none is negative
        if focus.tensor == OUTPUT or node is None:
            mode = best_mode(maps) if node is None else parts.picture_mode(node, maps)
        limits = self.ranges.of((focus.layer, focus.tensor), maps, mode, training)
        gradient = None
        if focus.tensor == OUTPUT and not ahead:
            upstream, row, _ = self.debuggee.read(focus.layer, "grad_output")
            if upstream is not None and upstream.shape == array.shape:
                gradient = focus.layout.maps(upstream, row)
        inside = (
            not training
            and focus.layer == cursor.layer
            and focus.tensor == cursor.tensor
            and cursor.level not in ("operation", "tensor")
        )
        # Where a run was stopped by a bad number, all of the result is there to be seen.
        found = self.looks.is_spot(cursor)
        return MapsView(
            layer=focus.layer,
            tensor=focus.tensor,
            layout=focus.layout,
            sample=sample,
            maps=maps,
            mode=mode,
            limits=limits,
            scope="layer",
            gradient=gradient,
            revealed=self._revealed(focus.layout, cursor) if inside and not found else None,
            ahead=ahead and not training,
            cursor=self._cursor_place(focus.layout, cursor) if inside else None,
        )

    def _revealed(self, layout: TensorLayout, cursor: Cursor) -> int:
        """Return how many elements of the tensor come before the cursor's, in public order."""
        rank = len(layout.shape)
        index = (*cursor.index, *(0,) * rank)[:rank]
        channel, row, column = layout.place(index)
        _, rows, columns = layout.maps_shape
        return (channel * rows + row) * columns + column

    def _cursor_place(self, layout: TensorLayout, cursor: Cursor) -> tuple[int, int, int]:
        rank = len(layout.shape)
        channel, row, column = layout.place((*cursor.index, *(0,) * rank)[:rank])
        if len(cursor.index) < rank:  # a channel or a kernel, no element yet
            return (channel, -1, -1)
        return (channel, row, column)

    def _thumbnails(self) -> tuple[Thumbnail, ...]:
        found = []
        for node in self.run.nodes:
            array, sample, ahead = self.debuggee.read(node.name, OUTPUT)
            if array is None:
                continue
            elapsed = self.debuggee.elapsed_ms(node.name)
            note = f"{elapsed:.2f} ms" if elapsed is not None and not ahead else ""
            found.append(parts.thumbnail(node, array, sample, not ahead, note))
        return tuple(found)

    def _kernels(self, focus: Focus) -> KernelsView | None:
        """Return the weights of the layer, or of the nearest one before it that has some.

        In the backward phase the layer's own are shown by their gradients, once there are any.
        """
        if focus.phase == "backward" and (node := self.run.node(focus.layer)) is not None:
            gradient = self._weight(node, ".gradient")
            if gradient is not None:
                return parts.kernels_view(node.name, *gradient, False)
        names = [node.name for node in self.run.nodes]
        place = names.index(focus.layer) if focus.layer in names else len(names) - 1
        after = [node for node in self.run.nodes[place + 1 :] if node.parameter_names]
        for node in (*reversed(self.run.nodes[: place + 1]), *after):
            weight = self._weight(node)
            if weight is not None:
                name, array = weight
                return parts.kernels_view(node.name, name, array, node.name != focus.layer)
        return None

    def _weight_at(
        self,
        focus: Focus,
        cursor: Cursor,
        explanation: Explanation | None,
        kernels: KernelsView | None,
    ) -> tuple[int, int, int, int] | None:
        """Return the weight that the cursor is on, or that its next term multiplies with."""
        if kernels is None or not focus.at_cursor:
            return None
        if (kernels.layer, kernels.name) == (focus.layer, focus.tensor):
            return kernels.cell(focus.index)
        if explanation is None or cursor.term is None or cursor.term >= len(explanation.terms):
            return None
        term = explanation.terms[cursor.term]
        for tensor, index in zip(term.tensors, term.indices, strict=True):
            if tensor == f"{kernels.layer}.{kernels.name}" and index is not None:
                return kernels.cell(index)
        return None

    def _weight(self, node: NodeInfo, kind: str = "") -> tuple[str, Array] | None:
        """Return the parameter with the most axes, or its gradient."""
        best: tuple[str, Array] | None = None
        for name in (f"{parameter}{kind}" for parameter in node.parameter_names):
            array, _, _ = self.debuggee.read(node.name, name)
            if array is not None and (best is None or array.ndim > best[1].ndim):
                best = (name, array)
        return best

    def _explain(self, focus: Focus) -> tuple[Explanation | None, bool]:
        if focus.at_cursor and not self.debuggee.pinned:
            explanation = self.debuggee.session.explain_position()
            if explanation is not None:
                return explanation, False
        return self.debuggee.explain(focus.layer, focus.tensor, focus.index)

    def _window(
        self,
        focus: Focus,
        cursor: Cursor,
        explained: tuple[Explanation | None, bool],
        maps: MapsView | None,
    ) -> WindowContent | None:
        explanation, _ = explained
        output = None
        if maps is not None:
            channel, row, column = focus.layout.place(focus.index)
            revealed = None
            if maps.revealed is not None:
                _, rows, columns = focus.layout.maps_shape
                done = maps.revealed - channel * rows * columns
                revealed = (np.arange(rows * columns) < done).reshape(rows, columns)
            output = OutputMap(maps.maps[channel], revealed, (row, column), maps.mode)
        if explanation is None:
            value = self._value(focus)
            if value is None:
                return None
            return value_content(focus.title, value, self._origin(focus), output)
        term = (cursor.term or 0) if focus.at_cursor else None
        return window_content(explanation, term, self._activation(focus, explanation), output)

    def _value(self, focus: Focus) -> Any:
        """Return the number at the focus; None where it is not computed yet."""
        array, sample, _ = self.debuggee.read(focus.layer, focus.tensor)
        if array is None or not array.size:
            return None
        channel, row, column = focus.layout.place(focus.index)
        return focus.layout.maps(array, sample)[channel, row, column]

    def _origin(self, focus: Focus) -> str:
        """Say where a number comes from that no sum has made."""
        if focus.phase == "load":
            return f"loaded, from {self._picture().title}"
        if focus.phase == "update":
            return "as it stands; training changes it"
        return f"stored by the {focus.phase} pass, not explained further"

    def _activation(self, focus: Focus, explanation: Explanation) -> ActivationPlot | None:
        """Return the plot of the layer's own function, or of the one that reads its output."""
        if focus.tensor != OUTPUT or focus.layer not in self.debuggee.nodes:
            return None
        node = self.debuggee.nodes[focus.layer]
        if explanation.kind == "map" and node.layer is not None and explanation.stages:
            return activation_plot(focus.layer, node.layer.op, explanation.stages[0].value)
        for other in self.debuggee.model.nodes:
            if focus.layer in other.inputs and other.layer is not None:
                plot = activation_plot(other.name, other.layer.op, float(explanation.value))
                if plot is not None:
                    return plot
        return None

    def _words(
        self,
        focus: Focus,
        cursor: Cursor,
        explained: tuple[Explanation | None, bool],
        moment: Moment,
    ) -> Words:
        explanation, ahead = explained
        value = self._value(focus) if explanation is None else None
        if explanation is not None:
            made = words(explanation, cursor, self._notes(focus, cursor, ahead))
        elif value is not None:
            made = value_words(focus.title, value, self._origin(focus), cursor)
        else:
            made = missing_words(focus.title, focus.phase, cursor)
        return replace(made, alert=moment.message if moment.bad else "")

    def _notes(self, focus: Focus, cursor: Cursor, ahead: bool) -> tuple[str, ...]:
        if not ahead:
            return ()
        if focus.layer == cursor.layer and focus.phase == cursor.phase:
            return ("The next step brings it: the cursor stands before it.",)
        if self.debuggee.passes_differ():
            return (
                "Computed ahead in evaluation mode; the step itself will use the statistics of its "
                "batch and drop units.",
            )
        return ("Computed ahead: the cursor has not come here yet.",)

    def _locals(self, layer: str) -> tuple[LocalRow, ...]:
        rows = []
        for tensor in self.debuggee.tensors(layer):
            array, sample, ahead = self.debuggee.read(layer, tensor)
            batched = self.debuggee.batched(layer, tensor)
            shape = self.debuggee.shape(layer, tensor)
            one = array[sample] if array is not None and batched else array
            rows.append(parts.statistics(tensor, one, shape[1:] if batched else shape, ahead))
        return tuple(rows)

    def _prediction(self) -> Prediction | None:
        array, sample, ahead = self.debuggee.read(self.debuggee.model.outputs[0], OUTPUT)
        if array is None:
            return None
        shares = parts.probabilities(array[sample])
        if shares is None:
            return None
        labels = self.run.labels
        if len(labels) != len(shares):
            labels = tuple(str(number) for number in range(len(shares)))
        source = "softmax · ahead" if ahead else "softmax"
        return Prediction(shares, labels, self.debuggee.label, source)

    def _picture(self) -> Picture:
        picture = self.debuggee.sample.picture
        if self.debuggee.program == "forward":
            return picture
        label = self.debuggee.label
        from engine.debug.wording import batch_words

        epoch, batch, sample = self.debuggee.batch_key
        title = f"{batch_words(epoch, batch)} · sample {sample}" + (
            f" · label {label}" if label is not None else ""
        )
        return Picture(np.array(self.debuggee.batch_x()[0]), title, label, "batch")

    def _field(self, focus: Focus) -> FieldRule | None:
        layer = self.debuggee.seen_by(focus.layer, focus.tensor)
        if layer is None:
            return None
        return self.debuggee.field(layer) or self.debuggee.whole_picture()

    def _box(self, focus: Focus) -> Box | None:
        rule = self._field(focus)
        if rule is None:
            return None
        _, row, column = focus.layout.place(focus.index)
        return rule.box(row, column) if len(focus.layout.inner) > 1 else rule.box(0, 0)
