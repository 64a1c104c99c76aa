"""The state of a detector as the API tells it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from std_daq.client.status import (
    ImageCounts,
    PacketCounts,
    ReplicationCounts,
    RunStatus,
    ServiceStatus,
    WritingCounts,
)
from std_web.state.disk_room import DiskRoom
from std_web.state.module_counts import ModuleCounts
from std_web.state.poller import DetectorState
from std_web.state.ring_past import RingPast


class FindingDocument(BaseModel):
    """One thing that is wrong."""

    level: Literal["warning", "problem"] = Field(
        description="problem: the detector does not work; warning: data or speed may be lost."
    )
    what: str = Field(description="What is wrong, with numbers.")
    since: float = Field(description="Since when, in seconds since 1970.")
    what_to_do: str = Field(description="What helps: a command, a setting, or a page.")


class RingDocument(BaseModel):
    """A ring, and who is behind."""

    kind: str = Field(description="frames, images or events.")
    slots: int = Field(description="Its slots.")
    lag: dict[str, int] = Field(description="Entries that each reader has not read yet.")
    occupancy: float = Field(description="The part that the slowest reader has not read yet.")


class BrokerDocument(BaseModel):
    """The broker, as the writer agent sees it."""

    is_usable: bool | None = Field(description="Whether requests, kills and statuses pass; null without an agent.")
    problem: str = Field(description="Why not; empty if they do.")
    n_waiting: int = Field(description="Statuses that wait for it.")


class StatusDocument(BaseModel):
    """The state of a detector."""

    detector: str
    time: float | None = Field(description="When it was read, in seconds since 1970; null: it could not be.")
    fine: bool = Field(description="Whether nothing is wrong.")
    summary: str = Field(description="The state in one line.")
    findings: list[FindingDocument] = Field(description="What is wrong, the worst first.")
    services: list[ServiceStatus] = Field(default_factory=list)
    absent: list[str] = Field(default_factory=list, description="Services that should run, and do not.")
    modules: list[ModuleCounts] = Field(default_factory=list)
    packets: PacketCounts | None = None
    images: ImageCounts | None = None
    rings: list[RingDocument] = Field(default_factory=list)
    ring: RingPast | None = Field(None, description="What the ring of images holds.")
    run: RunStatus | None = None
    writers: WritingCounts | None = None
    disk: list[DiskRoom] = Field(default_factory=list)
    broker: BrokerDocument | None = None
    replication: ReplicationCounts | None = None
    metrics: dict[str, float] = Field(default_factory=dict, description="Sums of further metrics, by name.")


class HistoryDocument(BaseModel):
    """Figures of the last minutes."""

    time: list[float] = Field(description="Times of the points, in seconds since 1970.")
    series: dict[str, list[float | None]] = Field(
        description="Values at these times; null: not known. Names without a unit of time count since the start."
    )


class ConfigurationDocument(BaseModel):
    """A configuration."""

    file: str = Field(description="Its file on the machine of the console.")
    config_id: str = Field(description="Changes with each of its values.")
    configuration: dict[str, Any] = Field(description="All keys, also those that have their default.")


def status_document(name: str, state: DetectorState) -> StatusDocument:
    """Return the state of a detector as the API tells it."""
    findings = [
        FindingDocument(
            level="problem" if judged.finding.level == "problem" else "warning",
            what=judged.finding.what,
            since=judged.since_s,
            what_to_do=judged.finding.what_to_do,
        )
        for judged in state.findings
    ]
    reading = state.reading
    if reading is None:
        return StatusDocument(detector=name, time=None, fine=False, summary=state.problem, findings=findings)
    status = reading.status
    run = status.run
    return StatusDocument(
        detector=name,
        time=status.time_s,
        fine=not findings,
        summary=_summary(state),
        findings=findings,
        services=list(status.services),
        absent=list(reading.absent),
        modules=list(reading.modules),
        packets=status.packets,
        images=status.images,
        rings=[RingDocument(**ring.to_json()) for ring in status.rings],
        ring=reading.past,
        run=run,
        writers=status.writing,
        disk=list(reading.disks),
        broker=BrokerDocument(
            is_usable=not run.broker if run.state else None, problem=run.broker, n_waiting=run.n_waiting
        ),
        replication=status.replication,
        metrics=reading.metrics,
    )


def _summary(state: DetectorState) -> str:
    if state.findings:
        first, *others = state.findings
        more = f" (and {len(others)} more)" if others else ""
        return f"not fine: {first.finding.what}{more}"
    assert state.reading is not None  # noqa: S101 - nothing is wrong only with what has been read
    status = state.reading.status
    rate = status.images.per_s
    if rate:
        return f"fine: {rate:.1f} images/s" + (f", run {status.run.state}" if status.run.request_id else "")
    return "fine; no images come now"
