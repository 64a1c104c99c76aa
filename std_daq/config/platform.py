"""PlatformConfig: the keys that the configuration of every system has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from std_daq.config.bounds import Port
from std_daq.config.broker_url import has_password
from std_daq.config.section import SECRET, Section

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class SharedMemoryConfig(Section):
    """The shared memory in which the rings are."""

    directory: Path = Field(
        Path("/dev/shm"),  # noqa: S108
        description="Directory of the rings; it must be on a tmpfs or hugetlbfs mount.",
    )


class BrokerConfig(Section):
    """The RabbitMQ broker, and the name under which requests for this system arrive."""

    url: str | None = Field(
        None,
        description="amqp:// or amqps:// URL without a password. For a cluster, the URLs of its nodes, separated by "
        "blanks.",
    )
    url_file: Path | None = Field(
        None,
        description="File that contains the URL with user and password, or one URL per line. It takes precedence over "
        "url.",
    )
    tag: str | None = Field(None, description="Routing key of the requests; by default the name of the system.")
    queue_type: Literal["default", "classic", "quorum"] = Field(
        "default",
        description="Type of the queues; use quorum on a cluster. default is the default type of the virtual host.",
    )
    ca_file: Path | None = Field(
        None,
        description="Certificates (PEM) of the authorities that may sign the certificate of an amqps:// broker; by "
        "default those of the operating system.",
    )
    cert_file: Path | None = Field(None, description="Client certificate (PEM), for a broker that asks for one.")
    key_file: Path | None = Field(None, description="Private key of cert_file (PEM, without a passphrase).")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None and has_password(value):
            raise PydanticCustomError(
                SECRET, "contains a password, but every file gets a copy of the configuration: use broker.url_file"
            )
        return value

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: give both or neither")
        return self


class MetricsConfig(Section):
    """The endpoints at which each service answers /metrics and /health."""

    address: str = Field("127.0.0.1", description="Address of the endpoints.")
    ports: dict[str, Port] = Field(
        default_factory=dict,
        description="Port of each service instance, e.g. udp-recv; by default any free port.",
    )


class PlatformConfig(Section):
    """One system and all of its services; the model of a system adds keys to these.

    Attributes
    ----------
    superseded_keys
        Keys of older files that are ignored, each with the key or the behaviour that replaces it.
    """

    superseded_keys: ClassVar[Mapping[str, str]] = {}

    name: Name = Field(
        description="Name of the system; it is part of the names of rings and sockets, and the request tag."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Detail of the logs.")
    runtime_dir: Path | None = Field(
        None,
        description="Directory of ZMQ sockets and service records; by default STD_DAQ_RUNTIME_DIR.",
    )
    broker: BrokerConfig = Field(default_factory=lambda: BrokerConfig(), description="The RabbitMQ broker.")
    metrics: MetricsConfig = Field(
        default_factory=lambda: MetricsConfig(), description="Endpoints for metrics and health."
    )
    services: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Options of services, such as web, and of those that other packages add; one section per service, "
        "under its name.",
    )

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document with older spellings replaced by current ones; the base model has no older spellings."""
        return document

    @property
    def ring_paths(self) -> tuple[Path, ...]:
        """Paths of the rings that the services of this system create."""
        return ()

    @property
    def tag(self) -> str:
        """Routing key of the requests for this system."""
        return self.broker.tag or self.name
