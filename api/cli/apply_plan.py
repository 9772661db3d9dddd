"""From flows in files to flows in a running engine: what differs, what launching would do, and doing it.

Compared is what runs (the active version), or with `draft_only` what is being edited (the draft, if there is one).
Two documents are the same if they say the same, in whatever order of keys. Everything is saved as drafts first and
launched then, each step bound to the revision that was seen, so that nobody's edit is overwritten unseen. Doing it
again finds what is done and goes on with the rest.

The engine previews a launch for drafts it holds. A dry run must not save any, so the figures are computed here, from
where runs wait and rule 27: they stay where the new version still has the wait.
"""

from __future__ import annotations

from difflib import unified_diff
from typing import Any, Literal

import msgspec

from api.cli.flow_files import FlowFile
from api.cli.flow_yaml import is_same, to_yaml
from api.client.http import Client, EngineError

State = Literal["new", "changed", "unlaunched", "unchanged"]


class Change(msgspec.Struct):
    """What applying one file would do, and once it is done, what the engine answered.

    `unlaunched`: the engine has the same as a draft that was never launched. `impact`: of a launch over an active
    version. `revision`: of the draft that was there, and whether it `is_saved` as the file has it. `lost`: when that
    draft was saved, where applying would replace it unseen, else "".
    """

    flow: str
    file: str
    state: State
    diff: str = ""
    notes: list[str] = []
    impact: dict[str, Any] | None = None
    revision: int | None = None
    is_saved: bool = False
    lost: str = ""
    result: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        """For programs."""
        shown: dict[str, Any] = msgspec.to_builtins(self)
        return shown


class Plan(msgspec.Struct):
    """The changes in the order of their flows' ids; `only_in_engine` are left alone."""

    changes: list[Change]
    only_in_engine: list[str]

    @property
    def open(self) -> list[Change]:
        """What there is to do."""
        return [change for change in self.changes if change.state != "unchanged"]


def compare(client: Client, files: list[FlowFile], *, draft_only: bool) -> Plan:
    """What applying the files would do. Asks the engine; changes nothing."""
    known = {row["id"] for row in client.rows("flows")}
    changes = [
        _against(client, file, draft_only=draft_only)
        if file.flow in known
        else Change(file.flow, str(file.path), "new")
        for file in files
    ]
    return Plan(changes, sorted(known - {file.flow for file in files}))


def _against(client: Client, file: FlowFile, *, draft_only: bool) -> Change:
    """The file against the flow of its id that the engine has."""
    found = client.get("flows", file.flow)
    active = found["active"]
    draft = client.get("flows", file.flow, "draft") if found["draft"] else None
    change = Change(file.flow, str(file.path), "changed")
    if draft is not None:
        change.revision = draft["revision"]
        change.is_saved = is_same(draft["document"], file.document)
    if draft is not None and (draft_only or active is None):
        before, label = draft["document"], f"{file.flow}, draft"
    else:
        before, label = active, f"{file.flow}, version {found['version']}"
    if is_same(before, file.document):
        change.state = "unlaunched" if active is None and not draft_only else "unchanged"
    if change.state == "changed":
        change.diff = _difference(before, label, file)
    if change.state == "changed" and active is not None and not draft_only:
        change.impact = preview(client.get("flows", file.flow, "stats"), file.document)
        if found["status"] == "paused":
            change.notes.append("It is paused; launching it lets it run.")
        if draft is not None and not change.is_saved and not is_same(draft["document"], active):
            change.lost = draft["saved_at"]
    return change


def _difference(before: dict[str, Any], label: str, file: FlowFile) -> str:
    lines = unified_diff(
        to_yaml(before).splitlines(), to_yaml(file.document).splitlines(), label, str(file.path), lineterm=""
    )
    return "\n".join(lines) + "\n"


def preview(stats: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """How many waiting runs stay and how many are removed if `document` is launched, by node (rule 27)."""
    waits = {node for node, one in document["nodes"].items() if one["kind"] == "wait"}
    waiting = {node: counts["waiting"] for node, counts in stats["nodes"].items() if counts.get("waiting")}
    stay = {node: count for node, count in waiting.items() if node in waits}
    removed = {node: count for node, count in waiting.items() if node not in waits}
    return {
        "stay": {"total": sum(stay.values()), "nodes": stay},
        "removed": {"total": sum(removed.values()), "nodes": removed},
    }


def save(client: Client, file: FlowFile, change: Change) -> int:
    """Make the file the draft of its flow; its revision. Raises EngineError, also for a draft with problems."""
    path = ("flows", file.flow, "draft")
    if change.is_saved and change.revision is not None:
        return change.revision
    if change.state == "new":
        saved = client.post("flows", body=file.document)
    else:
        revision = change.revision or client.post(*path)["revision"]
        saved = client.put(*path, body=file.document, revision=revision)
    if saved["problems"]:
        problems = saved["problems"]
        detail = f"The engine finds {len(problems)} problem(s), the first: {problems[0]['detail']}"
        raise EngineError("draft_has_problems", detail)
    change.result = {key: saved[key] for key in ("flow", "status", "revision")}
    return int(saved["revision"])


def launch(client: Client, change: Change, revision: int) -> dict[str, Any]:
    """Launch the draft, if it is still the one that was saved; the engine's answer. Raises EngineError."""
    answer: dict[str, Any] = client.post("flows", change.flow, "launch", revision=revision)
    change.result = answer
    return answer
