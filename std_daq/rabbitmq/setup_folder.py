"""A folder with the files of a broker and its users: a URL file for each role, and the files that RabbitMQ reads.

::

    jungfrau-agent.url   jungfrau-client.url   listener.url   monitor.url   admin.url    secrets, mode 0600
    definitions.json     users with hashes of their passwords, rights, exchanges, queues
    rabbitmq.conf        the address, TLS and definitions file of RabbitMQ
    broker-setup.json    the settings, for the next call
    ca.pem  broker-cert.pem  broker-key.pem    with TLS only; the administrator puts them there
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from std_daq.amqp.address import BrokerAddress
from std_daq.amqp.topology import QueueType
from std_daq.amqp.url_file import read_url_file, save_url_file
from std_daq.errors import BrokerError, ConfigError
from std_daq.rabbitmq.definitions import hash_password, is_hash_of, make_definitions
from std_daq.rabbitmq.kept_setup import KeptSetup
from std_daq.rabbitmq.roles import Role, all_roles

DEFINITIONS = "definitions.json"
CONFIGURATION = "rabbitmq.conf"
CA_FILE = "ca.pem"
CERT_FILE = "broker-cert.pem"
KEY_FILE = "broker-key.pem"

# A request has at most 1 MiB, and a status repeats it; 4 MiB leave room for the rest of the status.
MAX_MESSAGE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSetup:
    """Settings of a broker.

    Attributes
    ----------
    tags
        Tags of the detectors that use the broker.
    hosts
        Host names under which clients reach the nodes.
    port
        Port on which the nodes listen.
    listen_on
        Address on which the nodes listen.
    vhost
        Virtual host.
    has_tls
        Whether the broker accepts TLS only; False: plain TCP only.
    queue_type
        Type of the queues.
    mounted_at
        Folder in which the broker finds the files.
    """

    tags: Sequence[str]
    hosts: Sequence[str]
    port: int
    listen_on: str
    vhost: str
    has_tls: bool
    queue_type: QueueType
    mounted_at: Path

    @classmethod
    def of(cls, kept: KeptSetup) -> Self:
        """Return settings that are complete."""
        fields = kept.as_document()
        return cls(**fields | {"mounted_at": Path(fields["mounted_at"])})


def write_setup(setup: BrokerSetup, directory: Path) -> list[tuple[Role, Path]]:
    """Write the files, and return the URL file of each role; existing passwords are kept.

    Raises
    ------
    ConfigError
        The broker has TLS and a certificate is missing. Or an existing file was not written by this function, or a tag
        is not allowed.
    """
    roles = all_roles(setup.tags)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if setup.has_tls:
        _check_certificates(directory)
    hashes = _kept_hashes(directory / DEFINITIONS)
    files = []
    for role in roles:
        file = directory / f"{role.name}.url"
        password = _kept_password(file, role) or secrets.token_urlsafe(32)
        if not is_hash_of(password, hashes.get(role.name, "")):
            hashes[role.name] = hash_password(password)
        save_url_file(file, "\n".join(_url(setup, role, password, host) for host in setup.hosts))
        files.append((role, file))
    definitions = make_definitions(setup.tags, setup.vhost, hashes, setup.queue_type)
    _write_public(directory / DEFINITIONS, json.dumps(definitions, indent=2) + "\n")
    _write_public(directory / CONFIGURATION, _configuration(setup))
    return files


def _write_public(file: Path, text: str) -> None:
    """Write a file that RabbitMQ's user must read; it is not secret, as hashes do not reveal random passwords."""
    file.write_text(text)
    file.chmod(0o644)


def _url(setup: BrokerSetup, role: Role, password: str, host: str) -> str:
    scheme = "amqps" if setup.has_tls else "amqp"
    place = f"[{host}]" if ":" in host else host
    credentials = f"{quote(role.name, safe='')}:{quote(password, safe='')}"
    return f"{scheme}://{credentials}@{place}:{setup.port}/{quote(setup.vhost, safe='')}"


def _configuration(setup: BrokerSetup) -> str:
    listen_on = f"{setup.listen_on}:{setup.port}"
    lines = [
        "# Made by 'std-daq broker-setup'.",
        f"load_definitions = {setup.mounted_at / DEFINITIONS}",
        f"max_message_size = {MAX_MESSAGE_BYTES}",
    ]
    if not setup.has_tls:
        return "\n".join([*lines, f"listeners.tcp.1 = {listen_on}", ""])
    return "\n".join(
        [
            *lines,
            "listeners.tcp = none",
            f"listeners.ssl.1 = {listen_on}",
            f"ssl_options.cacertfile = {setup.mounted_at / CA_FILE}",
            f"ssl_options.certfile = {setup.mounted_at / CERT_FILE}",
            f"ssl_options.keyfile = {setup.mounted_at / KEY_FILE}",
            "ssl_options.versions.1 = tlsv1.3",
            "ssl_options.versions.2 = tlsv1.2",
            "# Clients need no certificate; a certificate from another authority is refused.",
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = false",
            "",
        ]
    )


def _check_certificates(directory: Path) -> None:
    for name in (CA_FILE, CERT_FILE, KEY_FILE):
        if not (directory / name).is_file():
            raise ConfigError(
                "does not exist; a broker with TLS needs it",
                file=directory / name,
                remedy="docs/how-to/secure-the-broker.md says how to make it",
            )


def _kept_password(file: Path, role: Role) -> str | None:
    if not file.exists():
        return None
    try:
        parts = urlsplit(BrokerAddress.parse(read_url_file(file)).urls[0])
    except (BrokerError, UnicodeDecodeError):
        parts = urlsplit("")
    if unquote(parts.username or "") != role.name or not parts.password:
        raise ConfigError(f"is not the URL of the user {role.name}", file=file, remedy="move the file away")
    return unquote(parts.password)


def _kept_hashes(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    try:
        return {user["name"]: user["password_hash"] for user in json.loads(file.read_text())["users"]}
    except (ValueError, KeyError, TypeError):
        raise ConfigError("was not written by 'std-daq broker-setup'", file=file, remedy="move the file away") from None
