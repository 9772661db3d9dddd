"""Places in a document (JSON Pointer, RFC 6901) and the words that help a person to mend one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def escape(token: str) -> str:
    """One step of a JSON Pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def steps(pointer: str) -> list[str]:
    """The steps of a JSON Pointer, unescaped; none for the document itself."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def quoted(text: object) -> str:
    """A word of the document for a sentence about it: quoted, at most 64 characters, always printable."""
    word = str(text)
    return ascii(word[:63] + "…") if len(word) > 64 else repr(word)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """` Did you mean x?`, or nothing where no known word is close."""
    if not isinstance(word, str):
        return ""
    close = difflib.get_close_matches(word[:64].lower(), list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def is_text(raw: object) -> bool:
    """Whether this is a string that UTF-8 can carry (JSON can write half of a surrogate pair)."""
    if not isinstance(raw, str):
        return False
    try:
        raw.encode()
    except UnicodeEncodeError:
        return False
    return True


def a_kind(raw: Any) -> str:
    """What a JSON value is, for `… is expected, this is …`."""
    if raw is None:
        return "null"
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, int | float):
        return "a number"
    if isinstance(raw, str):
        return "text"
    return "a list" if isinstance(raw, list) else "an object" if isinstance(raw, dict) else "no JSON value"
