"""Finding: the result of one check."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Severity of a finding.

    With a problem, the platform does not work as configured. A warning means that data or speed may be lost.
    """

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check.

    Parameters
    ----------
    subject
        What was checked, in two or three words.
    level
        Severity of the finding.
    text
        What was found, with numbers.
    remedy
        Command or setting that helps; empty if the level is OK.
    """

    subject: str
    level: Level
    text: str
    remedy: str = ""


def judge(subject: str, level: Level, text: str, remedy: str) -> Finding:
    """Return a finding; its remedy is left out if the level is OK."""
    return Finding(subject, level, text, "" if level is Level.OK else remedy)
