"""GrpcServerConfig: the keys of every configuration that describes a gRPC server."""

import hashlib
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from std_daq.config.platform import PlatformConfig
from std_daq.config.section import PathBesideFile, Section

LAST_PORT = 65535


class PortTlsConfig(Section):
    """Certificates with which the TCP port is encrypted; the Unix socket is not."""

    cert_file: PathBesideFile = Field(description="Certificate of the server (PEM).")
    key_file: PathBesideFile = Field(description="Private key of cert_file (PEM, without a passphrase).")
    client_ca_file: PathBesideFile | None = Field(
        None, description="Certificates of the authorities that sign those of clients; null: clients need none."
    )


class GrpcServerConfig(PlatformConfig):
    """A system whose service is a gRPC server: where it listens, and who may call."""

    host: str = Field("127.0.0.1", description="Address of the TCP port.")
    port: int | None = Field(
        50051, ge=0, le=LAST_PORT, description="TCP port; 0: any free one, told in the log; null: none."
    )
    unix_socket: PathBesideFile | None = Field(None, description="Unix socket with the same services.")
    tls: PortTlsConfig | None = Field(None, description="TLS of the TCP port; null: it is not encrypted.")
    token_file: PathBesideFile | None = Field(
        None, description="File with a token that every call has to bring; null: calls need none."
    )

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        if self.port is None and self.unix_socket is None:
            raise ValueError("port and unix_socket are both null: nobody could connect")
        return self


def instance_name(service: str, config_file: Path, config: GrpcServerConfig) -> str:
    """Return the name of a server's process; those of other configurations on the same machine have other names."""
    addresses = (config_file.resolve(), config.host, config.port, config.unix_socket)
    return f"{service}-{hashlib.sha256(repr(addresses).encode()).hexdigest()[:8]}"
