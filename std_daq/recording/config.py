"""RecordingConfig: the configuration of a system that writes files by request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from std_daq.config.bounds import LAST_USER_ID, MAX_GB, MAX_SECONDS
from std_daq.config.platform import PlatformConfig
from std_daq.config.section import Section

MAX_WRITERS = 64
USER_NAME = r"^[a-zA-Z_][a-zA-Z0-9_.@-]{0,63}$"
MAX_USERS = 10_000
_MODE = r"^[0-7]{3,4}$"


class WriterConfig(Section):
    """Where and how runs are written."""

    output_roots: list[Path] = Field(
        default_factory=list,
        max_length=1000,
        description="Folders below which files may be written; by default all to which the service has write access.",
    )
    first_image_timeout_s: float = Field(
        3600.0,
        gt=0,
        le=MAX_SECONDS,
        description="A run fails if its first image has not come after this time, in seconds.",
    )
    image_timeout_s: float = Field(
        10.0, gt=0, le=MAX_SECONDS, description="A run ends if no further image has come for this time, in seconds."
    )
    writer_timeout_s: float = Field(
        30.0,
        gt=0,
        le=MAX_SECONDS,
        description="A writer that reports nothing for this time counts as dead, in seconds.",
    )
    flush_interval_s: float = Field(
        1.0,
        gt=0,
        le=MAX_SECONDS,
        description="Time between two flushes, in seconds. If a writer is killed, at most this much is lost.",
    )
    direct_io: bool = Field(
        True,
        description="Whether uncompressed images are written past the page cache (direct I/O) while the disk keeps up.",
    )
    n_compression_threads: int = Field(2, ge=1, le=256, description="Compression threads of each writer.")
    max_queued_requests: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Largest number of requests that wait while another one is written; with 0 they are refused.",
    )
    max_data_files: int = Field(
        900,
        ge=1,
        le=1_000_000,
        description="Largest number of data files of a run. A program that reads the master opens all of them, "
        "and most programs may have 1024 files open.",
    )
    file_mode: Annotated[str, Field(pattern=_MODE)] | None = Field(
        None, description="Mode of the files in octal, such as 0640; by default the umask of the service decides."
    )
    folder_mode: Annotated[str, Field(pattern=_MODE)] | None = Field(
        None,
        description="Mode of the folders that a run makes, such as 2750, with which files inherit the group; by "
        "default the umask of the service decides.",
    )
    group: Annotated[str, Field(pattern=r"^([a-zA-Z_][a-zA-Z0-9_.-]{0,31}|[0-9]{1,10})$")] | None = Field(
        None,
        description="Group of files and folders, by name or number; by default that of the user. The writer must be in "
        "the group or run as root.",
    )
    users: list[Annotated[str, Field(pattern=USER_NAME)] | Annotated[int, Field(ge=1, le=LAST_USER_ID)]] = Field(
        default_factory=list,
        max_length=MAX_USERS,
        description="Users, by name or number, to whom a request may give its files; root is none of them. The writer "
        "must run as root or with the capabilities SETUID and SETGID.",
    )
    min_free_gb: float = Field(
        1.0, ge=0, le=MAX_GB, description="Disk space that a run must leave free, in GB (10^9 bytes)."
    )
    journal: Path | None = Field(
        None, description="SQLite file of accepted requests; by default in the runtime directory."
    )

    @field_validator("file_mode", "folder_mode")
    @classmethod
    def _writer_can_use_them(cls, value: str | None) -> str | None:
        if value is not None and int(value, 8) & 0o600 != 0o600:
            raise ValueError("the owner, who writes the files, needs the rights to read and write (6 or 7)")
        return value


class RecordingConfig(PlatformConfig):
    """Configuration of a system that writes its data to files by request."""

    number_of_writers: int = Field(1, ge=1, le=MAX_WRITERS, description="Writer processes.")
    writer_user_id: int | None = Field(
        None,
        ge=0,
        le=LAST_USER_ID,
        description="User that files belong to; the writer must run as this user or as root.",
    )
    writer: WriterConfig = Field(default_factory=lambda: WriterConfig(), description="Writing.")

    @property
    def value_units(self) -> Mapping[str, str]:
        """Unit of each value of other programs that is stored with a run, by its name."""
        return {}
