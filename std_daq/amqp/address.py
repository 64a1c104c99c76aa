"""Where the broker is: the URLs of its nodes, the files of its TLS, and how it is told to others without password."""

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from std_daq.config.broker_url import has_password
from std_daq.errors import BrokerError

VARIABLE = "STD_DAQ_BROKER_URL"
FILE_VARIABLE = "STD_DAQ_BROKER_URL_FILE"

_EXAMPLE = "amqp://user:password@host:5672/vhost"
_NOT_SHOWN = "(not a URL)"
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+)(?::\d+)?(?:/[A-Za-z0-9_.%-]*)?")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files for ``amqps://``, all in PEM.

    Attributes
    ----------
    ca_file
        Certificates that the broker's one must descend from; None: those of the system.
    cert_file, key_file
        What is shown to a broker that wants to know who comes; None: nothing.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is; its text tells no password.

    Attributes
    ----------
    urls
        One for each node of a cluster.
    tls
        Files for those that are ``amqps://``.
    """

    urls: tuple[str, ...] = field(repr=False)
    tls: TlsFiles = TlsFiles()

    @classmethod
    def parse(cls, text: str, tls: TlsFiles | None = None) -> Self:
        """Read one URL, or several with white space between them.

        Raises
        ------
        BrokerError
            There is none, or one is not the URL of a RabbitMQ.
        """
        urls = tuple(text.split())
        if not urls:
            raise BrokerError(f"no broker URL where one is expected, such as {_EXAMPLE}")
        for url in urls:
            _check(url)
        return cls(urls, tls or TlsFiles())

    @property
    def text(self) -> str:
        """The URLs with their passwords, one a line, as `parse` reads them."""
        return "\n".join(self.urls)

    def __str__(self) -> str:
        return ", ".join(map(redact_url, self.urls))


def redact_url(url: str) -> str:
    """Return the URL without user, password and query, for logs and errors.

    Whatever does not end in a plain place is not shown at all: it may be a piece of a password.
    """
    scheme, _, rest = url.partition("://")
    place = rest.rpartition("@")[2].partition("?")[0]
    if scheme not in {"amqp", "amqps"} or _PLACE.fullmatch(place) is None:
        return _NOT_SHOWN
    return f"{scheme}://{place}"


def url_argument(text: str) -> str:
    """Return the URL that was given on a command line, where it may hold no password."""
    if has_password(text):
        raise argparse.ArgumentTypeError(
            "a command line is seen by everybody on the machine: leave the password away, or set "
            f"{VARIABLE}, or name a file with the URL by {FILE_VARIABLE} or broker.url_file"
        )
    return text


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        # An '@' behind the host is one of a password with a '/' in it.
        is_good = bool(parts.hostname) and parts.port != 0 and "@" not in parts.path and redact_url(url) != _NOT_SHOWN
    except ValueError:  # its text may hold a piece of the password
        is_good = False
    if is_good and (parts.query or parts.fragment):
        raise BrokerError(
            f"broker URL {redact_url(url)!r} goes on after '?' or '#': give no options there, and write special "
            "characters in user and password as %XX"
        )
    if not is_good:
        raise BrokerError(
            f"broker URL {redact_url(url)!r} does not look like {_EXAMPLE}; "
            "special characters in user and password are written as %XX"
        )
