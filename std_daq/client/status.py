"""How the services of a detector are: up and ready, rates, losses, rings, run; from their own metrics."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from std_daq.client.scrape import Scrape, merge_by_label, scrape
from std_daq.config.platform import PlatformConfig
from std_daq.service.description import Figure
from std_daq.service.record import ServiceRecord, read_records
from std_daq.service.registry import service_descriptions

_MAX_AT_ONCE = 16

BUILD = "daq_build_info"
RECEIVED = "daq_udp_packets_received_total"
REJECTED = "daq_udp_packets_rejected_total"
LOST = "daq_udp_packets_lost_total"
KERNEL_DROPS = "daq_udp_kernel_drops_total"
IMAGES = "daq_images_total"
IMAGES_LOST = "daq_images_lost_total"
IMAGES_WRITTEN = "daq_writer_images_written_total"
WRITER_LOST = "daq_writer_images_lost_total"
WRITTEN_BYTES = "daq_writer_written_bytes_total"
RING_SLOTS = "daq_ring_slots"
RING_LAG = "daq_ring_lag_images"
RUN_STATE = "daq_run_state"
LAST_IMAGE = "daq_last_image_timestamp_seconds"
RUN_REQUEST = "daq_run_request"
RUN_REQUESTED = "daq_run_images_requested"
RUN_WRITTEN = "daq_run_images_written"
RUN_LOST = "daq_run_images_lost"
REQUESTS = "daq_requests_total"
SENT = "daq_replication_images_sent_total"
SENT_LOST = "daq_replication_images_lost_total"
SESSIONS = "daq_replication_sessions_total"
RECEIVER_LAG = "daq_replication_lag_images"
SOURCES = "daq_replication_sources"
FRAME_READER = "assembler"

_RATED = (RECEIVED, IMAGES, IMAGES_WRITTEN, WRITTEN_BYTES, SENT)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One process.

    Parameters
    ----------
    instance, host, pid, url
        As its record says; in a container host and process are those of the container.
    up_s
        For how long it has been running, in seconds.
    is_answering, is_ready
        Whether its endpoint answers, and says that it does its work.
    reason
        Why it does not; empty when it does.
    memory_bytes, cpu_s
        Resident memory and processor time; None where it does not answer.
    figures
        What the service itself wants to be shown of it, by title.
    """

    instance: str
    host: str
    pid: int
    url: str
    up_s: float
    is_answering: bool
    is_ready: bool
    reason: str
    memory_bytes: int | None
    cpu_s: float | None
    figures: "dict[str, FigureValue]"


@dataclass(frozen=True, slots=True)
class FigureValue:
    """A number that a service shows of itself; its rate where it is a count with an earlier reading to compare with."""

    value: float
    per_s: float | None


@dataclass(frozen=True, slots=True)
class PacketCounts:
    """Packets since the receivers' start, and each second (None where there is no earlier reading to compare with)."""

    received: int
    received_per_s: float | None
    lost: int
    kernel_drops: int
    rejected: dict[str, int]


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """Images since the assembler's start, by status; those lost were overwritten before they became images."""

    total: int
    per_s: float | None
    by_status: dict[str, int]
    lost: int
    last_at_s: float | None


@dataclass(frozen=True, slots=True)
class RingStatus:
    """A ring: its kind (``frames`` or ``images``), its slots, and how many entries each reader is behind."""

    kind: str
    slots: int
    lag: dict[str, int]

    @property
    def occupancy(self) -> float:
        """How much of the ring the slowest reader still needs; from 1 on it loses images."""
        return max(self.lag.values(), default=0) / self.slots if self.slots else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the status as JSON has it."""
        return {**asdict(self), "occupancy": self.occupancy}


@dataclass(frozen=True, slots=True)
class RunStatus:
    """What the writer agent does now, and how the requests before ended.

    Parameters
    ----------
    state
        Its state; empty where there is no agent.
    request_id, output_file
        The request that is carried out, and where its images go; empty where there is none.
    n_requested, n_written, n_lost
        Images of the run; n_requested is None where it goes on until killed, or where there is none.
    ended
        Requests since the agent's start by verdict.
    """

    state: str
    request_id: str
    output_file: str
    n_requested: int | None
    n_written: int
    n_lost: int
    ended: dict[str, int]


@dataclass(frozen=True, slots=True)
class WritingCounts:
    """What the writers did since their start, and the state of each, by instance."""

    images: int
    images_per_s: float | None
    bytes: int
    bytes_per_s: float | None
    lost: int
    states: dict[str, str]


@dataclass(frozen=True, slots=True)
class ReplicationCounts:
    """Images between servers, since the start of the services.

    Parameters
    ----------
    sent, sent_per_s, lost
        Images sent to other servers, and those told to them as lost.
    lag
        For each receiver, the images that wait to be sent to it.
    n_sources
        Senders that answer; None where no images come from another server.
    n_sessions
        Sessions begun: one for each sender and receiver, and each further one a connection that was lost.
    """

    sent: int
    sent_per_s: float | None
    lost: int
    lag: dict[str, int]
    n_sources: int | None
    n_sessions: int


@dataclass(frozen=True, slots=True)
class DetectorStatus:
    """All services of a detector at one moment."""

    detector_name: str
    time_s: float
    services: tuple[ServiceStatus, ...]
    packets: PacketCounts
    images: ImageCounts
    rings: tuple[RingStatus, ...]
    run: RunStatus
    writing: WritingCounts
    replication: ReplicationCounts

    @property
    def is_ready(self) -> bool:
        """Whether there are services, and all of them are ready."""
        return bool(self.services) and all(service.is_ready for service in self.services)

    def to_json(self) -> dict[str, Any]:
        """Return the status as JSON has it."""
        rings = [ring.to_json() for ring in self.rings]
        return {"detector_name": self.detector_name, "is_ready": self.is_ready, **asdict(self), "rings": rings}


class StatusReader:
    """Reads the status again and again, and compares each reading with the one before.

    Parameters
    ----------
    config
        The system: tells where the services leave their records.
    ask
        Asks the endpoint at a Unix socket.
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        config: PlatformConfig,
        ask: Callable[[Path], Scrape] = scrape,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._ask = ask
        self._clock = clock
        self._before: _Counters | None = None
        self._figures_of = {service.name: service.figures for service in service_descriptions()}

    def read(self) -> DetectorStatus:
        """Ask all services that have left a record, at once."""
        records = read_records(self._config)
        with ThreadPoolExecutor(_MAX_AT_ONCE, "status") as pool:
            scrapes = dict(zip(records, pool.map(self._ask, [record.socket for record in records]), strict=True))
        now = self._clock()
        counters = _Counters(now, {record.instance: self._totals(answer) for record, answer in scrapes.items()})
        before, self._before = self._before, counters
        services = tuple(
            _service(record, answer, now, self._figures(record.instance, answer, counters, before))
            for record, answer in scrapes.items()
        )
        return _summarise(self._config.name, now, services, scrapes, counters.rates_since(before))

    def _totals(self, answer: Scrape) -> Mapping[str, float]:
        shown = [figure.metric for figure in self._shown(answer) if figure.is_counter]
        return {name: answer.total(name) for name in (*_RATED, *shown)}

    def _shown(self, answer: Scrape) -> tuple[Figure, ...]:
        """Return the figures that the service asks for which has answered."""
        return next((self._figures_of.get(name, ()) for name in answer.by_label(BUILD, "service")), ())

    def _figures(
        self, instance: str, answer: Scrape, counters: "_Counters", before: "_Counters | None"
    ) -> dict[str, FigureValue]:
        figures = {}
        for figure in self._shown(answer):
            per_s = counters.rate_of(instance, figure.metric, before) if figure.is_counter else None
            figures[figure.title] = FigureValue(answer.total(figure.metric), per_s)
        return figures


@dataclass(frozen=True, slots=True)
class _Counters:
    time_s: float
    totals: Mapping[str, Mapping[str, float]]

    def rates_since(self, before: "_Counters | None") -> Mapping[str, float | None]:
        if before is None or self.time_s <= before.time_s:
            return dict.fromkeys(_RATED)
        return {name: sum(self._growths(name, before)) / (self.time_s - before.time_s) for name in _RATED}

    def rate_of(self, instance: str, name: str, before: "_Counters | None") -> float | None:
        """Return the rate of one process; None where it was not there at the earlier reading."""
        if before is None or self.time_s <= before.time_s or instance not in before.totals:
            return None
        return self._growth(instance, name, before) / (self.time_s - before.time_s)

    def _growths(self, name: str, before: "_Counters") -> Iterator[float]:
        return (self._growth(instance, name, before) for instance in self.totals)

    def _growth(self, instance: str, name: str, before: "_Counters") -> float:
        total = self.totals[instance].get(name, 0.0)
        grown = total - before.totals.get(instance, {}).get(name, 0.0)
        # A service that was started again counts from 0.
        return grown if grown >= 0 else total


def _summarise(
    detector_name: str,
    now: float,
    services: tuple[ServiceStatus, ...],
    scrapes: Mapping[ServiceRecord, Scrape],
    rates: Mapping[str, float | None],
) -> DetectorStatus:
    answers = list(scrapes.values())

    def total(name: str) -> int:
        return int(sum(answer.total(name) for answer in answers))

    def by(name: str, label: str) -> dict[str, int]:
        return {key: int(value) for key, value in sorted(merge_by_label(answers, name, label).items())}

    n_sources = [int(answer.total(SOURCES)) for answer in answers if answer.has(SOURCES)]
    return DetectorStatus(
        detector_name=detector_name,
        time_s=now,
        services=services,
        packets=PacketCounts(
            received=total(RECEIVED),
            received_per_s=rates[RECEIVED],
            lost=total(LOST),
            kernel_drops=total(KERNEL_DROPS),
            rejected={reason: n for reason, n in by(REJECTED, "reason").items() if n},
        ),
        images=ImageCounts(
            total=total(IMAGES),
            per_s=rates[IMAGES],
            by_status=by(IMAGES, "status"),
            lost=total(IMAGES_LOST),
            last_at_s=max((answer.total(LAST_IMAGE) for answer in answers), default=0.0) or None,
        ),
        rings=_rings(scrapes),
        run=_run(scrapes),
        writing=WritingCounts(
            images=total(IMAGES_WRITTEN),
            images_per_s=rates[IMAGES_WRITTEN],
            bytes=total(WRITTEN_BYTES),
            bytes_per_s=rates[WRITTEN_BYTES],
            lost=total(WRITER_LOST),
            states={record.instance: state for record, answer in scrapes.items() if (state := _state(answer))},
        ),
        replication=ReplicationCounts(
            sent=total(SENT),
            sent_per_s=rates[SENT],
            lost=total(SENT_LOST),
            lag=by(RECEIVER_LAG, "receiver"),
            n_sources=sum(n_sources) if n_sources else None,
            n_sessions=total(SESSIONS),
        ),
    )


def _rings(scrapes: Mapping[ServiceRecord, Scrape]) -> tuple[RingStatus, ...]:
    """Return FrameBuffer and ImageBuffer: each tells its slots where it is written, and its lag where it is read."""
    slots = {"frames": 0, "images": 0}
    for answer in scrapes.values():
        kind = "frames" if answer.has(RECEIVED) else "images"
        slots[kind] = max(slots[kind], int(answer.total(RING_SLOTS)))
    lag = {reader: int(n) for reader, n in sorted(merge_by_label(scrapes.values(), RING_LAG, "reader").items())}
    of_frames = {reader: n for reader, n in lag.items() if reader == FRAME_READER}
    of_images = {reader: n for reader, n in lag.items() if reader != FRAME_READER}
    rings = (RingStatus("frames", slots["frames"], of_frames), RingStatus("images", slots["images"], of_images))
    return tuple(ring for ring in rings if ring.slots or ring.lag)


def _run(scrapes: Mapping[ServiceRecord, Scrape]) -> RunStatus:
    agent = next((answer for answer in scrapes.values() if answer.has(RUN_REQUESTED)), Scrape(is_answering=False))
    return RunStatus(
        state=_state(agent),
        request_id=next(iter(agent.by_label(RUN_REQUEST, "request_id")), ""),
        output_file=next(iter(agent.by_label(RUN_REQUEST, "output_file")), ""),
        n_requested=int(agent.total(RUN_REQUESTED)) or None,
        n_written=int(agent.total(RUN_WRITTEN)),
        n_lost=int(agent.total(RUN_LOST)),
        ended={verdict: int(n) for verdict, n in agent.by_label(REQUESTS, "verdict").items() if n},
    )


def _state(answer: Scrape) -> str:
    """Return the state of a run as one service sees it; empty where it tells none."""
    states = answer.by_label(RUN_STATE, "state")
    return next((state for state, is_present in states.items() if is_present), "")


def _service(record: ServiceRecord, answer: Scrape, now: float, figures: dict[str, FigureValue]) -> ServiceStatus:
    is_answering = answer.is_answering
    return ServiceStatus(
        instance=record.instance,
        host=record.host,
        pid=record.pid,
        url=record.url,
        up_s=round(now - record.started_ns / 1e9, 1),
        is_answering=is_answering,
        is_ready=answer.is_ready,
        reason=answer.reason,
        memory_bytes=int(answer.total("process_resident_memory_bytes")) if is_answering else None,
        cpu_s=answer.total("process_cpu_seconds_total") if is_answering else None,
        figures=figures,
    )
