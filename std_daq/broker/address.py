"""Where the broker is: its URL, and how it is told to others without the password."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from std_daq.errors import BrokerError

VARIABLE = "STD_DAQ_BROKER_URL"


def find_broker_url(
    url: str | None = None, *, file: Path | None = None, environ: Mapping[str, str] = os.environ
) -> str:
    """Return the URL that was given, else that of the environment, else that in a file.

    Raises
    ------
    BrokerError
        There is none, or it is not the URL of a RabbitMQ.
    """
    found = url or environ.get(VARIABLE) or (_read(file) if file is not None else None)
    if not found:
        raise BrokerError(f"no broker: give its URL, or set {VARIABLE}=amqp://user:password@host:5672/vhost")
    if urlsplit(found).scheme not in {"amqp", "amqps"} or not urlsplit(found).hostname:
        raise BrokerError(f"broker URL {redact_url(found)!r} does not look like amqp://user:password@host:5672/")
    return found


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return None


def save_broker_url(file: Path, url: str) -> None:
    """Write the URL for `find_broker_url` to a file that only its owner reads, for it may hold a password."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(f"{url}\n")


def redact_url(url: str) -> str:
    """Return the URL without user, password and query, for logs and errors."""
    head, _, rest = url.partition("://")
    place = rest.partition("?")[0].rpartition("@")[2]
    return f"{head}://{place}" if rest else "(not a URL)"
