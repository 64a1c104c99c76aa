"""FrameSource: yields the exposures of all receivers, synchronised and in order."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import frame_buffer_path, frames_address
from std_daq.imaging.protocols.raw_metadata import RawMetadata
from std_daq.shm.journal import Journal
from std_daq.streams.doorbell import Doorbell
from std_daq.streams.follower import RingFollower
from std_daq.sync.synchroniser import Synchronised, Synchroniser

# At the first start of an assembler, frames that are older than this belong to an earlier measurement.
STALE_NS = 10 * 10**9
# The entries that are read cannot be skipped any more. Few are read at once, so that after an overrun most of the
# entries that are about to be overwritten are still unread, and can be skipped.
ENTRIES_AT_ONCE = 16


class Exposure(NamedTuple):
    """One exposure, as the receivers have published it.

    Attributes
    ----------
    frame_index
        Frame number of the detector.
    raw
        Metadata from each receiver; None if the receiver has nothing of this exposure.
    renumbered
        Receivers that have nothing because the frame numbers of their modules do not go with those of the others.
    """

    frame_index: int
    raw: list[RawMetadata | None]
    renumbered: tuple[int, ...] = ()

    @property
    def arrived(self) -> list[RawMetadata]:
        """Metadata from the receivers that have something of this exposure; at least one."""
        return [raw for raw in self.raw if raw is not None]

    @property
    def epoch(self) -> int:
        """Epoch of the exposure: the number of restarts of the detector before it."""
        return max(raw.epoch for raw in self.arrived)


class FrameSource:
    """Follows the journals of all receivers.

    Parameters
    ----------
    config
        Configuration of the detector.
    resume_points
        For each receiver, how far a previous assembler has used its journal: see `Journal.resume_point`.

    Attributes
    ----------
    n_lost
        Entries of the journals that were overwritten before they were read.
    n_damaged
        Entries that are not those of their place in the journal.
    """

    def __init__(self, config: DetectorConfig, resume_points: list[tuple[int, int]]) -> None:
        parts = config.receivers
        path = frame_buffer_path(config)
        self._followers = [
            RingFollower(lambda: FrameBuffer.attach(path), journal=part[0], start=_StartPoint(point))
            for part, point in zip(parts, resume_points, strict=True)
        ]
        self._doorbell = Doorbell(*(frames_address(config, part) for part in parts))
        self._window = config.module_sync_queue_size
        self._frame_step = config.udp.numdst
        self._time_limit_ns = int(config.assembler.receiver_timeout_s * 1e9)
        self._synchroniser: Synchroniser[RawMetadata] | None = None
        self._last_epoch: list[int | None] = [None] * len(parts)
        self._last_key = [-1] * len(parts)
        self.n_lost = 0
        self.n_damaged = 0

    @property
    def frames(self) -> list[FrameBuffer | None]:
        """FrameBuffer to which each receiver's follower is attached; None while there is none."""
        return [follower.ring for follower in self._followers]

    @property
    def is_attached(self) -> bool:
        """Whether the followers of all receivers are attached to a ring."""
        return all(follower.ring is not None for follower in self._followers)

    @property
    def lag(self) -> int:
        """Exposures that are published and not yet read, of the receiver with the most."""
        return max(follower.lag for follower in self._followers)

    def lag_and_slots(self) -> tuple[int, int]:
        """Return the lag, and the slots of that receiver's FrameBuffer; 0 slots while there is none."""
        furthest = max(self._followers, key=lambda follower: follower.lag)
        return furthest.lag, 0 if furthest.ring is None else furthest.ring.n_slots

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
            first = follower.cursor - len(part.entries)
            for sequence, fields in enumerate(part.entries.tolist(), first):
                raw = RawMetadata._make(fields)
                if raw.sequence != sequence:  # the resume point follows from it, so the next start would come to grief
                    self.n_damaged += 1
                    continue
                yield from self._synchronise(source, raw)
        if self._synchroniser is not None:
            yield from map(self._exposure, self._synchroniser.poll(time.monotonic_ns()))

    def skip_to_safety(self) -> int:
        """Skip the exposures that are about to be overwritten, and return how many; to be called after an overrun.

        Otherwise each exposure would be overwritten while it is converted, and no image would ever be whole.
        """
        n_skipped = 0
        for follower in self._followers:
            if follower.ring is not None:
                n_skipped += follower.skip(follower.ring.n_slots * 3 // 4)
        return n_skipped

    def close(self) -> None:
        """Detach from the rings."""
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
        yield from map(self._exposure, done)

    def _exposure(self, result: Synchronised[RawMetadata]) -> Exposure:
        odd = {} if self._synchroniser is None or not result.missing else self._synchroniser.odd
        return Exposure(result.key, result.payloads, tuple(source for source in result.missing if source in odd))

    def _make_synchroniser(self, source: int) -> Synchroniser[RawMetadata]:
        """Return a synchroniser; its window is smaller than the ring, so waiting frames are not overwritten."""
        ring = self._followers[source].ring
        window = self._window if ring is None else min(self._window, ring.n_slots * 3 // 4)
        return Synchroniser(
            len(self._followers), window=window, time_limit_ns=self._time_limit_ns, max_step=self._frame_step
        )


@dataclass(frozen=True, slots=True)
class _StartPoint:
    """Start in a FrameBuffer: where the last assembler stopped; in a new ring, the first entry that is not stale."""

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
