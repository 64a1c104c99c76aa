"""Where that lies what the tests of a module share."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """Folders of what the tests of a module share.

    Attributes
    ----------
    folder
        For files.
    shm_dir
        A directory of shared memory.
    name
        Name of a detector, and tag, that no other module uses.
    """

    folder: Path
    shm_dir: Path
    name: str
