"""Files that contain the URL of a broker with its password."""

import os
import stat
from pathlib import Path

from std_daq.telemetry.logs import get_logger

# Container engines make secrets readable for all users, in a directory that only the container can see.
ENGINE_SECRETS = Path("/run/secrets")


def read_url_file(file: Path) -> str:
    """Return the URLs in a file, one per line; log a warning if other users may read the file.

    Raises
    ------
    OSError, UnicodeDecodeError
        The file cannot be read.
    """
    text = file.read_text(encoding="utf-8").strip()
    if is_open_to_others(file):
        get_logger().warning("broker_url_file_is_open_to_others", file=str(file), remedy=f"chmod o= {file}")
    return text


def save_url_file(file: Path, urls: str) -> None:
    """Write the URLs to a file that only its owner may read, because they may contain a password."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(f"{urls}\n")


def is_open_to_others(file: Path) -> bool:
    """Return whether users who are neither the owner nor in the group of the file may read or write it."""
    if file.is_relative_to(ENGINE_SECRETS):
        return False
    return bool(stat.S_IMODE(file.stat().st_mode) & stat.S_IRWXO)
