"""PlatformConfig: what the configuration of every system has, whatever its detector is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from std_daq.config.broker_url import has_password
from std_daq.config.section import SECRET, Section

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class SharedMemoryConfig(Section):
    """Where the rings lie."""

    directory: Path = Field(
        Path("/dev/shm"),  # noqa: S108
        description="Directory of the rings, a tmpfs or hugetlbfs mount.",
    )


class BrokerConfig(Section):
    """Which RabbitMQ, and under which name its requests come."""

    url: str | None = Field(
        None,
        description="amqp:// or amqps:// URL without password, or those of a cluster's nodes with blanks between them.",
    )
    url_file: Path | None = Field(
        None, description="File that holds the URL with its credentials, or one URL a line; goes before url."
    )
    tag: str | None = Field(None, description="Routing key of the requests; by default the name of the whole.")
    queue_type: Literal["default", "classic", "quorum"] = Field(
        "default",
        description="Type of the queues: quorum on a cluster; default is what the virtual host has as its own.",
    )
    ca_file: Path | None = Field(
        None, description="Certificates (PEM) that an amqps:// broker's one must descend from; by default the system's."
    )
    cert_file: Path | None = Field(None, description="Certificate (PEM) that is shown to the broker, if it wants one.")
    key_file: Path | None = Field(None, description="Private key of cert_file (PEM, without passphrase).")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None and has_password(value):
            raise PydanticCustomError(
                SECRET, "holds a password, and the configuration is copied into every file: use broker.url_file"
            )
        return value

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: give both or none")
        return self


class MetricsConfig(Section):
    """Where each service answers /metrics and /health."""

    address: str = Field("127.0.0.1", description="Address of the endpoints.")
    ports: dict[str, int] = Field(
        default_factory=dict,
        description="Port for each service instance (e.g. udp-recv); by default any free one.",
    )


class PlatformConfig(Section):
    """One system and all of its services; a system's own model adds its keys to these.

    Attributes
    ----------
    superseded_keys
        Keys of older files that mean nothing any more, and what takes the place of each.
    """

    superseded_keys: ClassVar[Mapping[str, str]] = {}

    name: Name = Field(description="Name of the system: in the names of its rings and sockets, and as the request tag.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Detail of the logs.")
    runtime_dir: Path | None = Field(
        None,
        description="Directory of ZMQ sockets and service records; by default as STD_DAQ_RUNTIME_DIR says.",
    )
    broker: BrokerConfig = Field(default_factory=lambda: BrokerConfig(), description="RabbitMQ.")
    metrics: MetricsConfig = Field(default_factory=lambda: MetricsConfig(), description="Metrics and health.")
    services: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Services that other packages add: a section of options for each, under the service's name.",
    )

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document of an older spelling in today's; the base model has only one."""
        return document

    @property
    def ring_paths(self) -> tuple[Path, ...]:
        """The files of the rings that this system's services make."""
        return ()

    @property
    def tag(self) -> str:
        """Routing key of this system's requests."""
        return self.broker.tag or self.name
