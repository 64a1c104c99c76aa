"""A small detector, its ring, and delivery of datagrams as the kernel scatters them."""

import copy
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.detectors.packet_layout import HeaderCheck, HeaderField, PacketLayout
from std_udp_recv.placing import kernels as k
from std_udp_recv.placing.port import Port, make_port

HEADER = struct.Struct("<QIHBB")
N_SLOTS = 64


class Rig:
    """A Port of module 1 of 2, and what feeds it: header = key, unit, identity, detector type, version."""

    def __init__(self, path: Path, *, units_per_packet: int, n_units: int, key_step: int, window: int) -> None:
        self.layout = PacketLayout(
            header_bytes=HEADER.size,
            unit_bytes=24,
            n_units=n_units,
            units_per_packet=units_per_packet,
            max_units_per_packet=units_per_packet or 4,
            key=HeaderField(0, 8),
            unit=HeaderField(8, 4),
            checks=(
                HeaderCheck(HeaderField(14, 1), 7, "foreign_detector"),
                HeaderCheck(HeaderField(15, 1), 2, "foreign_version"),
            ),
            identity=HeaderField(12, 2),
            max_padding_bytes=0 if units_per_packet else 5,
        )
        self.ring, _ = FrameBuffer.create(
            path,
            n_modules=2,
            frame_bytes=self.layout.frame_bytes,
            n_units=n_units,
            buffer_bytes=0,
            n_slots=N_SLOTS,
        )
        self.ring.data[:] = 0xEE
        self._window, self._key_step = window, key_step
        self.port = self._make_port()

    def _make_port(self) -> Port:
        return make_port(self.layout, self.ring, 1, window_frames=self._window, key_step=self._key_step, epoch=1)

    def twin(self) -> "Rig":
        """The same module's other port."""
        twin = copy.copy(self)
        twin.port = twin._make_port()
        return twin

    def packet(
        self,
        key: int,
        unit: int,
        fill: int = 1,
        *,
        count: int | None = None,
        identity: int = 5,
        detector: int = 7,
        version: int = 2,
    ) -> bytes:
        payload = (fill * 0x9E3779B1 % 2**64).to_bytes(8, "little") * 3 * (count or self.layout.units_per_packet or 1)
        return HEADER.pack(key, unit, identity, detector, version) + payload

    def deliver(self, datagrams: Sequence[bytes], batch: int = k.BATCH, now_ns: int = 1_000) -> None:
        """Hand over datagrams in batches of at most ``batch``, scattered as the kernel would."""
        left = list(datagrams)
        while left:
            n_rows = min(k.aim_batch(self.port), batch, len(left))
            for row in range(n_rows):
                self._scatter(row, left.pop(0))
            k.place_batch(self.port, n_rows, now_ns)

    def _scatter(self, row: int, datagram: bytes) -> None:
        port = self.port
        capacity = HEADER.size + port.scratch.shape[1]
        raw = np.frombuffer(datagram[:capacity], np.uint8)
        header, payload = raw[: HEADER.size], raw[HEADER.size :]
        port.headers[row].view(np.uint8)[: len(header)] = header
        n_direct = int(port.aims[row, 1]) * self.layout.unit_bytes
        first, rest = payload[:n_direct], payload[n_direct:]
        target = int(port.targets[row])
        place = port.data[target:] if target >= 0 else port.scratch[row]
        place[: len(first)] = first
        port.scratch[row, n_direct : n_direct + len(rest)] = rest
        port.lengths[row] = len(raw)

    def count(self, counter: int) -> int:
        return int(self.port.counters[counter])

    def refusals(self) -> dict[str, int]:
        return {name: self.count(index) for name, index in k.REASONS.items() if self.count(index)}

    def end(self) -> None:
        k.end_acquisition(self.port, 2_000)

    def ended(self) -> list[list[int]]:
        """The queue of ended frames so far."""
        return self.port.records[: int(self.port.cursors[k.TO_WRITE])].tolist()


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator["RigMaker"]:
    maker = RigMaker(tmp_path)
    yield maker
    maker.close()


class RigMaker:
    """Makes rigs; each replaces the last one."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "ring"
        self._rig: Rig | None = None

    def __call__(self, *, units_per_packet: int = 1, n_units: int = 6, key_step: int = 1, window: int = 3) -> Rig:
        self.close()
        self._rig = Rig(
            self._path, units_per_packet=units_per_packet, n_units=n_units, key_step=key_step, window=window
        )
        return self._rig

    def close(self) -> None:
        if self._rig is not None:
            ring = self._rig.ring
            del self._rig.port
            ring.segment.remove()
            ring.close()
            self._rig = None
