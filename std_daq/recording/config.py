"""RecordingConfig: the configuration of a system that writes files by request."""

from pathlib import Path

from pydantic import Field

from std_daq.config.platform import PlatformConfig
from std_daq.config.section import Section


class WriterConfig(Section):
    """Where and how runs are written."""

    output_roots: list[Path] = Field(
        default_factory=list,
        description="Directories below which files may be written; by default any that the service may write to.",
    )
    first_image_timeout_s: float = Field(
        3600.0, gt=0, description="A run fails when its first image has not come by then, in seconds."
    )
    image_timeout_s: float = Field(
        10.0, gt=0, description="A run ends when no further image came for this time, in seconds."
    )
    writer_timeout_s: float = Field(
        30.0, gt=0, description="A writer that is silent for this time is taken for lost, in seconds."
    )
    flush_interval_s: float = Field(
        1.0, gt=0, description="At most this much is lost when a writer is killed, in seconds."
    )
    direct_io: bool = Field(
        True,
        description="Whether uncompressed images go to the disk past the page cache, as long as the disk keeps up.",
    )
    n_compression_threads: int = Field(2, ge=1, le=256, description="Threads that compress, for each writer.")
    max_queued_requests: int = Field(
        0, ge=0, description="Requests that may wait while one is written; 0 refuses them."
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
