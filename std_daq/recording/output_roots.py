"""The folders for data: whether files can be written there, told before a run needs them."""

import os
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from std_daq.errors import ConfigError
from std_daq.recording.config import RecordingConfig


def check_output_roots(config: RecordingConfig, identity: AbstractContextManager[object] | None = None) -> None:
    """Make a file in each folder of ``writer.output_roots``; it has no name, or loses it at once.

    Parameters
    ----------
    config
        The configuration.
    identity
        Takes the identity of the user in whose name files are made; by default that of the process.

    Raises
    ------
    ConfigError
        With the folder, its owner, who wanted to write, and what to do.
    """
    with identity or nullcontext():
        for root in config.writer.output_roots:
            _check(root, os.geteuid() if config.writer_user_id is None else config.writer_user_id)


def _check(root: Path, user: int) -> None:
    try:
        with tempfile.TemporaryFile(dir=root):
            return
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            "there is no such folder",
            key="writer.output_roots",
            value=str(root),
            remedy="make it, or mount it if this is a container",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"user {user} cannot write to this folder{_of_whom(root)}: {error.strerror}",
            key="writer.output_roots",
            value=str(root),
            remedy=f"chown {user} {root}, or run the writers as its owner (DAQ_UID in a container)",
        ) from None


def _of_whom(root: Path) -> str:
    try:
        status = root.stat()
    except OSError:
        return ""  # nor may the user enter a folder above it
    return f" of user {status.st_uid}, group {status.st_gid}, mode {status.st_mode & 0o7777:04o}"
