"""The file of results keeps every row but the one that a run replaces."""

from __future__ import annotations

import datetime

from tests.results import FILE, ROOT, RUNS, page, row, rows, summary


def test_the_file_is_in_the_form_that_the_program_writes() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert page(rows(text)) == text


def test_every_run_names_files_that_exist() -> None:
    paths = [word for command in RUNS.values() for word in command.split() if word.endswith(".py")]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_a_run_replaces_its_own_row_only() -> None:
    table = rows(FILE.read_text(encoding="utf-8"))
    others = dict(table)
    command = RUNS["mutants"]
    table[command] = row(command, "abcdef0", datetime.date(2026, 12, 1), "1 passed | 2 failed")
    again = rows(page(table))
    assert again.pop(command) == f"| `{command}` | abcdef0 | 2026-12-01 | 1 passed / 2 failed |"
    others.pop(command, None)
    assert again == others


def test_an_outcome_is_the_last_line_that_counts() -> None:
    assert summary("....\n==== 3 passed, 1 skipped in 0.2s ====\n", 0) == "3 passed, 1 skipped in 0.2s"
    assert (
        summary("2000 lives in 300.1 s of CPU; failed: none\n", 0)
        == "2000 lives in 300.1 s of CPU; failed: none"
    )
    assert summary("1 failed, 2 passed in 1s\n", 1) == "FAILED (exit 1): 1 failed, 2 passed in 1s"
    assert summary("Segmentation fault\n", -11) == "FAILED (exit -11): no summary"
