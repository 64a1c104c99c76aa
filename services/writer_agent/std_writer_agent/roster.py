"""WriterRoster: records which h5_writers are alive. Pure."""

from dataclasses import dataclass

from std_daq.recording.store_stream import WriterReport

# A writer reports at least once a second that it is alive.
ALIVE_S = 3.0


@dataclass(frozen=True, slots=True)
class _Presence:
    instance: str
    run_id: int | None
    seen_at: float


class WriterRoster:
    """Knows from the reports which process of each writer is alive."""

    def __init__(self) -> None:
        self._writers: dict[int, _Presence] = {}

    def feed(self, report: WriterReport, now: float) -> None:
        """Record the sender of a report; all reports of all writers come here."""
        self._writers[report.writer] = _Presence(report.instance, report.run_id, now)

    def instance(self, writer: int, now: float) -> str | None:
        """Return the id of a writer's process; None if the writer is not alive."""
        presence = self._present(writer, now)
        return None if presence is None else presence.instance

    def run_id(self, writer: int, now: float) -> int | None:
        """Return the run that a writer has open; None if there is none or the writer is not alive."""
        presence = self._present(writer, now)
        return None if presence is None else presence.run_id

    def _present(self, writer: int, now: float) -> _Presence | None:
        presence = self._writers.get(writer)
        return None if presence is None or now - presence.seen_at > ALIVE_S else presence
