"""TpcConfig: a time-projection chamber with GET electronics and all of its services, as in ``tpc.json``."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from std_daq.config.bounds import LAST_PORT, MAX_GB, MAX_SECONDS
from std_daq.config.load import check_config, read_document
from std_daq.config.platform import Name, SharedMemoryConfig
from std_daq.config.section import Section, union_tag
from std_daq.config.system import system_of
from std_daq.errors import ConfigError
from std_daq.recording.config import RecordingConfig
from std_daq.tpc.electronics import BOARDS_PER_COBO, MAX_COBO
from std_daq.tpc.pads.config import PadsConfig
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.view3d.viewer_address import DEFAULT_BROWSER_PORT

MAX_FRAME_BYTES = 2**20
MAX_BOARDS = (MAX_COBO + 1) * BOARDS_PER_COBO
_ADDRESS = re.compile(r"([^\s/:\[\]]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_HOST = r"^[^\s/\[\]]+$"

_WORD, _OTHER = union_tag("word"), union_tag("other")
_WORD_OR_OTHER = Discriminator(lambda value: _WORD if isinstance(value, str) else _OTHER)

UsedPort = Annotated[int, Field(ge=1, le=LAST_PORT)]
BoardId = tuple[
    Annotated[int, Field(ge=0, le=MAX_COBO)],
    Annotated[int, Field(ge=0, lt=BOARDS_PER_COBO)],
]
Boards = Annotated[
    Annotated[Literal["map", "topology"], Tag(_WORD)]
    | Annotated[Annotated[list[BoardId], Field(min_length=1, max_length=MAX_BOARDS)], Tag(_OTHER)],
    _WORD_OR_OTHER,
]
Pads = Annotated[
    Annotated[Literal["attpc_spyral"], Tag(_WORD)] | Annotated[PadsConfig, Tag(_OTHER)],
    _WORD_OR_OTHER,
]


class BuilderConfig(Section):
    """The event builder, which takes frames from exporters and makes events of them."""

    time_limit_s: float = Field(
        1.0,
        gt=0,
        le=MAX_SECONDS,
        description="An event is given out at the latest so long after its first frame, in seconds.",
    )
    reconnect_s: float = Field(
        0.2, gt=0, le=MAX_SECONDS, description="Longest pause between attempts at an exporter, in seconds."
    )
    max_frame_bytes: int = Field(
        MAX_FRAME_BYTES, ge=256, le=2**30, description="A frame that claims more bytes is damaged."
    )
    ram_buffer_gb: float = Field(1.0, gt=0, le=MAX_GB, description="Memory for the ring of events, in GB (10^9 bytes).")
    keep_frames: bool = Field(
        default=False,
        description="Keep the frames of each event in the ring as well, so that GRAW files can be requested.",
    )


class BrowserConfig(Section):
    """The viewer for browsers: a page, which gets what is drawn at another port."""

    host: str = Field(
        "127.0.0.1", pattern=_HOST, description="Name or address of this machine at which browsers reach it."
    )
    port: UsedPort = Field(DEFAULT_BROWSER_PORT, description="Port of the page.")
    data_port: UsedPort | None = Field(
        None, description="Port at which browsers get what is drawn, and at which other viewers may; null: a free one."
    )
    listen: str | None = Field(
        None,
        pattern=_HOST,
        description="Address to listen at, if not that of host: 0.0.0.0 in a container whose ports are published.",
    )


class ViewerConfig(Section):
    """Where the events are shown."""

    url: str | None = Field(None, description="A Rerun viewer, host:port; null: nothing is sent to one.")
    browser: BrowserConfig | None = Field(None, description="Serve a viewer for browsers; null: none is served.")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        return None if value is None else _checked_address(value)


class TpcConfig(RecordingConfig):
    """One chamber and all of its services."""

    name: Name = Field(
        alias="detector_name",
        description="Name of the chamber; it is part of the names of rings and sockets, and the request tag.",
    )
    detector_type: Literal["get-tpc"] = Field(description="A time-projection chamber with GET electronics.")
    exporters: list[str] = Field(
        min_length=1, max_length=1024, description="host:port of each exporter, a TCP server; the order has no meaning."
    )
    pads: Pads = Field(
        description="The pad plane; attpc_spyral: the files of the installed distribution of that name (up to 0.18.0), "
        "which is not imported."
    )
    boards: Boards = Field(
        "map",
        description="Boards [cobo, asad] that make an event complete: those listed, those of the channel map, or those "
        "that topology frames announce.",
    )
    builder: BuilderConfig = Field(default_factory=lambda: BuilderConfig(), description="The event builder.")
    analysis: AnalysisParameters = Field(
        default_factory=lambda: AnalysisParameters(), description="How events are analysed."
    )
    viewer: ViewerConfig = Field(default_factory=lambda: ViewerConfig(), description="Where the events are shown.")
    shared_memory: SharedMemoryConfig = Field(
        default_factory=lambda: SharedMemoryConfig(), description="Rings in shared memory."
    )

    @field_validator("exporters")
    @classmethod
    def _check_exporters(cls, value: list[str]) -> list[str]:
        for index, address in enumerate(value):
            if _checked_address(address) in value[:index]:
                raise ValueError(f"names {address} twice")
        return value

    @field_validator("boards")
    @classmethod
    def _check_boards(cls, value: list[tuple[int, int]] | str) -> list[tuple[int, int]] | str:
        if not isinstance(value, str):
            for index, board in enumerate(value):
                if board in value[:index]:
                    raise ValueError(f"names board {list(board)} twice")
        return value

    @model_validator(mode="after")
    def _boards_are_known(self) -> Self:
        if self.boards == "map" and isinstance(self.pads, PadsConfig) and self.pads.electronics is None:
            raise ValueError(
                "boards are those of the channel map, but pads.electronics names none: give a channel map, list the "
                'boards, or give "boards": "topology"'
            )
        return self

    @property
    def ring_paths(self) -> tuple[Path]:
        """Path of the ring of events."""
        return (self.shared_memory.directory / f"{self.name}-events",)


def load_tpc_config(path: Path | str) -> TpcConfig:
    """Load a ``tpc.json``.

    Raises
    ------
    ConfigError
        The file or a value in it is wrong, or it is the configuration of another system; the error has file, key, value
        and remedy.
    """
    path = Path(path)
    document = read_document(path)
    system = system_of(document, path)
    if system.model is not TpcConfig:
        raise ConfigError(
            f"this is a configuration of {system.name}, but one of a chamber is needed",
            file=path,
            remedy="give a tpc.json",
        )
    return check_config(document, TpcConfig, path)


def is_chamber(path: Path | str) -> bool:
    """Return whether a file is the configuration of a chamber; raises ConfigError if it cannot be read."""
    path = Path(path)
    return system_of(read_document(path), path).model is TpcConfig


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; brackets around an IPv6 address are removed."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _checked_address(address: str) -> str:
    match = _ADDRESS.fullmatch(address)
    if match is None or not 1 <= int(match[2]) <= LAST_PORT:
        raise ValueError(f"'{address}' is not host:port, for example 192.168.41.60:46491")
    return address
