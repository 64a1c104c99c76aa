"""The folder of units: what a new set of units changes there, and the change."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from std_daq.errors import ArgumentError
from std_daq.systemd.units import mark

NEW, CHANGED, SAME, REMOVED = "new", "changed", "as before", "removed"


@dataclass(frozen=True, slots=True)
class UnitChange:
    """What becomes of one file.

    Attributes
    ----------
    file
        The file.
    what
        ``new``, ``changed``, ``as before`` or ``removed``.
    lines
        The lines that change, those that go with ``-``, those that come with ``+``.
    """

    file: Path
    what: str
    lines: tuple[str, ...] = ()


def write_units(folder: Path, units: dict[str, str], systems: Iterable[str]) -> list[UnitChange]:
    """Write units, and remove those of the same systems that are needed no more; returns what has changed.

    Parameters
    ----------
    folder
        The folder; made if it is missing.
    units
        File name and text of all units of these systems.
    systems
        Names of the systems; units of others are left alone.

    Raises
    ------
    ArgumentError
        A file of one of these names was not written by this program; nothing is changed.
    """
    marks = {f"# {mark(system)}" for system in systems}
    there = {path.name: _read(path) for path in sorted(folder.glob("std-daq-*")) if path.is_file()}
    for name in units.keys() & there.keys():
        if _first_line(there[name]) not in marks:
            raise ArgumentError(
                "--output",
                "a unit of this name is there that std-daq systemd has not written for this system",
                value=folder / name,
                remedy="rename or remove it, or give another folder",
            )
    changes = [_change(folder / name, there.get(name), text) for name, text in units.items()]
    obsolete = [name for name, text in there.items() if name not in units and _first_line(text) in marks]
    folder.mkdir(parents=True, exist_ok=True)
    for change in changes:
        if change.what != SAME:
            change.file.write_text(units[change.file.name])
    for name in obsolete:
        (folder / name).unlink()
    return [*changes, *(UnitChange(folder / name, REMOVED) for name in obsolete)]


def _change(file: Path, before: str | None, text: str) -> UnitChange:
    if before is None:
        return UnitChange(file, NEW)
    if before == text:
        return UnitChange(file, SAME)
    lines = difflib.unified_diff(before.splitlines(), text.splitlines(), n=0, lineterm="")
    return UnitChange(file, CHANGED, tuple(line for line in lines if not line.startswith(("---", "+++", "@@"))))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
