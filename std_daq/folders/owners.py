"""Who may have put a file under a name: the check of an open file or folder before it is used.

In a folder that every user can write to, such as ``/dev/shm``, anybody can make a file first, under the name that a
service is going to use. Its content is then not what the services of the system have written. So a file or a folder is
used if one of these is true:

- It belongs to the user of this process, to root, or to a user in STD_DAQ_TRUSTED_USERS.
- Not every user can write to the folder that it is in, and this folder may be used by the same rules. The administrator
  has then said who can put something there.

A file to which every user can write is never used. All is read from open descriptors, so that nothing can be exchanged
between the check and the use.
"""

import os
import pwd
import stat
from pathlib import Path

from std_daq.errors import ResourceError

VARIABLE = "STD_DAQ_TRUSTED_USERS"
"""Environment variable with the names or numbers of the users that are trusted, too, separated by commas."""

_PATH_ONLY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def trusted_users() -> frozenset[int]:
    """Return the ids of the users whose files this process uses wherever they are; unknown names are no user."""
    ids = {0, os.geteuid()}
    for name in os.environ.get(VARIABLE, "").replace(",", " ").split():
        if name.isdecimal():
            ids.add(int(name))
            continue
        try:
            ids.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    return frozenset(ids)


def user_text(user_id: int) -> str:
    """Return a user as a message shows it, with its name if this machine knows one."""
    try:
        return f"user {user_id} ({pwd.getpwuid(user_id).pw_name})"
    except KeyError:
        return f"user {user_id}"


def distrust(fd: int, folder: int) -> str:
    """Return why an open file or folder must not be used, and what to do; empty if it may be used.

    Parameters
    ----------
    fd
        Descriptor of the file or folder.
    folder
        Descriptor of the folder in which it was opened.
    """
    status = os.fstat(fd)
    owner = user_text(status.st_uid)
    if status.st_mode & stat.S_IWOTH:
        return (
            f"belongs to {owner}, and every user may write to it (mode {stat.S_IMODE(status.st_mode):04o}); if it is "
            "yours, take this right away (chmod o-w), else remove it"
        )
    return distrust_owner(fd, folder)


def distrust_owner(fd: int, folder: int) -> str:
    """Return why the owner of what is open here must not be trusted, and what to do; empty if he may be.

    It asks only who has made it, not who may write to it; so it is also for links, opened as such.
    """
    user_id = os.fstat(fd).st_uid
    if user_id in trusted_users() or _is_vouched_for(folder):
        return ""
    return (
        f"belongs to {user_text(user_id)}, and every user can make files in the folder around it, so it may be a "
        f"forgery; remove it, or, if this user runs services of this system, put {user_id} into {VARIABLE}"
    )


def distrust_folder(path: Path) -> str:
    """Return why a folder must not be used for what other programs look for there, and what to do; empty if it may be.

    It may be a link only if somebody who is trusted has made the link.

    Raises
    ------
    OSError
        The folder cannot be opened; it is not there, for example.
    """
    above = os.open(path.parent, _PATH_ONLY)
    try:
        entry = os.open(path.name or ".", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        try:
            if reason := distrust_owner(entry, above):
                return f"{path} {reason}"
        finally:
            os.close(entry)
    finally:
        os.close(above)
    folder = os.open(path, _PATH_ONLY)
    try:
        above = os.open("..", _PATH_ONLY, dir_fd=folder)
        try:
            reason = distrust_owner(folder, above)
        finally:
            os.close(above)
    finally:
        os.close(folder)
    return f"{path} {reason}" if reason else ""


def make_work_folder(path: Path) -> None:
    """Make a folder for files that only this program uses, if it is not there from an earlier start.

    Raises
    ------
    ResourceError
        There is a link in its place, or a folder that just anybody may have made.
    OSError
        It cannot be made.
    """
    path.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        raise ResourceError(f"{path} is a link, and may lead to the files of others; remove it")
    if reason := distrust_folder(path):
        raise ResourceError(reason)


def _is_vouched_for(folder: int) -> bool:
    """Return whether only users whom the administrator has chosen can make files in a folder."""
    status = os.fstat(folder)
    if status.st_mode & stat.S_IWOTH:
        return False
    if status.st_uid in trusted_users():
        return True
    try:
        above = os.open("..", _PATH_ONLY, dir_fd=folder)
    except OSError:
        return False
    try:
        return os.path.samestat(os.fstat(above), status) or _is_vouched_for(above)
    finally:
        os.close(above)
