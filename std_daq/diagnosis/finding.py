"""Finding: one thing that was looked at, and how it is."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is: a problem keeps the platform from working as configured, a warning may cost data or speed."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found.

    Parameters
    ----------
    subject
        What was looked at, in two or three words.
    level
        How bad it is.
    text
        What was found, with the numbers.
    remedy
        The command or the setting that helps; empty where all is well.
    """

    subject: str
    level: Level
    text: str
    remedy: str = ""


def judge(subject: str, level: Level, text: str, remedy: str) -> Finding:
    """Return a finding that has its remedy only where one is needed."""
    return Finding(subject, level, text, "" if level is Level.OK else remedy)
