"""Problems that the check of a file finds."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a file.

    Attributes
    ----------
    severity
        ``error``: data are missing, wrong or not readable. ``warning``: the file is complete, but somebody should look
        at this.
    text
        What is wrong.
    remedy
        What to do; may be empty.
    """

    severity: Literal["error", "warning"]
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.severity:<9} {self.text}{f'; {self.remedy}' if self.remedy else ''}"


class HasProblems:
    """A report with problems."""

    __slots__ = ()
    problems: list[Problem]

    @property
    def is_valid(self) -> bool:
        """Whether there is no error; an incomplete run is valid if its verdict says that it is incomplete."""
        return not any(problem.severity == "error" for problem in self.problems)

    def error(self, text: str, remedy: str = "") -> None:
        """Add an error."""
        self.problems.append(Problem("error", text, remedy))

    def warn(self, text: str, remedy: str = "") -> None:
        """Add a warning."""
        self.problems.append(Problem("warning", text, remedy))
