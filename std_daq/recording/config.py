"""RecordingConfig: the configuration of a system that writes files by request."""

from pathlib import Path

from pydantic import Field

from std_daq.config.platform import PlatformConfig
from std_daq.config.section import Section


class WriterConfig(Section):
    """Where and how runs are written."""

    output_roots: list[Path] = Field(
        default_factory=list,
        description="Folders below which files may be written; by default all to which the service has write access.",
    )
    first_image_timeout_s: float = Field(
        3600.0, gt=0, description="A run fails if its first image has not come after this time, in seconds."
    )
    image_timeout_s: float = Field(
        10.0, gt=0, description="A run ends if no further image has come for this time, in seconds."
    )
    writer_timeout_s: float = Field(
        30.0, gt=0, description="A writer that reports nothing for this time counts as dead, in seconds."
    )
    flush_interval_s: float = Field(
        1.0,
        gt=0,
        description="Time between two flushes, in seconds. If a writer is killed, at most this much is lost.",
    )
    direct_io: bool = Field(
        True,
        description="Whether uncompressed images are written past the page cache (direct I/O) while the disk keeps up.",
    )
    n_compression_threads: int = Field(2, ge=1, le=256, description="Compression threads of each writer.")
    max_queued_requests: int = Field(
        0,
        ge=0,
        description="Largest number of requests that wait while another one is written; with 0 they are refused.",
    )
    max_data_files: int = Field(
        900,
        ge=1,
        description="Largest number of data files of a run. A program that reads the master opens all of them, "
        "and most programs may have 1024 files open.",
    )
    min_free_gb: float = Field(1.0, ge=0, description="Disk space that a run must leave free, in GB (10^9 bytes).")
    journal: Path | None = Field(
        None, description="SQLite file of accepted requests; by default in the runtime directory."
    )


class RecordingConfig(PlatformConfig):
    """Configuration of a system that writes its data to files by request."""

    number_of_writers: int = Field(1, ge=1, le=64, description="Writer processes.")
    writer_user_id: int | None = Field(
        None, description="User that files belong to; the writer must run as this user or as root."
    )
    writer: WriterConfig = Field(default_factory=lambda: WriterConfig(), description="Writing.")
