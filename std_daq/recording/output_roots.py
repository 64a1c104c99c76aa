"""Check at start-up that files can be written to the folders for data, before a run needs them."""

import os
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from std_daq.errors import ConfigError
from std_daq.recording.config import RecordingConfig
from std_daq.recording.file_access import AS_MADE, FileAccess


def check_output_roots(
    config: RecordingConfig,
    access: FileAccess = AS_MADE,
    identity: AbstractContextManager[object] | None = None,
) -> None:
    """Create a file in each folder of ``writer.output_roots`` to check that this is possible.

    The file has no name, or loses its name at once.

    Parameters
    ----------
    config
        The configuration.
    access
        Mode and group that the files will get; without output roots nobody checks them here.
    identity
        Context in which the process acts as the user who will own the files; by default it acts as its own user.

    Raises
    ------
    ConfigError
        No file can be created. The message names the folder, its owner, the user who tried to write, and the remedy.
    """
    with identity or nullcontext():
        for root in config.writer.output_roots:
            user = os.geteuid() if config.writer_user_id is None else config.writer_user_id
            _check(root, user)
            _check_access(root, user, access)


def _check(root: Path, user: int) -> None:
    try:
        with tempfile.TemporaryFile(dir=root):
            return
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            "there is no such folder",
            key="writer.output_roots",
            value=str(root),
            remedy="create the folder; in a container, mount it",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"user {user} cannot write to this folder{_of_whom(root)}: {error.strerror}",
            key="writer.output_roots",
            value=str(root),
            remedy=f"chown {user} {root}, or run the writers as the folder's owner (DAQ_UID in a container)",
        ) from None


def _check_access(root: Path, user: int, access: FileAccess) -> None:
    if access == AS_MADE:
        return
    try:
        with tempfile.NamedTemporaryFile(dir=root, prefix=".std-daq-") as file:
            access.apply(file.fileno())
    except OSError as error:
        raise ConfigError(
            f"user {user} cannot give files in {root} to this group: {error.strerror}",
            key="writer.group",
            value=access.group_id,
            remedy=f"put user {user} into the group, or remove the key",
        ) from None


def _of_whom(root: Path) -> str:
    try:
        status = root.stat()
    except OSError:
        return ""  # the user may not enter a folder above it
    return f" of user {status.st_uid}, group {status.st_gid}, mode {status.st_mode & 0o7777:04o}"
