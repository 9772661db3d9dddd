"""Waiting runs by id: facts, then any sequence of verbs against a list."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ext.kernel.run import Run
from ext.kernel.run_table import RunTable
from tests.reference import run_table as twin


def test_a_run_is_found_by_its_id() -> None:
    table, run = RunTable(), Run(7)
    table.add(run)
    assert table.get(7) is run
    assert table.get(8) is None
    assert len(table) == 1
    table.remove(run)
    assert table.get(7) is None
    assert len(table) == 0


def test_an_id_belongs_to_one_run() -> None:
    table = RunTable()
    table.add(Run(7))
    with pytest.raises(AssertionError):
        table.add(Run(7))
    with pytest.raises(AssertionError):
        table.remove(Run(7))


def test_it_holds_its_runs_and_lets_them_go() -> None:
    """Runs that the former table still holds, while it grows, go as well."""
    for size in range(40, 60):
        run = Run(0)
        before = sys.getrefcount(run)
        table = RunTable()
        table.add(run)
        for id in range(1, size):
            table.add(Run(id))
        assert sys.getrefcount(run) == before + 1
        del table
        assert sys.getrefcount(run) == before


def test_ids_in_a_row_do_not_cluster() -> None:
    table = RunTable()
    runs = [Run(id) for id in range(100_000)]
    for run in runs:
        table.add(run)
    assert all(table.get(run.id) is run for run in runs)
    assert table.bytes_used <= 100_000 * 12 * 4


ids = st.one_of(
    st.integers(0, 300), st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 63).map(lambda n: 1 << n)
)
verbs = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "remove"]), ids.filter(lambda n: n < 1 << 63)),
    max_size=400,
)


@settings(max_examples=200, deadline=None)
@given(given=verbs)
def test_it_does_what_a_list_does(given: list[tuple[str, int]]) -> None:
    table, slow = RunTable(), twin.ReferenceRunTable()
    for verb, id in given:
        known = slow.get(id)
        assert table.get(id) is known
        if verb == "add" and known is None:
            run = Run(id)
            table.add(run)
            slow.add(run)
        elif verb == "remove" and known is not None:
            table.remove(known)
            slow.remove(known)
    assert len(table) == len(slow)
    for _, id in given:
        assert table.get(id) is slow.get(id)


@settings(max_examples=20, deadline=None)
@given(start=st.integers(0, 1 << 40), kept=st.integers(1, 700))
def test_those_that_come_and_go_leave_no_trace(start: int, kept: int) -> None:
    table, runs = RunTable(), [Run(start + n) for n in range(3_000)]
    for n, run in enumerate(runs):
        table.add(run)
        if n >= kept:
            table.remove(runs[n - kept])
    assert [table.get(run.id) is run for run in runs] == [n >= len(runs) - kept for n in range(len(runs))]
