"""FileOwner: files and folders are made as the user to whom they shall belong."""

import ctypes
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from std_daq.errors import ConfigError


class FileOwner:
    """The user in whose name files are made.

    The calling thread takes the user's identity for access to the file system (setfsuid), so that a file belongs to
    the user from its first moment on, lies only where the user may write, and no link that another user puts in its
    way is followed with the rights of root. Rings and sockets stay those of the service.

    Parameters
    ----------
    user_id
        The user; None for the user that the service runs as.

    Raises
    ------
    ConfigError
        The service runs neither as root nor as this user.
    """

    def __init__(self, user_id: int | None) -> None:
        own = os.geteuid()
        self._user_id = None if user_id in {None, own} else user_id
        if self._user_id is None:
            return
        if own != 0:
            raise ConfigError(
                f"this service runs as user {own} and cannot give files to another",
                key="writer_user_id",
                value=user_id,
                remedy=f"run it as root or as user {user_id}, or remove the key",
            )
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._group_id, groups = _groups_of(self._user_id)
        if groups:
            # Only while the user's identity is taken do groups matter: root may do everything anyway.
            os.setgroups(groups)

    @contextmanager
    def identity(self) -> Iterator[None]:
        """Make files as the user for a while; for one thread."""
        if self._user_id is None:
            yield
            return
        self._libc.setfsgid(self._group_id)
        self._libc.setfsuid(self._user_id)
        try:
            yield
        finally:
            self._libc.setfsuid(0)
            self._libc.setfsgid(os.getegid())


def _groups_of(user_id: int) -> tuple[int, list[int]]:
    """Return the user's group and all groups; a user whom this machine does not know has a group of its own number."""
    try:
        user = pwd.getpwuid(user_id)
    except KeyError:
        return user_id, []
    return user.pw_gid, os.getgrouplist(user.pw_name, user.pw_gid)
