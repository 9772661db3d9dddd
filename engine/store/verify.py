"""Verification: everything a data directory holds is read, and all that is wrong with it is said at once.

Pages, then every piece of the checkpoint and every frame of the journal by their checksums, then the state itself:
restored in memory and replayed, each batch by the digest of the one before. Nothing is written.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import msgspec

from engine.errors import StoreError
from engine.kernel import Kernel
from engine.store import directory
from engine.store.checkpoint import Checkpoints
from engine.store.journal import Journal
from engine.store.recover import recover


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: a stable word, and a sentence that says what and where."""

    code: str
    detail: str


class Verified(msgspec.Struct, frozen=True):
    """Result of a verification: what was read, and what was found.

    `seq`, `contacts` and `digest` (hex) are those of the state at the end; absent where there is none.
    """

    frames: int
    pieces: int
    findings: list[Finding]
    seq: int | None = None
    contacts: int | None = None
    digest: str | None = None

    @property
    def good(self) -> bool:
        return not self.findings


def verify(data: Path) -> Verified:
    """Verify the data directory `data`, which no engine may run on. Raises StoreError `locked`, or `unusable` where
    there is none."""
    for name in (directory.JOURNAL, directory.CHECKPOINTS):
        if not (data / name / "data.mdb").is_file():
            raise StoreError("unusable", f"{data} is no data directory: it has no {name}/data.mdb.")
    with directory.hold(data), ExitStack() as stack:
        findings: list[Finding] = []
        opened = []
        for kind, name in ((Journal, directory.JOURNAL), (Checkpoints, directory.CHECKPOINTS)):
            try:
                one = kind(data / name)
            except StoreError as error:
                findings.append(_finding(error))
            else:
                stack.callback(one.close)
                opened.append(one)
        journal = next((one for one in opened if isinstance(one, Journal)), None)
        checkpoints = next((one for one in opened if isinstance(one, Checkpoints)), None)
        frames = pieces = 0
        if journal is not None:
            frames, wrong = journal.examine()
            findings += map(_finding, wrong)
        if checkpoints is not None:
            pieces, wrong = checkpoints.examine()
            findings += map(_finding, wrong)
        if journal is None or checkpoints is None or findings:
            return Verified(frames, pieces, findings)
        return _replayed(journal, checkpoints, frames, pieces)


def _replayed(journal: Journal, checkpoints: Checkpoints, frames: int, pieces: int) -> Verified:
    kernel = Kernel(key=journal.key)
    try:
        recover(kernel, journal, checkpoints)
    except StoreError as error:
        return Verified(frames, pieces, [_finding(error)])
    contacts = kernel.counts()["contacts"]
    return Verified(frames, pieces, [], kernel.seq, contacts, kernel.digest().hex())


def _finding(error: StoreError) -> Finding:
    return Finding(error.code, error.detail)
