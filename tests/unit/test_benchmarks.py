"""The benchmarks' own logic: what counts as noise, what is a ratio, where a table goes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.measure import Bench, Timing, collect, geometric_mean, play_round, ratio, timing
from benchmarks.noise import LoadMeter, Ticks, parse
from benchmarks.report import Column, cell, splice, summary, table

STAT = """\
cpu  300 10 60 5000 7 5 5 20 1 0
cpu0 100 10 20 2500 3 5 5 12 1 0
cpu1 200 0 40 2500 4 0 0 8 0 0
intr 12345
"""


def test_processor_time_is_read_for_the_cpus_that_count():
    assert parse(STAT, {0}, 0.01) == pytest.approx(Ticks(1.40, 0.12))
    assert parse(STAT, {0, 1}, 0.01) == pytest.approx(Ticks(3.80, 0.20))
    assert parse(STAT, {7}, 0.01) == Ticks(0, 0)


def meter(ticks: list[Ticks | None], own: list[float], now: list[float]) -> LoadMeter:
    """Return a meter on two CPUs that reads what it is given, one entry for each look."""

    def each(values: list) -> Iterator:
        return itertools.chain(values, itertools.repeat(values[-1]))

    a, b, c = each(ticks), each(own), each(now)
    return LoadMeter(lambda: next(a), lambda: next(b), lambda: next(c), cpus=2)


def test_own_work_is_no_noise():
    busy = meter([Ticks(0, 0), Ticks(1.9, 0)], [0, 1.9], [0, 1])
    assert busy.read() == 0


def test_foreign_work_and_steal_are_noise():
    foreign = meter([Ticks(5, 1), Ticks(7, 1)], [3, 4.5], [10, 11])
    assert foreign.read() == pytest.approx(0.25)
    stolen = meter([Ticks(5, 1), Ticks(6, 1.3)], [3, 4], [10, 11])
    assert stolen.read() == pytest.approx(0.15)


def test_a_system_that_tells_nothing_is_quiet():
    assert meter([None, None], [0, 1], [0, 1]).read() == 0


class FakeMeter(LoadMeter):
    """Reads one load after the other."""

    def __init__(self, loads: list[float]) -> None:
        self.loads = iter(loads)

    def start(self) -> None:
        """Nothing to begin."""

    def read(self) -> float:
        return next(self.loads)


def test_noisy_rounds_are_repeated():
    played = collect(lambda number: number, FakeMeter([0.01, 0.5, 0.2, 0.0, 0.02]), 3, 9, 0.05)
    assert (played.kept, played.dropped, played.disturbed) == ([0, 3, 4], 2, 0)


def test_when_it_never_gets_quiet_the_quietest_rounds_count():
    played = collect(lambda number: number, FakeMeter([0.5, 0.01, 0.2, 0.4, 0.3]), 3, 2, 0.05)
    assert (played.kept, played.dropped, played.disturbed) == ([1, 2, 4], 2, 2)


def test_late_rounds_are_not_repeated():
    late = collect(lambda n: n, FakeMeter([0.5, 0.4, 0.3]), 2, 9, 0.05, lambda: False)
    assert (late.kept, late.dropped, late.disturbed) == ([1, 0], 0, 2)


def test_everybody_has_a_turn_and_another_one_begins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure, "PAUSE_S", 0)
    calls: list[str] = []
    contestants = {name: lambda name=name: calls.append(name) for name in "abc"}
    for number, order in enumerate(("abc", "bca", "cab", "abc")):
        calls.clear()
        times = play_round(contestants, number, block_s=0)
        assert "".join(name for name, _ in itertools.groupby(calls)) == order
        assert all(len(values) >= 1 for values in times.values())
        assert len(calls) == sum(map(len, times.values())) + 2 * 3  # two calls do not count


def test_a_contest_takes_the_median_of_quiet_rounds(monkeypatch: pytest.MonkeyPatch):
    rounds = iter([{"a": [1.0, 3.0]}, {"a": [100.0]}, {"a": [2.0]}])
    monkeypatch.setattr(measure, "play_round", lambda *_: next(rounds))
    bench = Bench(rounds=2, retries=1, meter=FakeMeter([0.0, 0.3, 0.0]))
    times = bench.contest({"a": lambda: None, "absent": None})
    assert times["a"].median_ms == 2
    assert set(times) == {"a"}
    assert (bench.kept, bench.dropped, bench.disturbed) == (2, 1, 0)


def test_timing_and_ratios():
    assert timing([5.0]) == Timing(5.0)
    assert timing([1.0, 2.0, 3.0, 4.0, 5.0]) == Timing(3.0, pytest.approx(1 / 3))
    mine, slow, fast = Timing(2.0), Timing(6.0), Timing(3.0)
    assert ratio(mine, slow) == 3
    assert ratio(mine, slow, fast, None) == 1.5
    assert ratio(None, slow) is None
    assert ratio(mine, None) is None
    assert geometric_mean([0.5, 2.0, 1.0]) == pytest.approx(1)


def test_the_share_of_the_possible_is_that_of_the_same_rounds():
    bench = Bench(threads=2)
    bench.spinner()
    # Half of the multiply-adds of the spinning loop, in four fifths of its time.
    half = bench.spinner.operations / 2
    assert bench.share(half, Timing(8.0), Timing(10.0)) == pytest.approx(0.625)
    assert bench.share(half, None, Timing(10.0)) is None


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "ratio", "–"),
        (1.2345, "ratio", "1.23"),
        (Timing(0.01234, 0.021), "ms", "0.0123 ±2 %"),
        (Timing(1234.5, 0), "ms", "1,234 ±0 %"),
        (0.876, "percent", "88 %"),
        (3.2e-7, "error", "3e-7"),
        (0.0, "error", "0"),
        (12.34, "number", "12.3"),
        (2_500_000, "mb", "2.50"),
        (512, "integer", "512"),
        ("direct", "text", "direct"),
    ],
)
def test_cells(value: object, kind: str, text: str):
    assert cell(value, kind) == text


COLUMNS = [Column("a", "what"), Column("b", "to torch", "ratio"), Column("c", "never", "ratio")]
RESULTS = [{"a": "x", "b": 0.5, "c": None}, {"a": "y", "b": 2.0}]


def test_a_column_without_values_is_left_out():
    assert table(COLUMNS, RESULTS).splitlines() == [
        "| what | to torch |",
        "| --- | ---: |",
        "| x | 0.50 |",
        "| y | 2.00 |",
    ]


def test_the_summary_tells_mean_and_least():
    expected = "- to torch: geometric mean 1.00, least 0.50, 1 of 2 below 1."
    assert summary(COLUMNS, RESULTS) == expected


def test_tables_are_put_between_their_markers():
    document = "Before.\n<!-- bench:a -->\nold \\1\n<!-- /bench:a -->\nAfter."
    text = r"new \g<0>"
    assert splice(document, "a", text) == document.replace("old \\1", text)
    assert splice(splice(document, "a", text), "a", "old \\1") == document
    for wrong in ("", "<!-- bench:a -->", document + document):
        with pytest.raises(ValueError, match="once in the document"):
            splice(wrong, "a", "new")


def test_the_document_has_a_place_for_every_group():
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    from benchmarks.__main__ import GROUPS, TARGET

    document = Path(TARGET).read_text(encoding="utf-8")
    for name in GROUPS:
        assert splice(document, name, "x") != document


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return the command with two groups of its own, one of which can be made to fail."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    from benchmarks import __main__ as command
    from benchmarks.groups import Group, Work

    def spoilt(bench: Bench) -> list:
        raise RuntimeError("spoilt")

    good = Work("good", lambda bench: [{"a": "x", "b": 3.0}])
    slow = Work("slow", lambda bench: [{"a": "y", "b": 2.0}], quick=False)
    groups = {
        "one": Group("one", "One", COLUMNS, [good, slow]),
        "two": Group("two", "Two", COLUMNS, [good, Work("bad", spoilt)]),
    }
    document = tmp_path / "performance.md"
    markers = "".join(f"<!-- bench:{name} -->\nold\n<!-- /bench:{name} -->\n" for name in groups)
    document.write_text(f"By hand.\n{markers}", encoding="utf-8")
    monkeypatch.setattr(command, "GROUPS", groups)
    monkeypatch.setattr(command, "TARGET", document)
    return command


def test_a_run_writes_its_tables_and_leaves_the_rest(command, capsys: pytest.CaptureFixture[str]):
    assert command.main(["one"]) == 0
    text = command.TARGET.read_text(encoding="utf-8")
    assert text.startswith("By hand.\n<!-- bench:one -->\n")
    assert "| x | 3.00 |\n| y | 2.00 |\n\n- to torch: geometric mean 2.45, least 2.00" in text
    assert "<!-- bench:two -->\nold\n" in text
    assert "| y | 2.00 |" in capsys.readouterr().out


def test_a_quick_run_only_prints(command, capsys: pytest.CaptureFixture[str]):
    before = command.TARGET.read_text(encoding="utf-8")
    assert command.main(["one", "--quick"]) == 0
    assert command.TARGET.read_text(encoding="utf-8") == before
    printed = capsys.readouterr().out
    assert "| x | 3.00 |" in printed
    assert "| y |" not in printed


def test_a_group_that_fails_does_not_cost_the_others(command, tmp_path: Path):
    assert command.main(["two", "one", "--json", str(tmp_path / "numbers.json")]) == 1
    text = command.TARGET.read_text(encoding="utf-8")
    assert "<!-- bench:two -->\nold\n" in text
    assert "| x | 3.00 |" in text
    assert set(json.loads((tmp_path / "numbers.json").read_text(encoding="utf-8"))) == {"one"}


def test_groups_that_do_not_exist_are_refused(command, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        command.main(["three"])
    assert "unknown group 'three'; there are: one, two" in capsys.readouterr().err
