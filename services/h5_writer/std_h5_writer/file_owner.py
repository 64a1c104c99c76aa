"""FileOwner: creates files and folders as the user who is to own them."""

import ctypes
import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from std_daq.errors import ConfigError
from std_daq.folders.open_folder import OpenFolder, open_beneath
from std_daq.recording.file_access import AS_MADE, FileAccess


class FileOwner:
    """The user who is to own the files.

    The calling thread takes this user's identity for access to the file system (setfsuid). So a file belongs to the
    user from the moment of its creation, and can only be in folders to which the user may write. Another user cannot
    misuse the rights of root with a symbolic link. Rings and sockets still belong to the user of the service.

    Parameters
    ----------
    user_id
        Id of the user; None for the user who runs the service.
    access
        Mode and group of the files.
    roots
        Folders in which the files have to lie (``writer.output_roots``); anywhere if there are none. The agent has
        checked this when it took the request; since then somebody may have put a link into the place of a folder.

    Attributes
    ----------
    access
        Mode and group of the files; apply them in the context of `identity`.

    Raises
    ------
    ConfigError
        The service runs neither as root nor as this user, or its user is not in the group.
    """

    def __init__(self, user_id: int | None, access: FileAccess = AS_MADE, roots: Sequence[Path] = ()) -> None:
        self.access = access
        self._roots = tuple(roots)
        own = os.geteuid()
        self._user_id = None if user_id in {None, own} else user_id
        if self._user_id is None:
            _check_group(access.group_id, own)
            return
        if own != 0:
            raise ConfigError(
                f"this service runs as user {own}, and cannot create files for another user",
                key="writer_user_id",
                value=user_id,
                remedy=f"run it as root or as user {user_id}, or remove the key",
            )
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._group_id, groups = _groups_of(self._user_id)
        if access.group_id is not None:
            groups = [*groups, access.group_id]  # without the rights of root, only members give a file to a group
        if groups:
            # The groups take effect only under the user's identity, because root needs none for access.
            os.setgroups(groups)

    @contextmanager
    def identity(self) -> Iterator[None]:
        """Access the file system as the user while the context is open; applies to the calling thread only."""
        if self._user_id is None:
            yield
            return
        group = self._libc.setfsgid(self._group_id)
        user = self._libc.setfsuid(self._user_id)
        try:
            yield
        finally:  # as it was before, because contexts are used within each other
            self._libc.setfsuid(user)
            self._libc.setfsgid(group)

    @contextmanager
    def in_folder(self, path: Path) -> Iterator[OpenFolder]:
        """Access the file system as the user, in a folder that is made if it is missing, while the context is open.

        Raises
        ------
        OSError
            The folder cannot be opened or made, or it leads out of the roots.
        """
        with self.identity(), self.access.open_folder(path, self._roots) as folder:
            yield folder

    @contextmanager
    def in_present_folder(self, path: Path) -> Iterator[OpenFolder]:
        """Do the same in a folder in which there are files of the run already; nothing is made."""
        with self.identity(), open_beneath(self._roots, path) as folder:
            yield folder


def _check_group(group_id: int | None, user_id: int) -> None:
    if group_id is not None and user_id != 0 and group_id not in {os.getegid(), *os.getgroups()}:
        raise ConfigError(
            f"this service runs as user {user_id}, who is not in this group",
            key="writer.group",
            value=group_id,
            remedy=f"put user {user_id} into the group, run the service as root, or remove the key",
        )


def _groups_of(user_id: int) -> tuple[int, list[int]]:
    """Return the user's primary group and all groups; for a user unknown to this machine, a group of the same id."""
    try:
        user = pwd.getpwuid(user_id)
    except KeyError:
        return user_id, []
    return user.pw_gid, os.getgrouplist(user.pw_name, user.pw_gid)
