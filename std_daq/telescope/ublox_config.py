"""UbloxControlConfig: the configuration of the control of a timing receiver, a ``ublox.json``."""

from pydantic import Field

from std_daq.config.bounds import MAX_SECONDS
from std_daq.config.platform import Name
from std_daq.config.section import PathBesideFile, Section
from std_daq.grpc_server.config import LAST_PORT, GrpcServerConfig


class UbloxStartConfig(Section):
    """What InitF9t would be told, done at the start."""

    f9t_config: PathBesideFile = Field(description="The file with the keys and the chips (JSON5).")
    f9t_uid: str | None = Field(None, description="The chip in the file; needed if the file has several.")
    device: PathBesideFile | None = Field(None, description="Serial device, if it is another one than in the file.")


class UbloxControlConfig(GrpcServerConfig):
    """The control of one GNSS timing receiver over gRPC; each receiver has a server of its own."""

    name: Name = Field("ublox-control", description="Name of the server; it is part of its runtime directory.")
    port: int | None = Field(
        50052, ge=0, le=LAST_PORT, description="TCP port; 0: any free one, told in the log; null: none."
    )
    max_queue: int = Field(
        200, ge=1, le=1_000_000, description="Messages that wait for a slow client; the oldest is dropped."
    )
    max_streams: int = Field(25, ge=1, le=10_000, description="Streams at once; one more is refused.")
    silent_timeout_s: float = Field(
        5.0,
        gt=0,
        le=MAX_SECONDS,
        description="A receiver that sends nothing and answers no poll for so long is told to the clients as gone.",
    )
    start: UbloxStartConfig | None = Field(None, description="What InitF9t would be told, done at the start.")
