"""FileOwner: creates files and folders as the user who is to own them."""

import ctypes
import errno
import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from std_daq.errors import ConfigError
from std_daq.folders.open_folder import OpenFolder, open_beneath
from std_daq.recording.file_access import AS_MADE, FileAccess

# CAP_SETGID and CAP_SETUID: see linux/capability.h.
_CAPABILITIES = 1 << 6 | 1 << 7
_NOBODY = -1


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
        self._libc = ctypes.CDLL(None, use_errno=True)
        for identity in (self._libc.setfsuid, self._libc.setfsgid):
            identity.argtypes, identity.restype = [ctypes.c_uint], ctypes.c_uint  # signed, large ids would be negative
        self._configured = user_id
        self._own_groups = os.getgroups()
        own = os.geteuid()
        self._user_id = None if user_id in {None, own} else user_id
        self._group_id = 0
        if self._user_id is None:
            _check_group(access.group_id, own)
            return
        if not may_act_as_others():
            raise ConfigError(
                f"this service runs as user {own}, and cannot create files for another user",
                key="writer_user_id",
                value=user_id,
                remedy=f"run it as root or as user {user_id}, or remove the key",
            )
        self._take_groups(self._user_id)

    def act_for(self, user_id: int | None) -> None:
        """Make the files of the next run for a user; for the one who is configured if this is None.

        Raises
        ------
        PermissionError
            The service runs neither as root nor with the capabilities SETUID and SETGID.
        """
        wanted = self._configured if user_id is None else user_id
        wanted = None if wanted == os.geteuid() else wanted
        if wanted == self._user_id:
            return
        if not may_act_as_others():
            raise PermissionError(
                f"this writer runs as user {os.geteuid()} without the capabilities SETUID and SETGID, and cannot make "
                f"files for user {user_id}; leave user out of the request, or start the writer as root"
            )
        if wanted is None:
            os.setgroups(self._own_groups)
        else:
            self._take_groups(wanted)
        self._user_id = wanted

    def _take_groups(self, user_id: int) -> None:
        self._group_id, groups = _groups_of(user_id)
        if self.access.group_id is not None:
            groups = [*groups, self.access.group_id]  # without the rights of root, only members give a file to a group
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
            # The call returns no error, only the identity from before: an impossible one changes nothing.
            if self._libc.setfsuid(_NOBODY) != self._user_id:
                raise PermissionError(errno.EPERM, f"this process may not make files for user {self._user_id}")
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


def may_act_as_others() -> bool:
    """Return whether this process may take the identity of another user for access to the file system."""
    if os.geteuid() == 0:
        return True
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16) & _CAPABILITIES == _CAPABILITIES
    return False


def check_users(users: Sequence[str | int]) -> None:
    """Raise ConfigError if this process cannot make files for the users whom requests may name."""
    if users and not may_act_as_others():
        raise ConfigError(
            f"this service runs as user {os.geteuid()}, and cannot make files for other users",
            key="writer.users",
            value=users[0],
            remedy="run it as root or with the capabilities SETUID and SETGID, or remove the key",
        )


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
