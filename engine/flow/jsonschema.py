"""The flow document as JSON Schema, for editors: completion, the meaning of a key, most mistakes while typing.

It is made from the same tables that `validate` reads by, so a key cannot be known to one and not to the other.
What it cannot say (shares, edges, expressions, templates) only `validate.check` tells.
"""

from __future__ import annotations

from typing import Any

from engine.flow.tables.actions import ACTIONS
from engine.flow.tables.flow import NODES
from engine.flow.validate import DOCUMENT


def flow_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a flow; `tidemill schema` prints it."""
    records = {**NODES, **ACTIONS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A tidemill flow",
        **DOCUMENT.schema(),
        "$defs": {name: record.schema() for name, record in records.items()},
    }
