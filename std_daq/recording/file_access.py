"""Who may use the files that a run makes: mode of files and folders, and their group."""

import grp
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from std_daq.errors import ConfigError
from std_daq.folders.open_folder import OpenFolder, open_beneath
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

    def apply(self, file: Path | int) -> None:
        """Give a new file, which is given by its path or its descriptor, its group and its mode.

        Raises
        ------
        OSError
            The user of the process is not in the group.
        """
        if self.user_id is not None:
            # Without the right to give files away, the new file belongs to whoever makes it.
            with suppress(PermissionError):
                os.chown(file, self.user_id, self.group_id if self.group_id is not None else -1)
        elif self.group_id is not None:
            os.chown(file, -1, self.group_id)
        if self.file_mode is not None:
            os.chmod(file, self.file_mode)  # noqa: PTH101 -- a path or a descriptor

    def open_folder(self, folder: Path, roots: Sequence[Path] = ()) -> OpenFolder:
        """Open a folder below one of the roots, and make it and those above it that are missing.

        What is there already stays as it is. See `open_beneath` for links.

        Raises
        ------
        PermissionError
            The folder lies in none of the roots, or somebody has just put a link into its place.
        OSError
            A folder cannot be made, or the user of the process is not in the group.
        """
        return open_beneath(roots, folder, make=self._make_folder)

    def _make_folder(self, name: str, above: int) -> None:
        os.mkdir(name, dir_fd=above)
        if self.group_id is None and self.folder_mode is None:
            return
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        try:
            if self.group_id is not None:
                os.chown(fd, -1, self.group_id)
            if self.folder_mode is not None:
                os.fchmod(fd, self.folder_mode)
        finally:
            os.close(fd)


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
