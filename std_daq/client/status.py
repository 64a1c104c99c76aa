"""The status of a detector, read from the metrics of its services: readiness, rates, losses, rings and the run."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from std_daq.client.scrape import Scrape, merge_by_label, scrape
from std_daq.config.platform import PlatformConfig
from std_daq.config.system import system_of_config
from std_daq.imaging.reception import describe_reception, read_receptions
from std_daq.service.description import Figure
from std_daq.service.record import ServiceRecord, read_records
from std_daq.service.registry import service_descriptions

_MAX_AT_ONCE = 16

BUILD = "daq_build_info"
RECEIVED = "daq_udp_packets_received_total"
REJECTED = "daq_udp_packets_rejected_total"
LOST = "daq_udp_packets_lost_total"
KERNEL_DROPS = "daq_udp_kernel_drops_total"
FRAMES_AHEAD = "daq_udp_frames_ahead"
IMAGES = "daq_images_total"
EXPOSURES_LOST = "daq_assembler_exposures_lost_total"
REPLICA_LOST = "daq_replica_images_lost_total"
IMAGES_WRITTEN = "daq_writer_images_written_total"
WRITER_LOST = "daq_writer_images_lost_total"
WRITTEN_BYTES = "daq_writer_written_bytes_total"
RING_SLOTS = "daq_ring_slots"
RING_LAG = "daq_ring_lag_images"
RUN_STATE = "daq_run_state"
WRITER_STATE = "daq_writer_state"
LAST_IMAGE = "daq_last_image_timestamp_seconds"
RUN_REQUEST = "daq_run_request"
RUN_REQUESTED = "daq_run_images_requested"
RUN_WRITTEN = "daq_run_images_written"
RUN_LOST = "daq_run_images_lost"
REQUESTS = "daq_requests_total"
BROKER_CONNECTED = "daq_broker_connected"
BROKER_BLOCKED = "daq_broker_blocked"
BROKER_WAITING = "daq_broker_messages_waiting"
SENT = "daq_replication_images_sent_total"
SENT_LOST = "daq_replication_images_lost_total"
SESSIONS = "daq_replication_sessions_total"
RECEIVER_LAG = "daq_replication_lag_images"
SOURCES = "daq_replica_sources"
REPLICA_SESSIONS = "daq_replica_sessions_total"
FRAME_READER = "assembler"

_RATED = (RECEIVED, IMAGES, IMAGES_WRITTEN, WRITTEN_BYTES, SENT)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The status of one process of a service.

    Parameters
    ----------
    instance, host, pid, url
        From the record of the process; in a container, host and process id are those of the container.
    up_s
        Time since the start of the process, in seconds.
    is_answering, is_ready
        Whether the endpoint answers, and whether it says that the service is ready.
    reason
        Why the service is not ready; empty if it is ready.
    memory_bytes, cpu_s
        Resident memory and processor time; None if the endpoint does not answer.
    figures
        The figures that the service description selects, by title.
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
    """The value of a figure, and its rate; the rate is None if it is not a counter or has no earlier reading."""

    value: float
    per_s: float | None


@dataclass(frozen=True, slots=True)
class PacketCounts:
    """Counts of packets since the start of the receivers; the rate is None if there is no earlier reading.

    ``remarks`` say what is wrong with the packets that came, in words; empty if nothing is wrong.
    ``frames_ahead`` holds the modules that count frames differently from the others at present, and by how many.
    """

    received: int
    received_per_s: float | None
    lost: int
    kernel_drops: int
    rejected: dict[str, int]
    remarks: tuple[str, ...]
    frames_ahead: dict[str, int]


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """Counts of images since the start of the assembler; lost images were overwritten before they were assembled."""

    total: int
    per_s: float | None
    by_status: dict[str, int]
    lost: int
    last_at_s: float | None


@dataclass(frozen=True, slots=True)
class RingStatus:
    """The status of a ring: its kind (``frames``, ``images`` or ``events``), its slots, and the lag of its readers."""

    kind: str
    slots: int
    lag: dict[str, int]

    @property
    def occupancy(self) -> float:
        """The part of the ring that the slowest reader has not read yet; at 1 that reader begins to lose some."""
        return max(self.lag.values(), default=0) / self.slots if self.slots else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the status as JSON has it."""
        return {**asdict(self), "occupancy": self.occupancy}


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The state of the writer agent, and the verdicts of earlier requests.

    Parameters
    ----------
    state
        State of the agent; empty if there is no agent.
    request_id, output_file
        The request that runs now, and its file; empty if no request runs.
    n_requested, n_written, n_lost
        Numbers of images of the run; n_requested is None if the run continues until it is killed, or if no request
        runs.
    ended
        Number of requests since the start of the agent, by verdict.
    broker
        Why requests, kills and statuses do not pass now; empty if they do, or if there is no agent.
    n_waiting
        Number of statuses that wait for the broker.
    """

    state: str
    request_id: str
    output_file: str
    n_requested: int | None
    n_written: int
    n_lost: int
    ended: dict[str, int]
    broker: str = ""
    n_waiting: int = 0


@dataclass(frozen=True, slots=True)
class WritingCounts:
    """Counts of the writers since their start, and the state of each writer by instance."""

    images: int
    images_per_s: float | None
    bytes: int
    bytes_per_s: float | None
    lost: int
    states: dict[str, str]


@dataclass(frozen=True, slots=True)
class ReplicationCounts:
    """Counts of images that are sent between servers, since the start of the services.

    Parameters
    ----------
    sent, sent_per_s, lost
        Images sent to other servers, their rate, and the images that were reported to receivers as lost.
    lag
        Number of images that wait to be sent, for each receiver.
    n_sources
        Number of senders that answer; None if no images come from another server.
    n_sessions
        Number of sessions that have begun: one for each pair of sender and receiver, and one more after each lost
        connection.
    """

    sent: int
    sent_per_s: float | None
    lost: int
    lag: dict[str, int]
    n_sources: int | None
    n_sessions: int


@dataclass(frozen=True, slots=True)
class DetectorStatus:
    """The status of all services of a detector at one time."""

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
        """Whether at least one service runs, and all services are ready."""
        return bool(self.services) and all(service.is_ready for service in self.services)

    def to_json(self) -> dict[str, Any]:
        """Return the status as JSON has it."""
        rings = [ring.to_json() for ring in self.rings]
        return {"detector_name": self.detector_name, "is_ready": self.is_ready, **asdict(self), "rings": rings}


class StatusReader:
    """Reads the status repeatedly; it computes rates from the difference to the reading before.

    Parameters
    ----------
    config
        Configuration of the system, which gives the directory of the service records.
    ask
        Reads the endpoint at a Unix socket.
    clock
        Returns the time in seconds since 1970.
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
        self._nouns = system_of_config(config).nouns
        self._figures_of = {service.name: service.figures for service in service_descriptions()}

    def read(self) -> DetectorStatus:
        """Read the endpoints of all services that have a record, in parallel."""
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
        remarks = tuple(describe_reception(read_receptions(self._config), is_quiet_told=False))
        return _summarise(self._config.name, now, services, scrapes, counters.rates_since(before), remarks, self._nouns)

    def _totals(self, answer: Scrape) -> Mapping[str, float]:
        shown = [figure.metric for figure in self._shown(answer) if figure.is_counter]
        return {name: answer.total(name) for name in (*_RATED, *shown)}

    def _shown(self, answer: Scrape) -> tuple[Figure, ...]:
        """Return the figures that the description of the answering service selects."""
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
        """Return the rate of a counter of one process, or None if the earlier reading did not have the process."""
        if before is None or self.time_s <= before.time_s or instance not in before.totals:
            return None
        return self._growth(instance, name, before) / (self.time_s - before.time_s)

    def _growths(self, name: str, before: "_Counters") -> Iterator[float]:
        return (self._growth(instance, name, before) for instance in self.totals)

    def _growth(self, instance: str, name: str, before: "_Counters") -> float:
        total = self.totals[instance].get(name, 0.0)
        grown = total - before.totals.get(instance, {}).get(name, 0.0)
        # A service that was restarted counts from 0 again.
        return grown if grown >= 0 else total


def _summarise(
    detector_name: str,
    now: float,
    services: tuple[ServiceStatus, ...],
    scrapes: Mapping[ServiceRecord, Scrape],
    rates: Mapping[str, float | None],
    remarks: tuple[str, ...],
    nouns: str,
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
            remarks=remarks,
            frames_ahead={module: n for module, n in by(FRAMES_AHEAD, "module").items() if n},
        ),
        images=ImageCounts(
            total=total(IMAGES),
            per_s=rates[IMAGES],
            by_status=by(IMAGES, "status"),
            lost=total(EXPOSURES_LOST) + total(REPLICA_LOST),
            last_at_s=max((answer.total(LAST_IMAGE) for answer in answers), default=0.0) or None,
        ),
        rings=_rings(scrapes, nouns),
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
            n_sessions=total(REPLICA_SESSIONS if n_sources else SESSIONS),
        ),
    )


def _rings(scrapes: Mapping[ServiceRecord, Scrape], nouns: str) -> tuple[RingStatus, ...]:
    """Return the rings of frames and of what is recorded: the slots from their writers, the lag from their readers."""
    slots = {"frames": 0, nouns: 0}
    for answer in scrapes.values():
        kind = "frames" if answer.has(RECEIVED) else nouns
        slots[kind] = max(slots[kind], int(answer.total(RING_SLOTS)))
    lag = {reader: int(n) for reader, n in sorted(merge_by_label(scrapes.values(), RING_LAG, "reader").items())}
    of_frames = {reader: n for reader, n in lag.items() if reader == FRAME_READER}
    of_recorded = {reader: n for reader, n in lag.items() if reader != FRAME_READER}
    rings = (RingStatus("frames", slots["frames"], of_frames), RingStatus(nouns, slots[nouns], of_recorded))
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
        broker=_broker(agent),
        n_waiting=int(agent.total(BROKER_WAITING)),
    )


def _broker(agent: Scrape) -> str:
    """Return why the agent cannot use the broker; empty if it can."""
    if agent.has(BROKER_CONNECTED) and not agent.total(BROKER_CONNECTED):
        return "the broker is not connected"
    return next(iter(agent.by_label(BROKER_BLOCKED, "reason")), "")


def _state(answer: Scrape) -> str:
    """Return the state of a writer, or of the agent's run; an empty text for another service."""
    states = answer.by_label(WRITER_STATE, "state") or answer.by_label(RUN_STATE, "state")
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
