"""Docstrings open in the field's own words: functions with a verb, properties, classes and modules with a noun.

Names and lengths are held by `tests/test_house.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.source_tree import Definition, definitions, files, name

PREDICATE = "Whether"
"""Opens the docstring of a function that returns a bool."""

VERB_WORDS = """
    Abandon Abort Absorb Accept Account Accumulate Acknowledge Acquire Add Admit Adopt Advance Align Allocate Allow
    Answer Append Apply Arrange Ask Assemble Assert Assign Attach Await Back Begin Bind Block Boot Borrow Break
    Bring Build Cache Calculate Call Cancel Capture Carry Cascade Cast Change Charge Check Choose Clamp Classify
    Clean Clear Close Coerce Collect Combine Commit Compact Compare Compile Complete Compose Compress Compute
    Configure Confirm Connect Construct Consume Convert Copy Correct Count Create Credit Cut Deactivate Deal Debit
    Decide Declare Decode Decompress Decrement Decrypt Deduplicate Define Delay Delegate Delete Deliver Derive
    Describe Detach Detect Determine Disable Discard Disconnect Display Distribute Divide Drain Draw Drive Drop Dump
    Emit Empty Enable Encode Encrypt End Enlarge Enqueue Ensure Enter Erase Escape Estimate Evaluate Evict Exchange
    Exclude Execute Exit Expand Expire Explain Export Express Extend Extract Fail Feed Fetch Fill Filter Find Finish
    Fire Fit Flip Flush Fold Follow Force Forget Fork Format Forward Free Freeze Gather Generate Get Give Grant Group
    Grow Guard Halve Hand Handle Hash Hide Hold Honour Identify Ignore Import Include Increment Index Infer Inform
    Initialise Insert Inspect Install Intern Interpret Interrupt Invert Issue Iterate Join Journal Keep Kill Label
    Launch Lay Leave Lend Let Limit Link List Listen Load Locate Lock Log Look Lookup Lower Make Map Mark Match
    Measure Merge Migrate Mirror Mix Mount Move Multiply Mute Name Narrow Negate Normalise Note Notify Number Offer
    Offset Omit Open Order Overwrite Pack Pad Pair Parse Pass Patch Pause Peek Perform Permit Pick Pin Place Plan
    Play Plot Poll Pop Post Prefetch Prepare Print Probe Process Produce Prove Provide Prune Publish Pull Push Put
    Quantise Queue Quote Raise Rank Read Reap Rebuild Recall Receive Recognise Record Recover Reduce Refresh Refuse
    Register Reject Release Reload Remember Remove Rename Render Reopen Repeat Replace Replay Reply Report Request
    Require Reserve Reset Resize Resolve Respond Restart Restore Resume Retry Return Reuse Reverse Revoke Rewind
    Rewrite Roll Rotate Round Route Run Sample Save Scale Scan Schedule Seal Search See Select Send Separate
    Serialise Serve Set Settle Share Shift Show Shrink Shut Sift Sign Signal Simulate Skip Sleep Sort Spawn Specify
    Spell Split Stage Start State Step Stop Store Stream Strip Submit Substitute Subtract Suggest Sum Summarise
    Support Survive Suspend Swap Switch Sync Take Tear Terminate Test Throw Tick Time Toggle Tokenise Touch Trace
    Track Transfer Transform Translate Trigger Trim Truncate Try Turn Undo Unescape Unlink Unlock Unpack Unregister
    Update Upgrade Use Validate Verify Visit Wait Wake Walk Warm Warn Watch Weigh Withdraw Wrap Write Yield Zero
"""
VERBS = VERB_WORDS.split()
"""Verbs that may open the docstring of a function, sorted. Add yours."""

FORBIDDEN = re.compile(
    r"(?:What|Whatever|How|Of|As|Those|These|Who|Whoever|Whom|Whose|When|Where|Why|Which|It|Its|There|The same|Nobody"
    r"|Somebody|Everybody|So)\b"
)
"""Openings that make a reader look for the noun."""

ROOMS_NOT_YET = ("api/cli", "api/demo", "api/management", "api/measure", "engine/delivery", "engine/flow")
"""Directories and files whose docstrings are being rewritten."""

FILES = [path for path in files(".py", ".pyx", ".pxd") if not name(path).startswith(ROOMS_NOT_YET)]


def fault(definition: Definition, *, of_tests: bool) -> str | None:
    """Return what is wrong with the opening of one docstring, or None."""
    opening = definition.opening
    if not opening:
        return None
    where = f"line {definition.line}, {definition.kind} {definition.name}: {opening!r}"
    if FORBIDDEN.match(opening):
        return f"{where} opens with {opening.split()[0]}"
    if definition.kind == "function" and not of_tests:
        word = re.split(r"\W", opening, maxsplit=1)[0]
        if word != PREDICATE and word not in VERBS:
            return (
                f"{where} opens neither with a verb of VERBS (tests/test_docstrings.py) nor with {PREDICATE}"
            )
    return None


@pytest.mark.parametrize("path", FILES, ids=name)
def test_docstrings_open_with_a_verb_or_a_noun(path: Path) -> None:
    in_tests = name(path).startswith("tests/")
    faults = [
        text
        for definition in definitions(path)
        if (text := fault(definition, of_tests=in_tests or definition.name.startswith("test_")))
    ]
    assert faults == []


def test_the_verbs_are_sorted_and_named_once() -> None:
    assert sorted(set(VERBS)) == VERBS
    assert [verb for verb in VERBS if not verb.istitle()] == []


@pytest.mark.parametrize(
    ("kind", "opening", "holds"),
    [
        ("function", "Return the trait edits.", True),
        ("function", "Whether the run waits.", True),
        ("function", "The trait edits.", False),
        ("function", "Returns the trait edits.", False),
        ("function", "What it does to the traits.", False),
        ("property", "The number of runs.", True),
        ("property", "How many runs there are.", False),
        ("class", "A contact and its runs.", True),
        ("class", "Those that wait.", False),
        ("module", "The same, compiled.", False),
        ("module", "Same thing, compiled.", True),
    ],
)
def test_an_opening_is_judged(kind: str, opening: str, holds: bool) -> None:
    definition = Definition(kind, "f", 1, 1, opening)  # type: ignore[arg-type]
    assert (fault(definition, of_tests=False) is None) is holds


CYTHON = '''
"""A module."""
from libc.stdint cimport uint64_t

cdef struct Pair "tm_pair":
    int left

cdef enum:
    SIZE = 4

ctypedef int (*Callback)(int)

cdef extern from "x.h":
    int call(int value)

cdef class Table(Base):
    """A table."""
    cdef int size

    @property
    def free(self):
        """Free places."""
        return 0

    cdef inline Pair* find(self, uint64_t key,
                           int size) except NULL:
        r"""Return the place."""
        return NULL

cdef int prototype(int value) noexcept
'''


def test_definitions_of_cython_are_read(tmp_path: Path) -> None:
    path = tmp_path / "example.pyx"
    path.write_text(CYTHON.lstrip())
    assert [(found.kind, found.name, found.lines, found.opening) for found in definitions(path)] == [
        ("module", "", 29, "A module."),
        ("class", "Pair", 2, ""),
        ("class", "", 2, ""),
        ("class", "Table", 13, "A table."),
        ("property", "free", 3, "Free places."),
        ("function", "find", 4, "Return the place."),
    ]
