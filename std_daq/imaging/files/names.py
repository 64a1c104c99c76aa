"""All names that a run gives to files, so that one check holds for all of them.

For example, a run into ``/data/run.h5`` with data files makes ``/data/run.h5``, ``/data/run_data_000001.h5`` and so on,
and, while each of them is being made, ``/data/.run.h5.k3x7q2a.partial``.
"""

import errno
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from std_daq.folders.new_file import MAX_PARTIAL_EXTRA_BYTES
from std_daq.imaging.files import layout

# linux/limits.h, without the zero at the end; NAME_MAX where no folder says otherwise
_PATH_BYTES = 4095
_NAME_BYTES = 255
_MAX_SHOWN_CHARS = 300
_DATA_FILE_EXTRA_BYTES = len("_data_000001")
# Cc: line feeds, tabs, escape sequences; Zl, Zp: other ends of a line; Cs: halves of characters. No log, message or
# reader shows a name with one of them as it is.
_UNUSABLE = frozenset({"Cc", "Zl", "Zp", "Cs"})


@dataclass(frozen=True, slots=True)
class RunNames:
    """The names of a run's files.

    Attributes
    ----------
    output_file
        Absolute path of the file, or of the master.
    has_data_files
        Whether the run has several data files.
    """

    output_file: Path
    has_data_files: bool

    def find_problem(self) -> str:
        """Return why one of the names cannot be used, whichever folder it is in; empty if all can be."""
        text = str(self.output_file)
        unusable = next((character for character in text if unicodedata.category(character) in _UNUSABLE), None)
        if unusable is not None:
            shown = text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 3]}..."
            return f"output_file {shown!r} contains the character {unusable!r}, which no name may contain"
        longest = max(map(_n_bytes, self.output_file.parent.parts))
        if longest > _NAME_BYTES:
            return f"output_file: a folder in the path has {longest} bytes; the limit is {_NAME_BYTES}"
        room = _PATH_BYTES - self._n_extra_bytes
        if _n_bytes(text) > room:
            return f"output_file: the path has {_n_bytes(text)} bytes; the limit is {room}{self._why}"
        return self._find_long_name(_NAME_BYTES)

    def find_problem_in(self, folder: Path) -> str:
        """Return why one of the names cannot be used in this existing folder; empty if all can be."""
        return self._find_long_name(_name_limit(folder))

    def find_existing(self) -> Path | None:
        """Return a file that has one of the names already, the smallest one; None if there is none.

        Raises
        ------
        OSError
            The folder cannot be read.
        """
        if os.path.lexists(self.output_file):
            return self.output_file
        if self.has_data_files and self.output_file.parent.is_dir():
            return next(iter(layout.find_data_files(self.output_file)), None)
        return None

    def collides_with(self, other: "RunNames") -> bool:
        """Return whether two runs would give the same name to a file, also where a folder takes ``A`` for ``a``."""
        if _overlap(self, other):
            return True
        folded = _fold(self), _fold(other)
        return folded != (self, other) and _overlap(*folded) and _ignores_case(self.output_file.parent)

    @property
    def _n_extra_bytes(self) -> int:
        return MAX_PARTIAL_EXTRA_BYTES + (_DATA_FILE_EXTRA_BYTES if self.has_data_files else 0)

    @property
    def _why(self) -> str:
        longer = "data files and unfinished files have" if self.has_data_files else "an unfinished file has"
        return f", because {longer} longer names"

    def _find_long_name(self, limit: int) -> str:
        n_bytes, room = _n_bytes(self.output_file.name), limit - self._n_extra_bytes
        if n_bytes <= room:
            return ""
        return f"output_file: its name has {n_bytes} bytes; the limit is {room}{self._why}"


def _overlap(one: RunNames, other: RunNames) -> bool:
    return one.output_file == other.output_file or _makes(one, other.output_file) or _makes(other, one.output_file)


def _makes(run: RunNames, path: Path) -> bool:
    """Return whether this is the path of a data file of the run."""
    return run.has_data_files and layout.is_data_file_of(run.output_file, path)


def _fold(run: RunNames) -> RunNames:
    return RunNames(Path(str(run.output_file).casefold()), run.has_data_files)


def _n_bytes(text: str) -> int:
    return len(os.fsencode(text))


def _name_limit(folder: Path) -> int:
    """Return how many bytes a name in this folder may have; encrypted folders allow fewer than others."""
    try:
        return min(os.pathconf(folder, "PC_NAME_MAX"), _NAME_BYTES)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOSYS}:
            return _NAME_BYTES
        raise


def _ignores_case(folder: Path) -> bool:
    """Return whether a folder takes ``A`` for ``a``, as of Windows; tells it by a name that is there."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    for entry in (*there.iterdir(), there):
        other = entry.with_name(entry.name.swapcase()) if entry.name else entry
        if other != entry:
            return other.exists() and other.samefile(entry)
    return False
