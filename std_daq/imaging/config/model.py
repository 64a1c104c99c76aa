"""The model of ``detector.json``: users' existing keys at the top level, sections of ours beside them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from std_daq.config.platform import Name, SharedMemoryConfig
from std_daq.config.section import Section
from std_daq.recording.config import RecordingConfig

_TCP_ADDRESS = r"^tcp://([^\s/:\[\]]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"
MODULE_RANGE = re.compile(r"^(\d+)(?:-(\d+))?$")

# Older spellings of a detector type: its name, and whether its pixels are converted.
TYPE_SPELLINGS = {"jungfrau-raw": ("jungfrau", False), "jungfrau-converted": ("jungfrau", True)}

# Corners of a module in the image, [x0, y0, x1, y1], all inclusive; y1 < y0 flips the module vertically.
ModulePosition = tuple[int, int, int, int]


class ModuleRange(tuple[int, int]):
    """Module indices from ``first`` to ``last``, both included; text form ``0-3`` or ``5``."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "ModuleRange":
        """Read ``0-3`` or ``5``; raises ValueError with the expected form."""
        match = MODULE_RANGE.match(text.strip())
        if match is None:
            raise ValueError(f"modules '{text}' are not of the form 'first-last', as in 0-3")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise ValueError(f"modules '{text}': the last is before the first")
        return cls((first, last))

    @property
    def modules(self) -> range:
        """The indices."""
        return range(self[0], self[1] + 1)

    def __str__(self) -> str:
        return f"{self[0]}-{self[1]}"


class ImageMemoryConfig(SharedMemoryConfig):
    """Where the rings lie and how large they are."""

    frame_buffer_gb: float = Field(0.5, gt=0, description="Memory for the FrameBuffer, in GB (10^9 bytes).")
    frame_slots: int | None = Field(
        None, ge=8, description="Slots of the FrameBuffer; by default as frame_buffer_gb allows."
    )
    image_slots: int | None = Field(
        None, ge=4, description="Slots of the ImageBuffer; by default as ram_buffer_gb allows."
    )


class UdpConfig(Section):
    """How packets are received."""

    address: str = Field("0.0.0.0", description="Local IPv4 address to receive on.")  # noqa: S104
    socket_buffer_bytes: int = Field(
        64 * 2**20, ge=65536, le=2**30 - 1, description="Receive buffer to ask the kernel for, for each port, in bytes."
    )
    window_frames: int = Field(
        4,
        ge=1,
        le=64,
        description="Frames of one port that may be open at once: how far packets may be out of order.",
    )
    idle_flush_s: float = Field(
        0.2, gt=0, description="Open frames end after this time without a packet on their port, in seconds."
    )
    module_timeout_s: float = Field(
        0.5, gt=0, description="An image waits at most this long for a module that does not come, in seconds."
    )
    latency_budget_us: int = Field(
        500,
        ge=0,
        le=100_000,
        description="How long a receiving thread may wait for a fuller batch, in microseconds.",
    )
    gro: bool = Field(
        True,
        description="Let the kernel hand over several packets at once (UDP_GRO) where it can; without it, "
        "kernel drops are counted packet by packet.",
    )
    cpus: list[int] | None = Field(None, description="CPUs for the receiving threads, in order of the ports.")
    receivers: list[str] | None = Field(
        None,
        description="Module ranges, one for each receiver process, e.g. ['0-3', '4-7']; by default one for all.",
    )

    @field_validator("receivers")
    @classmethod
    def _ranges_are_readable(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else [str(ModuleRange.parse(text)) for text in value]


class AssemblerConfig(Section):
    """How images are put together."""

    n_threads: int = Field(2, ge=1, le=256, description="Threads that convert frames.")
    fill_value: float | None = Field(
        None, description="Value of pixels that did not arrive; by default 0 for integers and NaN for floats."
    )
    receiver_timeout_s: float = Field(
        1.0, gt=0, description="With several receivers, how long an image waits for one of them, in seconds."
    )


class LiveStreamConfig(Section):
    """Which images are sent, at one address, to viewers."""

    type: Literal["forward", "batch", "periodic"] = Field(
        description="forward: every image; batch: n of every m images; periodic: n images at a rate."
    )
    config: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default_factory=list,
        description="forward: []; batch: [n, m]; periodic: [n, rate in Hz]; the n images follow each other.",
    )

    @model_validator(mode="after")
    def _numbers_fit_the_type(self) -> Self:
        if not _fit(self.type, self.config):
            raise ValueError(f"config of type {self.type} is {_LIVE_STREAM_NUMBERS[self.type]}")
        return self


_LIVE_STREAM_NUMBERS = {
    "forward": "[]",
    "batch": "[n, m], whole numbers with 1 <= n <= m",
    "periodic": "[n, rate in Hz], n a whole number from 1 on",
}


def _fit(kind: str, numbers: list[float]) -> bool:
    if kind == "forward" or not numbers:
        return kind == "forward" and not numbers
    if len(numbers) != 2 or not numbers[0].is_integer():
        return False
    return kind == "periodic" or (numbers[1].is_integer() and numbers[0] <= numbers[1])


LiveStreamAddress = Annotated[str, Field(pattern=r"^(tcp://[^\s/]+:\d+|ipc://\S+)$")]


NexusValue = float | int | str | list[float]


class TlsConfig(Section):
    """Certificates for TLS between servers, as `std-daq certificates` makes them; read again when they change."""

    ca_file: Path = Field(
        description="Certificates (PEM) that the other side's one must descend from, or be one of.",
    )
    cert_file: Path = Field(description="Certificate (PEM) that is shown to the other side.")
    key_file: Path = Field(description="Private key of cert_file (PEM, without passphrase), closed to others.")


class ReceiverTlsConfig(TlsConfig):
    """Certificates of a receiver, and whose certificate the senders have to show."""

    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$")] | None = Field(
        None, description="Name that the senders' certificate must be for; by default the host in each address."
    )


class SenderConfig(Section):
    """One stream_send: where receivers on other servers connect."""

    address: str = Field(
        "tcp://127.0.0.1:9700",
        pattern=_TCP_ADDRESS,
        description="Where to listen, tcp://ADDRESS:PORT; tcp://*:PORT for all interfaces.",
    )
    tls: TlsConfig | None = Field(
        None, description="Certificates for TLS; without them nothing is encrypted and everybody is let in."
    )


class ReceiverConfig(Section):
    """The stream_recv of this server: where its images come from, instead of udp_recv and assembler."""

    sources: list[Annotated[str, Field(pattern=_TCP_ADDRESS)]] = Field(
        min_length=1,
        max_length=16,
        description="Addresses of stream_send, tcp://HOST:PORT; several of one server share the images, and each "
        "takes over for one that is away.",
    )
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] | None = Field(
        None, description="Name of this receiver, different from that of others; by default the name of the host."
    )
    share_index: int = Field(0, ge=0, description="Which share of the images, from 0 to share_of - 1.")
    share_of: int = Field(
        1, ge=1, le=1024, description="Receivers that share the images by frame number; 1: all images come here."
    )
    start: Literal["oldest", "now"] = Field(
        "oldest", description="The very first image: the oldest in the sender's ring, or the next one."
    )
    credit_images: int | None = Field(
        None,
        ge=1,
        description="Images that may be on their way; by default, and at most, half of the ring, up to 1024.",
    )
    tls: ReceiverTlsConfig | None = Field(None, description="Certificates for TLS, where the senders have some.")

    @model_validator(mode="after")
    def _share_exists(self) -> Self:
        if self.share_index >= self.share_of:
            raise ValueError(f"share_index {self.share_index} is not below share_of {self.share_of}")
        return self


class ReplicationConfig(Section):
    """Images between servers."""

    send: list[SenderConfig] = Field(
        default_factory=list, description="Senders of this server's images, a process each: stream-send-0, ..."
    )
    receive: ReceiverConfig | None = Field(
        None, description="The images come from another server: stream_recv takes the place of udp_recv and assembler."
    )
    timeout_s: float = Field(
        3.0, ge=0.1, description="A connection on which nothing is heard for this time is given up, in seconds."
    )


class NexusConfig(Section):
    """What NXmx readers want to know about the detector and the experiment; SI units as given."""

    description: str = Field("", description="Description of the detector.")
    sensor_material: str = Field("Si", description="Sensor material.")
    sensor_thickness_m: float = Field(320e-6, gt=0, description="Sensor thickness, in metres.")
    pixel_size_m: tuple[float, float] = Field((75e-6, 75e-6), description="Pixel size x, y, in metres.")
    distance_m: float | None = Field(None, description="Sample to detector, in metres.")
    beam_center_px: tuple[float, float] | None = Field(None, description="Beam centre x, y, in pixels.")
    wavelength_angstrom: float | None = Field(None, gt=0, description="Incident wavelength, in angstrom.")
    count_time_s: float | None = Field(None, gt=0, description="Exposure time of one image, in seconds.")
    frame_time_s: float | None = Field(None, gt=0, description="Period of images, in seconds.")
    saturation_value: int | None = Field(None, description="Largest valid pixel value.")
    underload_value: int | None = Field(None, description="Smallest valid pixel value.")
    source_name: str = Field("", description="Name of the facility.")
    sample_name: str = Field("", description="Name of the sample.")


class DetectorConfig(RecordingConfig):
    """One detector and all of its services."""

    superseded_keys: ClassVar[Mapping[str, str]] = {
        "max_number_of_forwarders_spawned": "forwarding scales by itself",
        "use_all_forwarders": "forwarding scales by itself",
        "gpfs_block_size": "chunks are one image",
        "delay_filter_timeout": "udp.module_timeout_s",
        "sender_sends_full_images": "senders always send full images",
        "switch_user_active": "writer_user_id",
        "submodule_info": "module_positions",
    }

    name: Name = Field(
        alias="detector_name",
        description="Name of the detector: in ring names, addresses, file links and as the request tag.",
    )
    detector_type: str = Field(
        description="jungfrau, eiger, gigafrost, or a type that an installed package adds; "
        "jungfrau-raw and jungfrau-converted are spellings of jungfrau."
    )
    n_modules: int = Field(ge=1, le=1024, description="Modules of the detector.")
    bit_depth: int = Field(description="Bits of a raw pixel.")
    image_pixel_height: int = Field(ge=1, le=65536, description="Height of an image, in pixels.")
    image_pixel_width: int = Field(ge=1, le=65536, description="Width of an image, in pixels.")
    start_udp_port: int = Field(ge=1, le=65535, description="UDP port of module 0; module i has the port + i.")
    module_positions: dict[int, ModulePosition] = Field(
        default_factory=dict, description="Corners [x0, y0, x1, y1] of each module in the image, inclusive."
    )
    deactivate: list[int] = Field(default_factory=list, description="Indices of modules that are off.")
    image_id: Literal["frame_number", "pulse_id"] = Field(
        "frame_number",
        description="What names an image: the detector's frame number or the pulse (bunch) id.",
    )
    stats_collection_period: float = Field(
        10.0, gt=0, description="Period of the statistics lines in the logs, in seconds."
    )
    module_sync_queue_size: int = Field(64, ge=2, description="Images that may be waiting for modules at once.")
    ram_buffer_gb: float = Field(1.0, gt=0, description="Memory for the ImageBuffer, in GB (10^9 bytes).")
    live_stream_configs: dict[LiveStreamAddress, LiveStreamConfig] = Field(
        default_factory=dict,
        description="Live streams for viewers: which images are sent at each ZMQ address (tcp://host:port, bound).",
    )
    detector: dict[str, Any] = Field(
        default_factory=dict, description="Options of the detector type; see its reference page."
    )
    shared_memory: ImageMemoryConfig = Field(default_factory=lambda: ImageMemoryConfig(), description="Rings.")
    udp: UdpConfig = Field(default_factory=lambda: UdpConfig(), description="Receiving.")
    assembler: AssemblerConfig = Field(default_factory=lambda: AssemblerConfig(), description="Assembling.")
    replication: ReplicationConfig = Field(
        default_factory=lambda: ReplicationConfig(), description="To and from other servers."
    )
    nexus: NexusConfig = Field(default_factory=lambda: NexusConfig(), description="Metadata in the files.")

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document in which the detector type has its own name, and not an older spelling."""
        spelling = TYPE_SPELLINGS.get(str(document.get("detector_type")))
        if spelling is None:
            return document
        detector_type, is_converted = spelling
        options = dict(document.get("detector") or {})
        options.setdefault("conversion", "kev" if is_converted else "raw")
        return document | {"detector_type": detector_type, "detector": options}

    @model_validator(mode="after")
    def _modules_are_consistent(self) -> Self:
        for index in [*self.module_positions, *self.deactivate]:
            if not 0 <= index < self.n_modules:
                raise ValueError(
                    f"module {index} is named, but n_modules is {self.n_modules} (0 to {self.n_modules - 1})"
                )
        for index, (x0, y0, x1, y1) in self.module_positions.items():
            if not (0 <= x0 < self.image_pixel_width and 0 <= x1 < self.image_pixel_width):
                raise ValueError(
                    f"module_positions[{index}]: x {x0}..{x1} leaves the image (0 to {self.image_pixel_width - 1})"
                )
            if not (0 <= y0 < self.image_pixel_height and 0 <= y1 < self.image_pixel_height):
                raise ValueError(
                    f"module_positions[{index}]: y {y0}..{y1} leaves the image (0 to {self.image_pixel_height - 1})"
                )
        covered = sorted(module for part in self.receivers for module in part.modules)
        if covered != list(range(self.n_modules)):
            raise ValueError(f"udp.receivers must name each module from 0 to {self.n_modules - 1} exactly once")
        return self

    @property
    def ring_paths(self) -> tuple[Path, Path]:
        """The files of FrameBuffer and ImageBuffer."""
        directory = self.shared_memory.directory
        return directory / f"{self.name}-frames", directory / f"{self.name}-images"

    @property
    def receivers(self) -> list[ModuleRange]:
        """The module ranges of the receiver processes."""
        if self.udp.receivers is None:
            return [ModuleRange((0, self.n_modules - 1))]
        return [ModuleRange.parse(text) for text in self.udp.receivers]

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        return self.image_pixel_height, self.image_pixel_width
