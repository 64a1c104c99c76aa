"""NumberedPath: a path with a number that counts up by itself, such as ``/data/run_{number:04}.h5``."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from std_daq.errors import RequestRefusedError
from std_daq.imaging.files.layout import is_data_file_of

MAX_WIDTH = 12
LAST_NUMBER = 10**MAX_WIDTH - 1
_PLACE = re.compile(r"\{number(?::0([1-9][0-9]?)d?)?\}")
_WORD = "{number"


class NumberedPath:
    """The names that a path with ``{number}`` stands for.

    Parameters
    ----------
    path
        The path.
    place
        Where the number is in the name.
    """

    def __init__(self, path: Path, place: re.Match[str]) -> None:
        self._folder = path.parent
        self._before, self._after = path.name[: place.start()], path.name[place.end() :]
        self._width = int(place[1] or 1)

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Return the names of a path; None if it has no number.

        Raises
        ------
        RequestRefusedError
            The number is in a folder, comes twice, or has a format that no number has.
        """
        if _WORD not in str(path):
            return None
        places = list(_PLACE.finditer(path.name))
        if len(places) != 1 or str(path).count(_WORD) != 1 or int(places[0][1] or 1) > MAX_WIDTH:
            raise RequestRefusedError(
                f"output_file: a path may have one number, in the name of the file: {{number}}, or {{number:04}} for "
                f"four digits, at most {MAX_WIDTH}"
            )
        return cls(path, places[0])

    def path(self, number: int) -> Path:
        """Return the path with a number."""
        return self._folder / f"{self._before}{number:0{self._width}d}{self._after}"

    def next_number(self, taken: Iterable[Path]) -> int:
        """Return one more than the largest number of files in the folder, and of paths that are taken; at least 1.

        Gaps are not filled: whoever removes a file in the middle finds no other run in its place.

        Raises
        ------
        OSError
            The folder is there, but cannot be read.
        """
        names = [path.name for path in taken if path.parent == self._folder]
        if os.path.lexists(self._folder):
            names += [entry.name for entry in os.scandir(self._folder)]
        return 1 + max((self._number_of(name) for name in names), default=0)

    def _number_of(self, name: str) -> int:
        """Return the number in a name, also in that of a data file whose master is not there; 0 if it has none."""
        if not name.startswith(self._before):
            return 0
        digits = re.match(r"[0-9]*", name[len(self._before) :], re.ASCII)
        text = "" if digits is None else digits[0]
        if not text or len(text) > MAX_WIDTH:
            return 0
        master = self._folder / f"{self._before}{text}{self._after}"
        is_one = name == master.name or is_data_file_of(master, self._folder / name)
        return int(text) if is_one else 0
