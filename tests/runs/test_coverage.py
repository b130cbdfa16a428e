"""How often each part of the data was read, against counting every example."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptscope.recording.intervals import union, within, without
from ckptscope.recording.lineage import restarts_of
from ckptscope.recording.model import Start
from ckptscope.runs.coverage import coverage_table
from tests.runs.made import (
    FRESH,
    at,
    attempts_of,
    files,
    only_run,
    pieces_of,
    reads_of,
    record,
    restarted,
)


def cells(table):
    return {(cell.file, cell.epoch): cell for cell in table.cells}


def test_two_passes_over_two_files(tmp_path):
    record(tmp_path, range(1, 16), files=files(16, 24))
    table = coverage_table(only_run(tmp_path))
    assert [file.path for _, file in table.files] == ["/data/part-0", "/data/part-1"]
    found = {key: (cell.passes, cell.status, cell.parts) for key, cell in cells(table).items()}
    assert found == {
        (0, 0): (1.0, "once", ((0, 16, 1),)),
        (1, 0): (1.0, "once", ((0, 24, 1),)),
        (0, 1): (1.0, "once", ((0, 16, 1),)),
        (1, 1): (4 / 24, "partial", ((0, 4, 1),)),
    }
    assert "Counted" in table.basis


def test_repeated_and_skipped_parts(tmp_path):
    restarted(tmp_path, 5, 8, 9, FRESH, files=files(16, 24))  # reads 0..19, then 0..15 again
    found = cells(coverage_table(only_run(tmp_path)))
    assert (found[0, 0].status, found[0, 0].num_repeated, found[0, 0].passes) == (
        "repeated",
        16,
        2.0,
    )
    assert (found[1, 0].status, found[1, 0].parts) == ("partial", ((0, 4, 1),))


def test_skipped(tmp_path):
    restarted(tmp_path, 5, 8, 9, at(32), files=files(16, 24))  # reads 0..19, then 32..47
    found = cells(coverage_table(only_run(tmp_path)))
    assert (found[1, 0].status, found[1, 0].num_unread, found[1, 0].parts) == (
        "skipped",
        12,
        ((0, 4, 1), (16, 24, 1)),
    )
    assert (found[0, 1].status, found[0, 1].num_unread) == ("partial", 0)  # the rest may still come


def test_a_recording_that_begins_later_skipped_nothing(tmp_path):
    record(tmp_path, range(21, 26), start=at(80))
    found = cells(coverage_table(only_run(tmp_path)))
    assert {cell.num_unread for cell in found.values()} == {0}


def test_holes_in_the_recording_are_not_called_skipped(tmp_path):
    restarted(tmp_path, 5, 8, 9, at(32))
    run = only_run(tmp_path)
    import dataclasses

    damaged = tuple(dataclasses.replace(found, missing=3) for found in run.history.attempts)
    run = dataclasses.replace(run, history=dataclasses.replace(run.history, attempts=damaged))
    table = coverage_table(run)
    assert {cell.num_unread for cell in table.cells} == {0}
    assert "nothing is called skipped" in table.basis


def test_all_reads_count_lost_steps(tmp_path):
    restarted(tmp_path, 5, 8, 9, at(20))
    run = only_run(tmp_path)
    assert cells(coverage_table(run))[0, 0].num_repeated == 0
    assert cells(coverage_table(run, reads="all"))[0, 0].num_repeated == 12  # steps 6, 7 and 8


def test_other_orders_are_an_estimate(tmp_path):
    record(tmp_path, range(1, 5), order="shuffled")
    table = coverage_table(only_run(tmp_path))
    assert "An estimate" in table.basis and table.files[0][1].path == "the data"


def test_worst_files_come_first_where_there_are_many(tmp_path):
    names = files(*[4] * 100)
    restarted(
        tmp_path, 60, 62, 70, at(100, 400), files=names, epoch_size=400
    )  # reads 0..239, then 100..139
    table = coverage_table(only_run(tmp_path), limit=20)
    assert table.is_worst_first and (table.num_files, len(table.files)) == (100, 20)
    assert [number for number, _ in table.files[:10]] == list(range(25, 35))
    assert {cell.file for cell in table.cells} == {number for number, _ in table.files}


def test_very_many_epochs_are_cut(tmp_path):
    restarted(tmp_path, 500, 500, 2000, at(2000 - 200))
    table = coverage_table(only_run(tmp_path))
    assert (len(table.epochs), table.num_epochs) == (100, 195)
    assert {45, 46, 47, 48, 49} <= set(table.epochs) and max(table.epochs) == 194


@pytest.mark.parametrize("start", [Start(reason="not given"), None])
def test_nothing_to_show_has_a_reason(tmp_path, start):
    if start is not None:
        record(tmp_path, range(1, 5), start=start)
        assert coverage_table(only_run(tmp_path)).reason == "not given"
    else:
        record(tmp_path, (), kind="eval")
        assert "nothing was recorded" in str(coverage_table(only_run(tmp_path)).reason)


# ------------------------------------------------------------ against every single
# example


@given(
    st.integers(1, 7),
    st.integers(3, 20),
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(1, 12), st.integers(0, 30)),
        min_size=1,
        max_size=4,
    ),
)
@settings(max_examples=300)
def test_ranges_are_what_every_example_says(batch, epoch, plan):
    """Reads, repeats and skips by intervals, against sets of (epoch, example)."""
    pieces = pieces_of(plan, batch)
    attempts = attempts_of(pieces, batch, epoch)

    def examples_of(number: int, stop: int) -> list[tuple[int, int]]:
        begin, last, start = pieces[number]
        rows = max(0, min(stop, last) - begin)
        return [divmod(position, epoch) for position in range(start, start + rows * batch)]

    def told(ranges) -> Counter:
        return Counter(
            (item.epoch, place) for item in ranges for place in range(item.start, item.stop)
        )

    for number, found in enumerate(attempts):
        assert told(reads_of(found)) == Counter(examples_of(number, pieces[number][1]))
    # What survives: each attempt up to where the next one began. The parent is the one before.
    for restart in restarts_of(attempts):
        number = int(restart.attempt.removeprefix("attempt"))
        chain = [number]
        while chain[0]:
            chain.insert(0, chain[0] - 1)
        stops, stop = {}, 10**9
        for member in reversed(chain):
            stops[member] = stop
            stop = pieces[member][0]
        if restart.reason is not None:
            continue
        before = [place for member in chain[:-1] for place in examples_of(member, stops[member])]
        own = examples_of(number, 10**9)
        assert set(told(restart.repeated)) == set(before) & set(own)

        def passed(places, size=epoch) -> set:
            last = max(places, default=(0, -1))
            return {
                divmod(position, size) for position in range(last[0] * size + last[1] + 1)
            } - set(places)

        assert set(told(restart.skipped)) == passed(before + own) - passed(before), pieces


SPANS = st.lists(
    st.builds(lambda start, size: (start, start + size), st.integers(0, 20), st.integers(0, 8)),
    max_size=6,
)


@given(SPANS, SPANS)
def test_spans_are_sets(spans, others):
    def told(items):
        return {place for start, stop in items for place in range(start, stop)}

    assert told(without(spans, others)) == told(spans) - told(others)
    assert told(within(spans, others)) == told(spans) & told(others)
    assert told(union(spans)) == told(spans)
    joined = union(spans)
    assert joined == sorted(joined) and all(a[1] < b[0] for a, b in pairwise(joined))


@given(SPANS, st.integers(1, 9))
def test_spans_cut_into_epochs(spans, size):
    from ckptscope.recording.intervals import in_epochs, num_epochs

    ranges = in_epochs(spans, size)
    assert len(ranges) == num_epochs([span for span in spans if span[1] > span[0]], size)
    told = [item.epoch * size + place for item in ranges for place in range(item.start, item.stop)]
    assert told == [place for start, stop in spans for place in range(start, stop)]
    assert all(0 <= item.start < item.stop <= size for item in ranges)
    assert in_epochs(spans, size, most=2) == ranges[:2]


def test_the_data_as_a_whole_is_no_file(tmp_path):
    record(tmp_path / "a", range(1, 5))
    record(tmp_path / "b", range(1, 5), files=files(40))
    assert [coverage_table(only_run(tmp_path / name)).has_files for name in ("a", "b")] == [
        False,
        True,
    ]
