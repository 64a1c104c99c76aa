"""What is wrong with a detector, and what to do, in the words of ``std-daq doctor`` and the how-to pages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from std_daq.config.platform import PlatformConfig
from std_daq.diagnosis.finding import Level
from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.config import RecordingConfig
from std_web.state.reading import StateReading

_NEARLY_OVERRUN = 0.8
_LOST_SHARE = 0.001
_FULL_SOON_S = 3600.0
_NEARLY_FULL = 0.1
_MAX_NAMED = 6
_SILENT_S = 20.0
_WAITING = "waiting"
_DIGITS = re.compile(r"\d+")
_GB = 1e9
_NETWORK = "docs/how-to/tune-the-network.md"
_TROUBLE = "docs/how-to/troubleshooting.md"


@dataclass(frozen=True, slots=True)
class StateFinding:
    """One thing that is wrong.

    Parameters
    ----------
    key
        The same as long as the same thing is wrong.
    level
        With a problem the detector does not work; a warning means that data or speed may be lost.
    what
        What is wrong, with numbers.
    what_to_do
        What helps.
    """

    key: str
    level: Level
    what: str
    what_to_do: str


def judge(config: PlatformConfig, now: StateReading, before: StateReading | None) -> Iterator[StateFinding]:
    """Yield what is wrong.

    Parameters
    ----------
    config
        Configuration of the detector.
    now
        The newest reading.
    before
        A reading of about half a minute ago, for what is wrong only while a counter grows; None: there is none.
    """
    yield from _services(now)
    yield from _broker(now)
    yield from _packets(now)
    yield from _silence(now, before)
    yield from _images(now, before)
    yield from _rings(now)
    yield from _disks(config, now)
    yield from _replication(config, now, before)


def _services(now: StateReading) -> Iterator[StateFinding]:
    services = now.status.services
    others = [service for service in services if service.instance != "web"]
    if not others and now.absent:
        yield StateFinding(
            "no services",
            Level.PROBLEM,
            f"no service of {now.status.detector_name} runs on this machine",
            "start them: std-daq up --config FILE, or the units or containers of the beamline",
        )
        return
    for name in now.absent:
        yield StateFinding(
            f"absent {name}",
            Level.PROBLEM,
            f"{name} does not run",
            f"read the end of its log, and start it; {_TROUBLE}",
        )
    for service in others:
        if not service.is_answering:
            what, remedy = "does not answer", "std-daq status; std-daq doctor"
        elif not service.is_ready:
            what, remedy = f"is not ready: {service.reason}", f"its log tells more; {_TROUBLE}"
        else:
            continue
        yield StateFinding(f"service {service.instance}", Level.PROBLEM, f"{service.instance} {what}", remedy)


def _broker(now: StateReading) -> Iterator[StateFinding]:
    run = now.status.run
    if run.broker:
        remedy = (
            f"no requests, kills or statuses pass; images are still received, and a run goes on; {_TROUBLE}#the-broker"
        )
        yield StateFinding("broker", Level.PROBLEM, run.broker, remedy)


def _packets(now: StateReading) -> Iterator[StateFinding]:
    for remark in now.remarks:
        yield StateFinding(
            f"packets {_DIGITS.sub('', remark)}",
            Level.WARNING,
            remark,
            f"std-daq doctor tells whether the receive buffer, the card or the settings lose them; {_TROUBLE}#packets",
        )
    dropping = {one.module: one.recent["kernel_drops"] for one in now.modules if one.recent["kernel_drops"]}
    if dropping:
        yield StateFinding(
            "kernel drops",
            Level.WARNING,
            f"the receive buffer was full: the kernel dropped {sum(dropping.values())} packets of {_modules(dropping)} "
            "within a minute",
            f"larger buffers, a CPU of its own for each port; {_NETWORK}",
        )
    losing = {
        one.module: one.recent["lost"]
        for one in now.modules
        if one.module not in dropping and one.recent["lost"] > _LOST_SHARE * max(one.recent["received"], 1)
    }
    if losing:
        yield StateFinding(
            "packets lost",
            Level.WARNING,
            f"{sum(losing.values())} packets of {_modules(losing)} did not come within a minute, and the kernel "
            "dropped none: they were lost in the card, the switch, or by a wrong MTU",
            f"std-daq doctor; find out where: {_NETWORK}",
        )
    for module, n in now.status.packets.frames_ahead.items():
        yield StateFinding(
            f"ahead {module}",
            Level.WARNING,
            f"module {module} counts {abs(n)} frames {'ahead of' if n > 0 else 'behind'} the others",
            "stop the acquisition, set the next frame number of all modules to the same value, start again",
        )


def _silence(now: StateReading, before: StateReading | None) -> Iterator[StateFinding]:
    if before is None or now.status.time_s - before.status.time_s < _SILENT_S:
        return
    states = {reading.status.run.state for reading in (before, now)}
    if states == {_WAITING} and now.status.packets.received == before.status.packets.received:
        yield StateFinding(
            "silence",
            Level.WARNING,
            "a run waits for its first image, and no packet comes",
            "is the detector started, and does it send to this server? std-daq doctor",
        )


def _images(now: StateReading, before: StateReading | None) -> Iterator[StateFinding]:
    if before is None:
        return
    images, earlier = now.status.images, before.status.images
    faulty = {
        name: grown
        for name, n in images.by_status.items()
        if name != "good" and (grown := n - earlier.by_status.get(name, 0)) > 0
    }
    if faulty:
        words = ", ".join(f"{n} {name.replace('_', ' ').replace('+', ' and ')}" for name, n in faulty.items())
        yield StateFinding(
            "images",
            Level.WARNING,
            f"images are not good: {words}",
            f"what else is wrong here names the cause: packets, modules out of step, calibration; {_TROUBLE}#images",
        )
    if images.lost > earlier.lost:
        yield StateFinding(
            "exposures lost",
            Level.PROBLEM,
            f"{images.lost - earlier.lost} exposures were overwritten before they became images",
            "assembler.n_threads, or a larger FrameBuffer",
        )
    lost = now.status.writing.lost - before.status.writing.lost
    if lost > 0:
        yield StateFinding(
            "writers lose",
            Level.PROBLEM,
            f"{lost} images of the run are in no file",
            "a larger ram_buffer_gb, a faster disk, several writers and files",
        )
    for verdict in ("failed", "incomplete"):
        if now.status.run.ended.get(verdict, 0) > before.status.run.ended.get(verdict, 0):
            level = Level.PROBLEM if verdict == "failed" else Level.WARNING
            what = "a run has failed" if verdict == "failed" else "a run lacks images"
            yield StateFinding(f"run {verdict}", level, what, f"its status and its file tell why; {_TROUBLE}#runs")


def _rings(now: StateReading) -> Iterator[StateFinding]:
    for ring in now.status.rings:
        for reader, lag in ring.lag.items():
            if ring.slots and lag > _NEARLY_OVERRUN * ring.slots:
                yield StateFinding(
                    f"reader {reader}",
                    Level.WARNING,
                    f"{reader} is {lag} of {ring.slots} {ring.kind} behind: at the end of the ring it loses some",
                    f"a larger ring, or more time for {reader}; {_TROUBLE}#images",
                )


def _disks(config: PlatformConfig, now: StateReading) -> Iterator[StateFinding]:
    if not isinstance(config, RecordingConfig):
        return
    for disk in now.disks:
        text = f"{disk.root}: {disk.free_bytes / _GB:.2f} of {disk.size_bytes / _GB:.2f} GB free"
        if disk.free_bytes < config.writer.min_free_gb * _GB:
            text += f"; a run must leave {config.writer.min_free_gb} GB free"
            level, remedy = Level.PROBLEM, "delete files; the writer refuses requests if the disk is too full"
        elif disk.lasts_s is not None and disk.lasts_s < _FULL_SOON_S:
            text += f"; at this rate it is full in {max(1, round(disk.lasts_s / 60))} minutes"
            level, remedy = Level.WARNING, "make room, or end the run in time"
        elif disk.free_bytes < _NEARLY_FULL * disk.size_bytes:
            level, remedy = Level.WARNING, "delete files; the writer refuses requests if the disk is too full"
        else:
            continue
        yield StateFinding(f"disk {disk.root}", level, text, remedy)
    if config.writer.output_roots and "daq_requests_queued" in now.metrics and not now.disks:
        yield StateFinding(
            "disks unknown", Level.PROBLEM, "none of the output roots can be looked at", "are they mounted?"
        )


def _replication(config: PlatformConfig, now: StateReading, before: StateReading | None) -> Iterator[StateFinding]:
    replication = now.status.replication
    if replication.n_sources == 0:
        sources = ""
        if isinstance(config, DetectorConfig) and config.replication.receive is not None:
            sources = f" at {', '.join(config.replication.receive.sources[:_MAX_NAMED])}"
        yield StateFinding(
            "sources",
            Level.PROBLEM,
            f"no images come from the other server: none of its senders answers{sources}",
            "is stream_send running there? docs/how-to/replicate-to-another-server.md",
        )
    if before is not None and replication.lost > before.status.replication.lost:
        yield StateFinding(
            "replication lost",
            Level.WARNING,
            f"{replication.lost - before.status.replication.lost} images left the ring before they were sent to "
            "another server",
            "a faster link, or a larger ram_buffer_gb; docs/how-to/replicate-to-another-server.md",
        )


def _modules(counts: dict[int, int]) -> str:
    names = ", ".join(str(module) for module in list(counts)[:_MAX_NAMED])
    more = f" and {len(counts) - _MAX_NAMED} more" if len(counts) > _MAX_NAMED else ""
    return f"module{'s' if len(counts) > 1 else ''} {names}{more}"
