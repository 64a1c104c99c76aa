"""IndexFile: the index of a run whose data lie in files of another acquisition, in JSON."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from std_daq.folders.new_file import NewFile
from std_daq.recording.disk_file import sync_file
from std_h5_writer.file_owner import FileOwner


class IndexFile:
    """The index of a run; a reader finds either the one that was made, or the whole one of the end.

    Parameters
    ----------
    path
        Path of the index.
    owner
        User who is to own it.

    Attributes
    ----------
    is_made
        Whether it is there.
    """

    def __init__(self, path: Path, owner: FileOwner) -> None:
        self.path = path
        self.is_made = False
        self._owner = owner

    def make(self, document: Mapping[str, Any]) -> None:
        """Make it, before the first data are written; raises OSError."""
        with self._owner.in_folder(self.path.parent) as folder, NewFile(self.path, folder) as new:
            self._write(document, new)
            new.appear()
            self.is_made = True

    def end(self, document: Mapping[str, Any], after_each: Callable[[], None]) -> None:
        """Replace it at the end of the run, and wait until it is on the disk; raises OSError."""
        with self._owner.in_present_folder(self.path.parent) as folder:
            with NewFile(self.path, folder) as new:
                self._write(document, new)
                new.replace()
            sync_file(self.path, after_each, folder)

    def _write(self, document: Mapping[str, Any], new: NewFile) -> None:
        new.write(f"{json.dumps(document, indent=1)}\n".encode())
        self._owner.access.apply(new.fd)
