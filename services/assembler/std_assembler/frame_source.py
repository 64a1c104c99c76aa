"""FrameSource: the exposures of all receivers, synchronised, in order."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from std_daq.errors import ConfigError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import frame_buffer_path, frames_address
from std_daq.imaging.protocols.raw_metadata import RawMetadata
from std_daq.shm.journal import MAX_SOURCES, Journal
from std_daq.streams.doorbell import Doorbell
from std_daq.streams.follower import RingFollower
from std_daq.sync.synchroniser import Synchronised, Synchroniser

# Frames that arrived longer ago than this before the first start of an assembler belong to an earlier measurement.
STALE_NS = 10 * 10**9
# So few entries are read at once that there is still something to skip when frames turn out to be overwritten.
ENTRIES_AT_ONCE = 16


class Exposure(NamedTuple):
    """One exposure, as the receivers have published it.

    Attributes
    ----------
    frame_index
        The detector's frame number.
    raw
        What each receiver tells of it, None where it has none.
    """

    frame_index: int
    raw: list[RawMetadata | None]

    @property
    def arrived(self) -> list[RawMetadata]:
        """What the receivers tell that have it; at least one."""
        return [raw for raw in self.raw if raw is not None]

    @property
    def epoch(self) -> int:
        """How often the detector had restarted."""
        return max(raw.epoch for raw in self.arrived)


class FrameSource:
    """Follows the journals of all receivers.

    Parameters
    ----------
    config
        The detector.
    resume_points
        For each receiver, how far a previous assembler had come: see `Journal.resume_point`.
    """

    def __init__(self, config: DetectorConfig, resume_points: list[tuple[int, int]]) -> None:
        parts = config.receivers
        if len(parts) > MAX_SOURCES:
            raise ConfigError(f"{len(parts)} receivers; at most {MAX_SOURCES} are possible", key="udp.receivers")
        path = frame_buffer_path(config)
        self._followers = [
            RingFollower(lambda: FrameBuffer.attach(path), journal=part[0], start=_StartPoint(point))
            for part, point in zip(parts, resume_points, strict=True)
        ]
        self._doorbell = Doorbell(*(frames_address(config, part) for part in parts))
        self._window = config.module_sync_queue_size
        self._time_limit_ns = int(config.assembler.receiver_timeout_s * 1e9)
        self._synchroniser: Synchroniser[RawMetadata] | None = None
        self._last_epoch: list[int | None] = [None] * len(parts)
        self._last_key = [-1] * len(parts)
        self.n_lost = 0

    @property
    def frames(self) -> list[FrameBuffer | None]:
        """The FrameBuffer as each receiver's follower has it; None while it is not there."""
        return [follower.ring for follower in self._followers]

    @property
    def is_attached(self) -> bool:
        """Whether the rings of all receivers are there."""
        return all(follower.ring is not None for follower in self._followers)

    @property
    def lag(self) -> int:
        """Exposures that have been published and not been taken, of the receiver that is furthest ahead."""
        return max(follower.lag for follower in self._followers)

    def wait(self, timeout_s: float) -> None:
        """Wait until a receiver publishes something, at most ``timeout_s``."""
        if self.lag == 0:
            self._doorbell.wait(timeout_s)

    def read(self) -> Iterator[Exposure]:
        """Yield the exposures that are complete or given up, in order."""
        for source, follower in enumerate(self._followers):
            part = follower.read(ENTRIES_AT_ONCE)
            if part is None:
                continue
            self.n_lost += part.n_lost
            for fields in part.entries.tolist():
                yield from self._synchronise(source, RawMetadata._make(fields))
        if self._synchroniser is not None:
            yield from map(_exposure, self._synchroniser.poll(time.monotonic_ns()))

    def skip_to_safety(self) -> int:
        """After an overrun: leave out the exposures that are about to be overwritten; returns how many.

        Without this each exposure would be overwritten while it is converted, and none would ever be whole.
        """
        n_skipped = 0
        for follower in self._followers:
            if follower.ring is not None:
                n_skipped += follower.skip(follower.ring.n_slots * 3 // 4)
        return n_skipped

    def close(self) -> None:
        """Let go of the rings."""
        self._doorbell.close()
        for follower in self._followers:
            follower.close()

    def _synchronise(self, source: int, raw: RawMetadata) -> Iterator[Exposure]:
        key, epoch = raw.frame_index, raw.epoch
        last_epoch = self._last_epoch[source]
        is_restart = last_epoch is not None and (epoch != last_epoch or key <= self._last_key[source])
        self._last_epoch[source] = epoch
        self._last_key[source] = key
        if self._synchroniser is None:
            self._synchroniser = self._make_synchroniser(source)
        done = self._synchroniser.feed(source, key, raw, time.monotonic_ns(), restarted=is_restart)
        yield from map(_exposure, done)

    def _make_synchroniser(self, source: int) -> Synchroniser[RawMetadata]:
        """Return one whose window leaves the frames of the exposures that wait in the ring."""
        ring = self._followers[source].ring
        window = self._window if ring is None else min(self._window, ring.n_slots * 3 // 4)
        return Synchroniser(len(self._followers), window=window, time_limit_ns=self._time_limit_ns)


def _exposure(result: Synchronised[RawMetadata]) -> Exposure:
    return Exposure(result.key, result.payloads)


@dataclass(frozen=True, slots=True)
class _StartPoint:
    """Where to begin in a FrameBuffer: where the last assembler stopped, else with what is not stale."""

    point: tuple[int, int]

    def __call__(self, ring: FrameBuffer, journal: Journal) -> int:
        created_ns, sequence = self.point
        if created_ns == ring.segment.created_ns and sequence <= journal.next_sequence:
            return sequence
        start = journal.oldest_sequence
        part = journal.read(start, journal.next_sequence - start)
        fresh = part.entries["last_arrival_ns"].astype(np.int64) >= time.time_ns() - STALE_NS
        n_stale = int(np.argmax(fresh)) if fresh.any() else len(fresh)
        return start + part.n_lost + n_stale
