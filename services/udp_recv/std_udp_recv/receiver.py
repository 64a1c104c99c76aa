"""Receiver: the service, one thread for each port and a main thread that announces what they have received."""

import heapq
import os
import select
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError, SharedMemoryError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.model import DetectorConfig, ModuleRange
from std_daq.imaging.config.paths import frame_buffer_path, frames_address
from std_daq.imaging.detectors.interface import Detector
from std_daq.imaging.detectors.registry import open_detector
from std_daq.service.run import ServiceContext
from std_daq.shm.journal import Journal
from std_daq.streams.doorbell import DoorbellPublisher
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_udp_recv.announcer import FrameAnnouncer
from std_udp_recv.metrics import ReceiverCollector
from std_udp_recv.placing import indices as k
from std_udp_recv.placing.port import make_port
from std_udp_recv.port_receiver import EndedFrame, PortReceiver, compile_receiver
from std_udp_recv.udp_socket import UdpSocket

_LONGEST_WAIT_MS = 100
_CHECK_S = 0.1


class Receiver:
    """Receives the packets of some modules into the FrameBuffer and announces each exposure.

    Parameters
    ----------
    context
        The service's context.
    part
        The modules of this process.
    """

    def __init__(self, context: ServiceContext[DetectorConfig], part: ModuleRange) -> None:
        config = context.config
        self._log = get_logger()
        self._conditions = ConditionLog()
        self._stats_period_s = config.stats_collection_period
        modules = [module for module in part.modules if module not in config.deactivate]
        if not modules:
            raise ConfigError(f"all modules of the receiver {part} are off", key="deactivate")
        _check_cpus(config)
        detector = open_detector(config)
        self._ring = _open_ring(config, detector)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wakes = select.poll()
        self._wakes.register(self._wake_fd, select.POLLIN)
        self._ports: list[PortReceiver] = []
        try:
            epoch = self._take_over(part)
            key_step = ports_per_module(detector)
            ports = [port for port in range(detector.n_ports) if detector.module_of_port(port) in modules]
            self._announcer = FrameAnnouncer(
                {port: detector.module_of_port(port) for port in ports},
                window=self._sync_window(config),
                timeout_ns=int(config.udp.module_timeout_s * 1e9),
                last=_last_exposure(self._ring.journals[part[0]]),
            )
            self._open_ports(config, detector, ports, key_step, epoch)
            self._doorbell = DoorbellPublisher(frames_address(config, part))
        except BaseException:
            self._let_go()
            raise
        self._journal = self._ring.journals[part[0]]
        self._collector = ReceiverCollector(self._ports, self._announcer, self._ring.n_slots)
        self._registry = context.registry
        self._registry.register(self._collector)
        for receiver in self._ports:
            receiver.start()
        self._next_check_s = time.monotonic()
        self._next_stats_s = self._next_check_s + self._stats_period_s

    @property
    def is_ready(self) -> bool:
        """Whether all ports are received on."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """Which ports are not received on."""
        if not self._ports:
            return "no UDP port is open"
        idle = [str(port.socket.port) for port in self._ports if not port.is_running]
        return f"not receiving on UDP ports {', '.join(idle)}" if idle else None

    @property
    def udp_ports(self) -> list[int]:
        """The UDP ports, in order."""
        return [port.socket.port for port in self._ports]

    def step(self) -> None:
        """Announce what has come; wait at most 0.1 s for it."""
        if self._wakes.poll(_LONGEST_WAIT_MS // 10 if self._announcer.n_waiting else _LONGEST_WAIT_MS):
            os.eventfd_read(self._wake_fd)
        has_news = self._announce_ended()
        for raw in self._announcer.poll(time.monotonic_ns()):
            self._publish(raw)
        now_s = time.monotonic()
        if not has_news or now_s >= self._next_check_s:
            self._next_check_s = now_s + _CHECK_S
            self._check(now_s)

    def close(self) -> None:
        """End all frames, announce them, let go of ports and ring; within 0.2 s."""
        for port in self._ports:
            port.request_stop()
        for port in self._ports:
            port.join()
        self._announce_ended()
        for raw in self._announcer.flush():
            self._publish(raw)
        self._log_stats()
        self._registry.unregister(self._collector)
        self._doorbell.close()
        del self._journal
        self._let_go()

    def _check(self, now_s: float) -> None:
        """Do what is not for each exposure: look after ports and ring, log statistics."""
        for port in self._ports:
            port.check()
        if not self._ring.is_live:
            raise SharedMemoryError(f"{self._ring.segment.path}: was removed under this receiver; start it again")
        if now_s >= self._next_stats_s:
            self._next_stats_s = now_s + self._stats_period_s
            self._log_stats()

    def _announce_ended(self) -> bool:
        """Announce what the ports have brought; returns whether there was anything."""
        # Read before any is fed: a frame in a queue must not be given up for the time that the others take.
        ended = [(port.index, port.take_ended()) for port in self._ports]
        now_ns = time.monotonic_ns()
        has_news = False
        for port, frame in in_order_of_arrival(ended):
            has_news = True
            for raw in self._announcer.feed(port, frame, now_ns):
                self._publish(raw)
        return has_news

    def _publish(self, raw: NDArray[Any]) -> None:
        self._journal.append(raw)
        self._doorbell.ring(raw)
        if raw["status"][0]:
            self._conditions.warning(
                "exposure_incomplete",
                image_id=int(raw["id"][0]),
                status=int(raw["status"][0]),
                missing_modules=int(raw["n_missing_modules"][0]),
            )

    def _take_over(self, part: ModuleRange) -> int:
        """Become the only writer; invalidate what a predecessor left unfinished; return an epoch that is new."""
        for module in part.modules:
            self._ring.segment.lock(module, f"receiver of module {module}")
        own = slice(part[0], part[1] + 1)
        unfinished = self._ring.invalidate_unfinished(list(part.modules))
        if unfinished:
            self._log.warning("unfinished_frames_invalidated", frames=unfinished)
        epochs = self._ring.headers["epoch"].reshape(self._ring.n_slots, -1)[:, own]
        return int(epochs.max()) + 1

    def _sync_window(self, config: DetectorConfig) -> int:
        """Return how many exposures may wait: at most so many that they are not overwritten before they are used."""
        asked = config.module_sync_queue_size
        window = min(asked, self._ring.n_slots * 3 // 4)
        if window < asked:
            self._log.info("sync_window_limited", module_sync_queue_size=asked, exposures=window)
        return window

    def _open_ports(
        self, config: DetectorConfig, detector: Detector, ports: list[int], key_step: int, epoch: int
    ) -> None:
        udp = config.udp
        started = time.monotonic()
        for port in ports:
            module = detector.module_of_port(port)
            state = make_port(
                detector.packet_layout(module),
                self._ring,
                module,
                window_frames=udp.window_frames,
                key_step=key_step,
                epoch=epoch,
            )
            if not self._ports:
                compile_receiver(state)
                self._log.info("compiled", seconds=round(time.monotonic() - started, 2))
            self._ports.append(
                PortReceiver(
                    state,
                    port,
                    module,
                    UdpSocket(udp.address, config.start_udp_port + port, udp.socket_buffer_bytes, gro=udp.gro),
                    wake_fd=self._wake_fd,
                    idle_flush_s=udp.idle_flush_s,
                    latency_budget_us=udp.latency_budget_us,
                    cpu=udp.cpus[port % len(udp.cpus)] if udp.cpus else None,
                )
            )
        self._log.info(
            "receiving",
            udp_ports=self.udp_ports if len(ports) <= 2 else f"{self.udp_ports[0]} to {self.udp_ports[-1]}",
            socket_buffer_asked_bytes=udp.socket_buffer_bytes,
            socket_buffer_granted_bytes=min(port.socket.granted_bytes for port in self._ports),
            frame_slots=self._ring.n_slots,
            gro=all(port.socket.is_gro for port in self._ports),
        )

    def _let_go(self) -> None:
        """Close ports and ring; no thread may be running."""
        for port in self._ports:
            port.close()
        self._ports.clear()
        os.close(self._wake_fd)
        self._ring.close()

    def _log_stats(self) -> None:
        counters = np.sum([port.counters for port in self._ports], axis=0)
        rejected = {name: int(counters[index]) for name, index in k.REASONS.items() if counters[index]}
        self._log.info(
            "statistics",
            received=int(counters[k.RECEIVED]),
            messages=int(counters[k.MESSAGES]),
            lost=int(counters[k.LOST]),
            kernel_drops=sum(self._collector.kernel_drops().values()),
            frames=int(counters[k.FRAMES_COMPLETE] + counters[k.FRAMES_INCOMPLETE]),
            rejected=rejected,
        )


def _check_cpus(config: DetectorConfig) -> None:
    allowed = os.sched_getaffinity(0)
    refused = sorted(set(config.udp.cpus or ()) - allowed)
    if refused:
        raise ConfigError(
            f"this process may not run on CPU {', '.join(map(str, refused))}",
            key="udp.cpus",
            value=config.udp.cpus,
            remedy=f"choose among {', '.join(map(str, sorted(allowed)))}",
        )


def in_order_of_arrival(ended: Iterable[tuple[int, list[EndedFrame]]]) -> Iterator[tuple[int, EndedFrame]]:
    """Yield the frames of all ports, each with its port: those of one port stay in order.

    If many frames of one port went before those of the next they would crowd out exposures that are whole.
    """
    pieces = [[(port, frame) for frame in frames] for port, frames in ended if frames]
    return iter(pieces[0]) if len(pieces) == 1 else heapq.merge(*pieces, key=lambda piece: piece[1].last_arrival_ns)


def ports_per_module(detector: Detector) -> int:
    """Return how many ports bring alternate frames of the same module."""
    return detector.n_ports // detector.config.n_modules


def _open_ring(config: DetectorConfig, detector: Detector) -> FrameBuffer:
    layout = detector.packet_layout(0)
    memory = config.shared_memory
    key_step = ports_per_module(detector)
    ring, is_new = FrameBuffer.create(
        frame_buffer_path(config),
        n_modules=config.n_modules,
        frame_bytes=layout.frame_bytes,
        n_units=layout.n_units,
        buffer_bytes=int(memory.frame_buffer_gb * 1e9),
        n_slots=memory.frame_slots,
        slots_multiple=key_step,
    )
    get_logger().info("ring_opened", path=str(ring.segment.path), slots=ring.n_slots, is_new=is_new)
    needed = 2 * (config.udp.window_frames + 1) * key_step
    if ring.n_slots < needed:
        ring.close()
        raise ConfigError(
            f"a FrameBuffer of {ring.n_slots} slots is too small for this window, {needed} are needed",
            key="udp.window_frames",
            value=config.udp.window_frames,
            remedy="make the window smaller or shared_memory.frame_buffer_gb larger",
        )
    return ring


def _last_exposure(journal: Journal) -> tuple[int, int] | None:
    """Return epoch and frame number of what was published last; None where nothing was."""
    entries = journal.read(journal.next_sequence - 1, 1).entries
    return (int(entries["epoch"][0]), int(entries["frame_index"][0])) if len(entries) else None
