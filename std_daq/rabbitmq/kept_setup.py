"""What a folder was set up with, so that another call changes what it is told to change, and keeps the rest."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from std_daq.errors import ConfigError

SETTINGS = "broker-setup.json"
TLS_PORT = 5671
PLAIN_PORT = 5672


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSetup:
    """The settings of a call, which gives a part of them (the rest is None), or all that earlier calls have set.

    Attributes
    ----------
    tags, hosts, port, listen_on, vhost, has_tls, queue_type, mounted_at
        As in `BrokerSetup`.
    """

    tags: list[str]
    hosts: list[str] | None = None
    port: int | None = None
    listen_on: str | None = None
    vhost: str | None = None
    has_tls: bool | None = None
    queue_type: str | None = None
    mounted_at: str | None = None

    @classmethod
    def new(cls) -> Self:
        """Return what a new folder has before the first call."""
        return cls(
            tags=[],
            hosts=["rabbitmq"],
            port=PLAIN_PORT,
            listen_on="0.0.0.0",  # noqa: S104 -- a server in a container must listen on all of its addresses
            vhost="std-daq",
            has_tls=False,
            queue_type="default",
            mounted_at="/etc/rabbitmq",
        )

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """Return the settings of a folder, without systems whose files were removed; None for a new folder.

        Raises
        ------
        ConfigError
            The file is none of these settings.
        """
        file = directory / SETTINGS
        try:
            document = json.loads(file.read_text())
            kept = cls(**document)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise ConfigError(
                "was not written by 'std-daq broker-setup'", file=file, remedy="move the file away"
            ) from None
        tags = [tag for tag in kept.tags if (directory / f"{tag}-agent.url").exists()]
        return cls(**kept.as_document() | {"tags": tags})

    def write(self, directory: Path) -> None:
        """Write the settings; they hold no secrets."""
        (directory / SETTINGS).write_text(json.dumps(self.as_document(), indent=2) + "\n")

    def as_document(self) -> dict[str, Any]:
        """Return the settings by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def changed_by(self, given: "KeptSetup") -> "KeptSetup":
        """Return these settings with those of a call: systems are added, and all else that is given is replaced.

        The port goes with TLS, if it is the usual one of its kind and none is given.
        """
        merged = self.as_document() | {key: value for key, value in given.as_document().items() if value is not None}
        merged["tags"] = list(dict.fromkeys([*self.tags, *given.tags]))
        if given.port is None and self.port == _usual_port(has_tls=bool(self.has_tls)):
            merged["port"] = _usual_port(has_tls=bool(merged["has_tls"]))
        return KeptSetup(**merged)

    def differences(self, later: "KeptSetup") -> Iterator[str]:
        """Yield a line for each setting that another one changes: ``hosts: rabbitmq -> a b``."""
        after = later.as_document()
        for key, value in self.as_document().items():
            if value != after[key]:
                yield f"{key}: {_text(value)} -> {_text(after[key])}"


def _usual_port(*, has_tls: bool) -> int:
    """Return the port of RabbitMQ with or without TLS."""
    return TLS_PORT if has_tls else PLAIN_PORT


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
