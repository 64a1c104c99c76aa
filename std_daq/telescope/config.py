"""LiveViewConfig: the configuration of a live view, a ``live.json``."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from std_daq.config.bounds import MAX_SECONDS
from std_daq.config.platform import Name
from std_daq.config.section import PathBesideFile, Section
from std_daq.grpc_server.config import GrpcServerConfig

MAX_MODULE_ID = 65535
ModuleId = Annotated[int, Field(ge=0, le=MAX_MODULE_ID)]
ProductName = Literal["img8", "img16", "ph256", "ph1024"]


class StartConfig(Section):
    """What InitHpIo would be told, done at the start."""

    data_dir: PathBesideFile | None = Field(
        None, description="Folder of the run directories; not needed with simulate."
    )
    update_interval_s: float = Field(0.1, gt=0, le=MAX_SECONDS, description="Shortest time between two images.")
    simulate: bool = Field(False, description="Start the simulation instead of the sources.")
    module_ids: list[ModuleId] = Field(
        default_factory=list, description="Modules that are wanted; none stands for all."
    )

    @model_validator(mode="after")
    def _check_folder(self) -> Self:
        if self.data_dir is None and not self.simulate:
            raise ValueError("data_dir is needed unless simulate is true")
        return self


class UnixSocketsConfig(Section):
    """Unix sockets to which the acquisition of a telescope writes its frames, one for each product."""

    path_template: str = Field(
        "/tmp/hashpipe_grpc.dp_{dp_name}.sock",  # noqa: S108 - where the acquisition writes
        description="Path of the sockets; {dp_name} stands for the product.",
    )
    products: list[ProductName] = Field(
        list(get_args(ProductName)), min_length=1, description="Products that have a socket."
    )
    read_timeout_s: float = Field(
        600.0, gt=0, le=MAX_SECONDS, description="A connection without data for so long is closed."
    )

    @field_validator("path_template")
    @classmethod
    def _check_template(cls, value: str) -> str:
        try:
            is_right = value.format(dp_name="img8") != value
        except (KeyError, IndexError, ValueError):
            is_right = False
        if not is_right:
            raise ValueError("must contain {dp_name}, and no other braces")
        return value


class RunDirectoryConfig(Section):
    """PFF files that the acquisition of a telescope writes; the folder is that of InitHpIo."""

    method: Literal["poll", "pipe"] = Field(
        "poll",
        description="How new frames are noticed: by looking at the files, or also by the pipe read_status_2 of a run.",
    )


class ImageBufferConfig(Section):
    """The ImageBuffer of a detector of this platform.

    Images of a telescope are shown as its frames, those of other detectors as movie images of one module.
    """

    config: PathBesideFile = Field(description="The detector.json, or the path of the ring.")
    module_id: int | None = Field(
        None,
        ge=0,
        le=MAX_MODULE_ID,
        description="Number of the module under which the images are shown; images of a telescope tell their own.",
    )
    max_pixels: int = Field(
        1_000_000,
        ge=1,
        le=1_000_000_000,
        description="Larger images are binned by the mean of n x n pixels. Clients take at most 4 MiB in a message, "
        "which 1.4 million pixels of 16 bits may need.",
    )


class SourcesConfig(Section):
    """What InitHpIo without simulation opens, all at once; a source whose key is absent is off."""

    unix_sockets: UnixSocketsConfig | None = Field(None, description="Frames of the acquisition over Unix sockets.")
    run_directory: RunDirectoryConfig | None = Field(None, description="Frames of the files in a run directory.")
    uploads: bool = Field(True, description="Whether clients may upload images.")
    image_buffers: list[ImageBufferConfig] = Field(default_factory=list, description="Images of other detectors.")


class SimulationConfig(Section):
    """What InitHpIo with simulate_daq starts."""

    mode: Literal["uds", "rpc", "filesystem_poll", "filesystem_pipe"] = Field(
        "uds", description="Way of the frames: through the Unix sockets, by UploadImages, or through files."
    )
    module_ids: list[ModuleId] = Field([224], min_length=1, description="Modules; each sends every frame.")
    movie_file: PathBesideFile | None = Field(
        None, description="PFF file that is played round and round; null: generated frames."
    )
    pulse_height_file: PathBesideFile | None = Field(None, description="The same for pulse heights.")
    rate_hz: float = Field(10.0, gt=0, le=10_000, description="Frames of each product and module per second.")
    data_dir: PathBesideFile | None = Field(None, description="Where the file modes write; null: a temporary folder.")
    frames_per_file: int = Field(100, ge=1, le=1_000_000_000, description="File modes: frames before the next seqno.")
    frame_limit: int = Field(
        1000, ge=1, le=1_000_000_000, description="File modes: frames of each product and module until it ends."
    )

    @field_validator("module_ids")
    @classmethod
    def _check_modules(cls, value: list[int]) -> list[int]:
        if not all(0 <= module_id <= MAX_MODULE_ID for module_id in value):
            raise ValueError(f"modules are numbered from 0 to {MAX_MODULE_ID}")
        return value


class GatewayConfig(Section):
    """Other servers of DaqData, whose images this one sends on, all together."""

    edges: list[str] = Field(
        default_factory=list,
        max_length=1000,
        description="Addresses: a name, host:port, unix:/path. They may be servers of other makers, too.",
    )
    daq_config: PathBesideFile | None = Field(None, description="A daq_config.json, whose daq_nodes are edges as well.")
    network_config: PathBesideFile | None = Field(
        None, description="The network_config.json with forwarded ports of those."
    )
    edge_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of edges for which none is given; null: EDGENODE_GRPC_PORT of the environment, else 50051.",
    )
    ca_file: PathBesideFile | None = Field(
        None, description="Certificates of the authorities that sign those of the edges (PEM); null: no TLS."
    )
    cert_file: PathBesideFile | None = Field(
        None, description="Certificate of this gateway, for edges that ask for one (PEM)."
    )
    key_file: PathBesideFile | None = Field(None, description="Private key of cert_file.")
    server_name: str | None = Field(None, description="Name in the certificates of the edges, if not their address.")
    token_file: PathBesideFile | None = Field(None, description="File with the token of the edges.")


class LiveViewConfig(GrpcServerConfig):
    """A live view: images over gRPC, to every client at its own pace."""

    name: Name = Field("live-view", description="Name of the live view; it is part of its runtime directory.")
    max_streams: int = Field(25, ge=1, le=10_000, description="Streams at once; one more is refused.")
    min_update_interval_s: float = Field(
        0.001, gt=0, le=MAX_SECONDS, description="InitHpIo with a shorter interval is refused."
    )
    no_data_timeout_s: float | None = Field(
        None, gt=0, le=MAX_SECONDS, description="A stream that was sent nothing for so long is ended; null: never."
    )
    init_timeout_s: float = Field(
        10.0,
        gt=0,
        le=MAX_SECONDS,
        description="InitHpIo fails if its sources are not ready by then; the sources before it go on.",
    )
    max_products: int = Field(
        4096,
        ge=1,
        le=1_000_000,
        description="Products of modules of which images are kept; images of one more are refused and counted.",
    )
    silent_after_s: float = Field(
        10.0,
        gt=0,
        le=MAX_SECONDS,
        description="Of a source that has delivered nothing for so long, clients and Status are told.",
    )
    required_process: str | None = Field(
        "hashpipe", description="InitHpIo without simulation needs a process of this name; null: none."
    )
    history_frames: int = Field(
        32, ge=1, le=10_000, description="Newest frames of each product and module that are kept for RecentImages."
    )
    gateway: GatewayConfig | None = Field(
        None, description="Other servers whose images are sent on, in place of sources; null: this is no gateway."
    )
    start: StartConfig | None = Field(None, description="What InitHpIo would be told, done at the start.")
    sources: SourcesConfig = Field(default_factory=lambda: SourcesConfig(), description="Sources of images.")
    simulation: SimulationConfig = Field(
        default_factory=lambda: SimulationConfig(), description="The simulated acquisition."
    )

    @model_validator(mode="after")
    def _check_gateway(self) -> Self:
        if self.gateway is not None and self.model_fields_set & {"start", "sources", "simulation"}:
            raise ValueError("a gateway has neither start, sources nor simulation: its edges have them")
        return self
