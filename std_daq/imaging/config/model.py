"""The model of ``detector.json``: the keys of existing files at the top level, and further sections beside them."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from std_daq.config.bounds import MAX_CPU, MAX_GB, MAX_RING_SLOTS, MAX_SECONDS
from std_daq.config.platform import Name, SharedMemoryConfig
from std_daq.config.section import Section
from std_daq.imaging.config.experiment import Experiment
from std_daq.packets.udp_place import UdpPlace, parse_address
from std_daq.recording.config import RecordingConfig
from std_daq.recording.measured_values import MAX_NAMES, ValueName, ValueUnit

MAX_SIDE = 65_536
_TCP_ADDRESS = r"^tcp://([^\s/:\[\]]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"
MODULE_RANGE = re.compile(r"^(\d+)(?:-(\d+))?$")

# Older spellings of a detector type, each with the current name and whether the pixels are converted.
TYPE_SPELLINGS = {"jungfrau-raw": ("jungfrau", False), "jungfrau-converted": ("jungfrau", True)}

# Whether a corner lies in the image, the model of the detector checks.
Corner = Annotated[int, Field(ge=-MAX_SIDE, le=MAX_SIDE)]
# Corners of a module in the image, [x0, y0, x1, y1], inclusive; y1 < y0 flips the module vertically.
ModulePosition = tuple[Corner, Corner, Corner, Corner]


class ModuleRange(tuple[int, int]):
    """Module indices from ``first`` to ``last``, both included; text form ``0-3`` or ``5``."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "ModuleRange":
        """Parse ``0-3`` or ``5``; raises ValueError, which says what form is expected."""
        match = MODULE_RANGE.match(text.strip())
        if match is None:
            raise ValueError(f"modules '{text}' do not have the form 'first-last', for example 0-3")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise ValueError(f"modules '{text}': the last is before the first")
        return cls((first, last))

    @property
    def modules(self) -> range:
        """The indices of the modules."""
        return range(self[0], self[1] + 1)

    def __str__(self) -> str:
        return f"{self[0]}-{self[1]}"


def _readable_networks(texts: Iterable[str]) -> list[str]:
    """Return addresses and networks in their usual form; raises ValueError, which names the one that is none."""
    networks = []
    for text in texts:
        try:
            network = ip_network(text.strip(), strict=False)
        except ValueError:
            raise ValueError(
                f"'{text}' is no IPv4 or IPv6 address or network, for example 10.0.5.20, 10.0.5.0/24 or fd00::/64"
            ) from None
        if network.is_multicast:
            raise ValueError(f"'{text}' is a multicast group, to which packets are sent, and from which none comes")
        networks.append(str(network.network_address) if network.num_addresses == 1 else str(network))
    if not networks:
        raise ValueError("no address is named; leave the key out, then the addresses are learned")
    return networks


class ImageMemoryConfig(SharedMemoryConfig):
    """The shared memory in which the rings are, and the sizes of the rings."""

    frame_buffer_gb: float = Field(0.5, gt=0, le=MAX_GB, description="Memory for the FrameBuffer, in GB (10^9 bytes).")
    frame_slots: int | None = Field(
        None,
        ge=8,
        le=MAX_RING_SLOTS,
        description="Slots of the FrameBuffer; by default as many as fit into frame_buffer_gb.",
    )
    image_slots: int | None = Field(
        None,
        ge=4,
        le=MAX_RING_SLOTS,
        description="Slots of the ImageBuffer; by default as many as fit into ram_buffer_gb.",
    )


class UdpConfig(Section):
    """Settings of the receivers of UDP packets."""

    address: str = Field(
        "0.0.0.0",  # noqa: S104
        description="IPv4 or IPv6 address of this server on which packets are received, or a multicast group, e.g. "
        "239.1.2.3 or ff15::1234, which is joined. 0.0.0.0 and :: are all addresses.",
    )
    interface: str | None = Field(
        None,
        description="Network interface at which a multicast group is joined, by name or address, e.g. eth1; "
        "by default the one to which the route to the group leads.",
    )
    numinterfaces: Literal[1, 2] = Field(
        1,
        description="UDP interfaces of each module over which the detector sends its frames (numinterfaces of "
        "slsDetectorPackage). With 2, a JUNGFRAU module sends rows 0 to 255 (the bottom half, udp_dstport) to "
        "start_udp_port + 2 i, and rows 256 to 511 (the top half, udp_dstport2) to the next port.",
    )
    numdst: int = Field(
        1,
        ge=1,
        le=64,
        description="Servers to which the detector sends its frames in turn (udp_numdst of slsDetectorPackage). With "
        "4, this server gets every fourth frame.",
    )
    senders: list[str] | dict[str, list[str]] | None = Field(
        None,
        description="IPv4 or IPv6 addresses, or networks, from which the detector sends, e.g. ['10.0.5.0/24'], or for "
        "each module, e.g. {'0': ['10.0.5.20'], '1-3': ['10.0.5.21', '10.0.5.22']}. Packets from elsewhere are "
        "refused. By default, and for modules that are not named, each port learns from where its frames come.",
    )
    socket_buffer_bytes: int = Field(
        64 * 2**20,
        ge=65536,
        le=2**30 - 1,
        description="Size of the receive buffer that is requested from the kernel for each port, in bytes.",
    )
    window_frames: int = Field(
        4,
        ge=1,
        le=64,
        description="Number of frames of one port that may be open at once; it limits how far packets may be out of "
        "order.",
    )
    idle_flush_s: float = Field(
        0.2,
        gt=0,
        le=MAX_SECONDS,
        description="An open frame is ended after this time without a packet on its port, in seconds.",
    )
    module_timeout_s: float = Field(
        0.5, gt=0, le=MAX_SECONDS, description="Longest time that an image waits for a missing module, in seconds."
    )
    latency_budget_us: int = Field(
        500,
        ge=0,
        le=100_000,
        description="Longest time that a receiving thread waits to fill its batch of packets, in microseconds.",
    )
    gro: bool = Field(
        True,
        description="Let the kernel deliver several packets at once (UDP_GRO), if it supports this. Without UDP_GRO, "
        "kernel drops are counted packet by packet.",
    )
    cpus: list[Annotated[int, Field(ge=0, le=MAX_CPU)]] | None = Field(
        None, description="CPUs for the receiving threads, in the order of the ports."
    )
    receivers: list[str] | None = Field(
        None,
        description="Module ranges, one for each receiver process, e.g. ['0-3', '4-7']; by default one receiver for "
        "all modules.",
    )

    @field_validator("address")
    @classmethod
    def _address_is_one(cls, value: str) -> str:
        parse_address(value)
        return value

    @model_validator(mode="after")
    def _place_is_readable(self) -> Self:
        _ = self.place
        return self

    @property
    def place(self) -> UdpPlace:
        """Where packets are received."""
        return UdpPlace.of(self.address, self.interface)

    @field_validator("senders")
    @classmethod
    def _senders_are_readable(
        cls, value: list[str] | dict[str, list[str]] | None
    ) -> list[str] | dict[str, list[str]] | None:
        if isinstance(value, dict):
            return {str(ModuleRange.parse(part)): _readable_networks(texts) for part, texts in value.items()}
        return None if value is None else _readable_networks(value)

    def senders_of(self, module: int) -> tuple[IPv4Network | IPv6Network, ...]:
        """Return the addresses from which a module sends; none if they are learned."""
        named = self.senders
        if named is None:
            return ()
        if isinstance(named, dict):
            texts = [text for part, of_part in named.items() if module in ModuleRange.parse(part) for text in of_part]
        else:
            texts = named
        return tuple(map(ip_network, texts))

    @field_validator("receivers")
    @classmethod
    def _ranges_are_readable(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else [str(ModuleRange.parse(text)) for text in value]


class AssemblerConfig(Section):
    """Settings of the assembler."""

    n_threads: int = Field(2, ge=1, le=256, description="Threads that convert frames.")
    fill_value: Annotated[float, Field(ge=-3e38, le=3e38)] | None = Field(
        None, description="Value of missing pixels; by default 0 for integers and NaN for floats."
    )
    receiver_timeout_s: float = Field(
        1.0,
        gt=0,
        le=MAX_SECONDS,
        description="With several receivers: longest time that an image waits for one of them, in seconds.",
    )


class LiveStreamConfig(Section):
    """The images that are sent to viewers at one address."""

    type: Literal["forward", "batch", "periodic"] = Field(
        description="forward: every image; batch: n of every m images; periodic: groups of n images at a fixed rate."
    )
    config: list[Annotated[float, Field(gt=0, le=1e9)]] = Field(
        default_factory=list,
        max_length=2,
        description="forward: []; batch: [n, m]; periodic: [n, rate in Hz]. The n images are consecutive.",
    )

    @model_validator(mode="after")
    def _numbers_fit_the_type(self) -> Self:
        if not _fit(self.type, self.config):
            raise ValueError(f"config of type {self.type} must be {_LIVE_STREAM_NUMBERS[self.type]}")
        return self


_LIVE_STREAM_NUMBERS = {
    "forward": "[]",
    "batch": "[n, m], two integers with 1 <= n <= m",
    "periodic": "[n, rate in Hz], where n is an integer of at least 1",
}


def _fit(kind: str, numbers: list[float]) -> bool:
    if kind == "forward" or not numbers:
        return kind == "forward" and not numbers
    if len(numbers) != 2 or not numbers[0].is_integer():
        return False
    return kind == "periodic" or (numbers[1].is_integer() and numbers[0] <= numbers[1])


LiveStreamAddress = Annotated[str, Field(pattern=r"^(tcp://[^\s/]+:\d+|ipc://\S+)$")]


NexusValue = float | int | str | list[float]
PixelSize = Annotated[float, Field(gt=0, le=1)]


class TlsConfig(Section):
    """Certificates for TLS between servers, made by `std-daq certificates`; files that change are read again."""

    ca_file: Path = Field(
        description="Trusted certificates (PEM): one of them must have signed the certificate of the other side, or be "
        "that certificate.",
    )
    cert_file: Path = Field(description="Certificate (PEM) that this side presents to the other side.")
    key_file: Path = Field(
        description="Private key of cert_file (PEM, without a passphrase); other users must not be able to read it."
    )


class ReceiverTlsConfig(TlsConfig):
    """Certificates of a receiver, and the name for which the certificates of the senders must be valid."""

    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$")] | None = Field(
        None,
        description="Name for which the certificates of the senders must be valid; by default the host in each address "
        "of a sender.",
    )


class SenderConfig(Section):
    """One stream_send, to which receivers on other servers connect."""

    address: str = Field(
        "tcp://127.0.0.1:9700",
        pattern=_TCP_ADDRESS,
        description="Address on which it listens, tcp://ADDRESS:PORT; tcp://*:PORT for all interfaces.",
    )
    tls: TlsConfig | None = Field(
        None, description="Certificates for TLS; without them, nothing is encrypted and every receiver is accepted."
    )


class ReceiverConfig(Section):
    """The stream_recv of this server, which receives its images and takes the place of udp_recv and assembler."""

    sources: list[Annotated[str, Field(pattern=_TCP_ADDRESS)]] = Field(
        min_length=1,
        max_length=16,
        description="Addresses of stream_send, tcp://HOST:PORT. Several senders of one server share the images; if one "
        "does not answer, the others take over its images.",
    )
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] | None = Field(
        None, description="Name of this receiver, unique among all receivers; by default the name of the host."
    )
    share_index: int = Field(
        0, ge=0, le=1023, description="Share of the images that this receiver takes, from 0 to share_of - 1."
    )
    share_of: int = Field(
        1,
        ge=1,
        le=1024,
        description="Number of receivers that share the images by frame number; 1: this receiver takes all.",
    )
    start: Literal["oldest", "now"] = Field(
        "oldest",
        description="First image when the receiver starts for the first time: the oldest in the sender's ring, or the "
        "next one.",
    )
    credit_images: int | None = Field(
        None,
        ge=1,
        le=MAX_RING_SLOTS,
        description="Number of images that may be in flight, at most half of the ring; by default half of the ring, "
        "but at most 1024.",
    )
    tls: ReceiverTlsConfig | None = Field(None, description="Certificates for TLS, if the senders use TLS.")

    @model_validator(mode="after")
    def _share_exists(self) -> Self:
        if self.share_index >= self.share_of:
            raise ValueError(f"share_index {self.share_index} must be less than share_of {self.share_of}")
        return self


class ReplicationConfig(Section):
    """Replication: images that are sent between servers."""

    send: list[SenderConfig] = Field(
        default_factory=list,
        max_length=64,
        description="Senders of the images of this server; each is a process: stream-send-0, stream-send-1, ...",
    )
    receive: ReceiverConfig | None = Field(
        None,
        description="Receiver of images from another server; stream_recv takes the place of udp_recv and assembler.",
    )
    timeout_s: float = Field(
        3.0,
        ge=0.1,
        le=MAX_SECONDS,
        description="A connection is closed if nothing arrives on it for this time, in seconds.",
    )


class NexusConfig(Experiment):
    """Metadata of detector and experiment for readers of NXmx files; values of a request go before these."""

    model_config = ConfigDict(strict=False)

    description: str = Field("", description="Description of the detector.")
    sensor_material: str = Field("Si", description="Sensor material.")
    sensor_thickness_m: float = Field(320e-6, gt=0, le=1, description="Sensor thickness, in metres.")
    pixel_size_m: tuple[PixelSize, PixelSize] = Field((75e-6, 75e-6), description="Pixel size x, y, in metres.")
    root_links: bool = Field(
        False,
        description="Whether files also have links at /<detector_name>; validators of NeXus do not accept these.",
    )

    def with_experiment(self, experiment: Experiment) -> Self:
        """Return the metadata of a run: what its request gives, and for the rest these values.

        Raises
        ------
        ValidationError
            The values do not fit together.
        """
        given = experiment.model_dump(exclude_unset=True, exclude_none=True)
        own = self.model_dump(exclude_unset=True, exclude_none=True)
        if given.keys() & _WAVELENGTH:
            own = {key: value for key, value in own.items() if key not in _WAVELENGTH}
        return type(self).model_validate(own | given)


_WAVELENGTH = {"wavelength_angstrom", "photon_energy_ev"}


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
        description="Name of the detector; it is part of ring names, addresses and file links, and the request tag.",
    )
    detector_type: str = Field(
        description="jungfrau, eiger, gigafrost, or a type that an installed package adds. "
        "jungfrau-raw and jungfrau-converted are older spellings of jungfrau."
    )
    n_modules: int = Field(ge=1, le=1024, description="Number of modules of the detector.")
    bit_depth: int = Field(ge=1, le=64, description="Number of bits of a raw pixel.")
    image_pixel_height: int = Field(ge=1, le=MAX_SIDE, description="Height of an image, in pixels.")
    image_pixel_width: int = Field(ge=1, le=MAX_SIDE, description="Width of an image, in pixels.")
    start_udp_port: int = Field(ge=1, le=65535, description="UDP port of module 0; module i sends to this port + i.")
    module_positions: dict[int, ModulePosition] = Field(
        default_factory=dict, description="Corners [x0, y0, x1, y1] of each module in the image, inclusive."
    )
    deactivate: list[Annotated[int, Field(ge=0, le=1023)]] = Field(
        default_factory=list, max_length=1024, description="Indices of modules that are switched off."
    )
    image_id: Literal["frame_number", "pulse_id"] = Field(
        "frame_number",
        description="Id of an image: the frame number of the detector, or the pulse (bunch) id.",
    )
    stats_collection_period: float = Field(
        10.0, gt=0, le=MAX_SECONDS, description="Period of the statistics lines in the logs, in seconds."
    )
    module_sync_queue_size: int = Field(
        64, ge=2, le=65_536, description="Number of images that may wait for modules at once."
    )
    ram_buffer_gb: float = Field(1.0, gt=0, le=MAX_GB, description="Memory for the ImageBuffer, in GB (10^9 bytes).")
    live_stream_configs: dict[LiveStreamAddress, LiveStreamConfig] = Field(
        default_factory=dict,
        description="Live streams for viewers: the images that are sent at each ZMQ address (tcp://host:port), to "
        "which the live stream binds.",
    )
    detector: dict[str, Any] = Field(
        default_factory=dict, description="Options of the detector type; the reference lists the options of each type."
    )
    shared_memory: ImageMemoryConfig = Field(
        default_factory=lambda: ImageMemoryConfig(), description="Rings in shared memory."
    )
    udp: UdpConfig = Field(default_factory=lambda: UdpConfig(), description="Receivers of UDP packets.")
    assembler: AssemblerConfig = Field(default_factory=lambda: AssemblerConfig(), description="Assembler of images.")
    replication: ReplicationConfig = Field(
        default_factory=lambda: ReplicationConfig(), description="Images to and from other servers."
    )
    nexus: NexusConfig = Field(default_factory=lambda: NexusConfig(), description="Metadata in the files.")
    measured_values: dict[ValueName, ValueUnit] = Field(
        default_factory=dict,
        max_length=MAX_NAMES,
        description="Values that other programs measure, such as positions and temperatures, and that are stored with "
        "each run: the unit of each, by its name.",
    )

    @property
    def value_units(self) -> Mapping[str, str]:
        """Unit of each value of other programs that is stored with a run, by its name."""
        return self.measured_values

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document in which an older spelling of the detector type is replaced by the current name."""
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
        named = self.udp.senders if isinstance(self.udp.senders, dict) else {}
        for part in map(ModuleRange.parse, named):
            if part[1] >= self.n_modules:
                raise ValueError(f"udp.senders names modules {part}, but n_modules is {self.n_modules}")
        covered = sorted(module for part in self.receivers for module in part.modules)
        if covered != list(range(self.n_modules)):
            raise ValueError(f"udp.receivers must name each module from 0 to {self.n_modules - 1} exactly once")
        return self

    @property
    def ring_paths(self) -> tuple[Path, Path]:
        """Paths of FrameBuffer and ImageBuffer."""
        directory = self.shared_memory.directory
        return directory / f"{self.name}-frames", directory / f"{self.name}-images"

    @property
    def receivers(self) -> list[ModuleRange]:
        """The module ranges of the receiver processes."""
        if self.udp.receivers is None:
            return [ModuleRange((0, self.n_modules - 1))]
        return [ModuleRange.parse(text) for text in self.udp.receivers]

    @property
    def n_submodules(self) -> int:
        """Number of submodules: the halves of modules with two UDP interfaces, otherwise the modules."""
        return self.n_modules * self.udp.numinterfaces

    def submodules(self, modules: Iterable[int]) -> list[int]:
        """Return the submodules of some modules; those of module i are 2 i and 2 i + 1 if there are two of each."""
        n = self.udp.numinterfaces
        return [module * n + interface for module in modules for interface in range(n)]

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        return self.image_pixel_height, self.image_pixel_width
