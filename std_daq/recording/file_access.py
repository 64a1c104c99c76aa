"""Who may use the files that a run makes: mode of files and folders, and their group."""

import grp
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from std_daq.errors import ConfigError
from std_daq.recording.config import WriterConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAccess:
    """Mode and owners of new files and folders; what is None is left to the umask and the user of the process.

    Attributes
    ----------
    file_mode, folder_mode
        Mode of files and of folders, as in ``chmod``.
    group_id
        Group to which files and folders belong.
    user_id
        User to whom files belong; used only for files beside those of a user.
    """

    file_mode: int | None = None
    folder_mode: int | None = None
    group_id: int | None = None
    user_id: int | None = None

    @classmethod
    def of_config(cls, config: WriterConfig) -> Self:
        """Return what a configuration asks for.

        Raises
        ------
        ConfigError
            There is no such group.
        """
        return cls(
            file_mode=None if config.file_mode is None else int(config.file_mode, 8),
            folder_mode=None if config.folder_mode is None else int(config.folder_mode, 8),
            group_id=None if config.group is None else _group_id(config.group),
        )

    @classmethod
    def like(cls, path: Path) -> Self:
        """Return the access of an existing file, for one that comes beside it."""
        status = path.stat()
        return cls(file_mode=status.st_mode & 0o7777, group_id=status.st_gid, user_id=status.st_uid)

    def apply(self, path: Path) -> None:
        """Give a new file its group and its mode.

        Raises
        ------
        OSError
            The user of the process is not in the group.
        """
        if self.user_id is not None:
            # Without the right to give files away, the new file belongs to whoever makes it.
            with suppress(PermissionError):
                os.chown(path, self.user_id, self.group_id if self.group_id is not None else -1)
        elif self.group_id is not None:
            os.chown(path, -1, self.group_id)
        if self.file_mode is not None:
            path.chmod(self.file_mode)

    def make_folders(self, folder: Path) -> None:
        """Make a folder and those above it that are missing; what is there already stays as it is.

        Raises
        ------
        OSError
            A folder cannot be made, or the user of the process is not in the group.
        """
        missing = [folder]
        while not missing[-1].exists() and missing[-1] != missing[-1].parent:
            missing.append(missing[-1].parent)
        for path in reversed(missing):
            try:
                path.mkdir()
            except FileExistsError:
                continue
            if self.group_id is not None:
                os.chown(path, -1, self.group_id)
            if self.folder_mode is not None:
                path.chmod(self.folder_mode)


AS_MADE = FileAccess()
"""Access as umask and user of the process make it."""


def _group_id(group: str) -> int:
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            "there is no such group on this machine",
            key="writer.group",
            value=group,
            remedy="give its number, which needs no entry in /etc/group",
        ) from None
