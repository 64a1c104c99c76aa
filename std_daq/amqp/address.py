"""Address of the broker: the URLs of its nodes, its TLS files, and the form without password that logs show."""

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
class BrokerTlsFiles:
    """Files for ``amqps://``, all in PEM format.

    Attributes
    ----------
    ca_file
        Certificates of the authorities that may sign the broker's certificate; None: the authorities of the system.
    cert_file, key_file
        Client certificate and its private key, for a broker that asks for one; None: no client certificate.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Address of a broker; ``str()`` and ``repr()`` of it show no password.

    Attributes
    ----------
    urls
        URLs of the nodes, one for each node of a cluster.
    tls
        Files for the URLs that begin with ``amqps://``.
    source
        Who gives the URLs, for errors: ``broker.url``, for example.
    """

    urls: tuple[str, ...] = field(repr=False)
    tls: BrokerTlsFiles = BrokerTlsFiles()
    source: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str, tls: BrokerTlsFiles | None = None, source: str = "") -> Self:
        """Parse one URL, or several URLs with white space between them.

        Raises
        ------
        BrokerError
            The text holds no URL, or a URL that is not of RabbitMQ's form.
        """
        urls = tuple(text.split())
        if not urls:
            raise BrokerError(f"no broker URL where one is expected, such as {_EXAMPLE}")
        for url in urls:
            _check(url)
        return cls(urls, tls or BrokerTlsFiles(), source)

    @property
    def text(self) -> str:
        """The URLs with their passwords, one per line; `parse` reads this text."""
        return "\n".join(self.urls)

    def __str__(self) -> str:
        return ", ".join(map(redact_url, self.urls))


def redact_url(url: str) -> str:
    """Return the URL without user, password and query, for logs and errors.

    If what follows the last ``@`` is not a plain host, port and virtual host, nothing of the URL is shown: the rest
    may contain a part of the password.
    """
    scheme, _, rest = url.partition("://")
    place = rest.rpartition("@")[2].partition("?")[0]
    if scheme not in {"amqp", "amqps"} or _PLACE.fullmatch(place) is None:
        return _NOT_SHOWN
    return f"{scheme}://{place}"


def url_argument(text: str) -> str:
    """Return a URL from the command line; reject a URL with a password.

    Raises
    ------
    argparse.ArgumentTypeError
        The URL contains a password.
    """
    if has_password(text):
        raise argparse.ArgumentTypeError(
            "every user of this machine can read the command line: remove the password from the URL, or set "
            f"{VARIABLE}, or put the URL into a file and name the file in {FILE_VARIABLE} or broker.url_file"
        )
    try:
        BrokerAddress.parse(text)
    except BrokerError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        # An '@' in the path means that the password contains a '/', so that urlsplit took a part of it for the host.
        is_good = bool(parts.hostname) and parts.port != 0 and "@" not in parts.path and redact_url(url) != _NOT_SHOWN
    except ValueError:  # not reported: its text may contain a part of the password
        is_good = False
    if is_good and (parts.query or parts.fragment):
        raise BrokerError(
            f"broker URL {redact_url(url)!r} has a '?' or '#': remove the options after it, or write the special "
            "characters of user and password as %XX"
        )
    if not is_good:
        raise BrokerError(
            f"broker URL {redact_url(url)!r} does not look like {_EXAMPLE}; "
            "write special characters in user and password as %XX"
        )
