"""Bounds of what a configuration holds: those that all values have, and those that many fields share."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from std_daq.errors import ConfigError

# Waits are given to the kernel and to libraries, some of which count milliseconds in 32 bits: 24 days at most.
MAX_SECONDS = 1_000_000
MAX_GB = 1_000_000
MAX_RING_SLOTS = 1_000_000
LAST_PORT = 65_535
LAST_USER_ID = 2**32 - 2
MAX_CPU = 65_535

Port = Annotated[int, Field(ge=0, le=LAST_PORT)]

MAX_DOCUMENT_BYTES = 64 * 2**20
MAX_TEXT_CHARS = 65_536
MAX_DEPTH = 32
_LAST_INTEGER = 2**64 - 1
_FIRST_INTEGER = -(2**63)


def check_bounds(document: dict[str, Any], file: Path | str | None = None) -> None:
    """Check the bounds that all values of a configuration have, whatever their keys mean.

    Numbers are finite, and integers have 64 bits at most. Texts have 65,536 characters at most, and no NUL, which no
    path may have. Nothing is nested deeper than 32 levels.

    Raises
    ------
    ConfigError
        A value is out of bounds; the error has file, key and bound.
    """
    for path, value in _walk(document, ()):
        problem = _problem_of(value) if len(path) <= MAX_DEPTH else f"is nested deeper than {MAX_DEPTH} levels"
        if problem:
            raise ConfigError(problem, file=file, key=".".join(path[:4]))


def _walk(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield each value with its keys; nothing that is nested deeper than one level too many."""
    yield path, value
    if len(path) > MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, _shown(key)), key
            yield from _walk(inner, (*path, _shown(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, (*path, str(index)))


def _shown(key: object) -> str:
    return str(key)[:80].encode(errors="replace").decode()


def _problem_of(value: object) -> str | None:
    if isinstance(value, str):
        return _problem_of_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number, and is {value}"
    if isinstance(value, int) and not _FIRST_INTEGER <= value <= _LAST_INTEGER:
        return f"is an integer of more than 64 bits; the largest is {_LAST_INTEGER}, the smallest {_FIRST_INTEGER}"
    return None


def _problem_of_text(text: str) -> str | None:
    if len(text) > MAX_TEXT_CHARS:
        return f"has {len(text)} characters; a text or a key may have {MAX_TEXT_CHARS}"
    if "\0" in text:
        return "has a NUL character, which no text or key may have"
    if any("\ud800" <= char <= "\udfff" for char in text):
        return "has half of a surrogate pair, which is no character"
    return None
