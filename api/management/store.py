"""The store over HTTP: a copy of it, and nothing left in it of who was deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from quart import Blueprint, Response
from quart_schema import tag_blueprint

from api.management import answers
from api.management.openapi import operation
from api.management.request import answer, body, service

store = Blueprint("store", __name__, url_prefix="/v1/store")
tag_blueprint(store, ["operations"])


class BackupFolder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the copy goes."""

    folder: Annotated[
        str,
        msgspec.Meta(min_length=1, description="A new directory on the engine's machine, by its whole path."),
    ]


@store.post("/backup")
@operation(needs="store", body=BackupFolder, answers={200: answers.BackedUp}, refusals=(503,))
async def back_up() -> Response:
    """Copy the data directory into a new directory, while events go on."""
    folder = (await body(BackupFolder)).folder
    return answer({"folder": folder, "seq": await service().back_up(Path(folder))})


@store.post("/compact")
@operation(needs="store", answers={200: answers.Health}, refusals=(503,))
async def compact() -> Response:
    """Leave nothing in the files of contacts that were deleted; by itself the engine does so within a day."""
    await service().compact()
    return answer({"status": "ok"})
