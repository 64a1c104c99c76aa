"""A small detector, its ring, and delivery of datagrams as the kernel scatters them."""

import copy
import ctypes
import struct
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.detectors.packet_layout import HeaderCheck, HeaderField, PacketLayout
from std_udp_recv import batch_kernels, frame_kernels, placement_kernels, quarantine_row_kernels, refusal_kernels
from std_udp_recv.libc_kernels import compiled
from std_udp_recv.port import Port, make_port
from std_udp_recv.records import BATCH_ROWS, REASONS

HEADER = struct.Struct("<QIHBB")
N_SLOTS = 64


class Kernels(NamedTuple):
    """What is called of the code under test."""

    aim_batch: Callable[..., int]
    place_batch: Callable[..., None]
    end_acquisition: Callable[..., None]


AS_PYTHON = Kernels(batch_kernels.aim_batch, batch_kernels.place_batch, batch_kernels.end_acquisition)
COMPILED = Kernels(*(compiled(function) for function in AS_PYTHON))
LIBC = ctypes.CDLL(None)


class Rig:
    """A Port of module 1 of 2, and what feeds it.

    The header is key, unit, identity, detector type, version; the unit may share its bytes with a pulse id.
    """

    def __init__(
        self,
        kernels: Kernels,
        path: Path,
        *,
        units_per_packet: int,
        n_units: int,
        first_unit: int,
        key_step: int,
        window: int,
        has_pulse_id: bool,
        has_timestamp: bool,
        key_mask: int,
        published: int,
        senders: Sequence[str],
    ) -> None:
        self._kernels = kernels
        self.layout = PacketLayout(
            header_bytes=HEADER.size,
            unit_bytes=24,
            n_units=n_units,
            units_per_packet=units_per_packet,
            max_units_per_packet=units_per_packet or 4,
            key=HeaderField(0, 8, mask=key_mask),
            unit=HeaderField(8, 2 if has_pulse_id else 4),
            timestamp=HeaderField(0, 8) if has_timestamp else None,
            exposure_length=HeaderField(8, 4),
            daq_rec=HeaderField(12, 4),
            storage_cell=HeaderField(12, 4, shift=16, mask=0xFF),
            checks=(
                HeaderCheck(HeaderField(14, 1), 7, "foreign_detector"),
                HeaderCheck(HeaderField(15, 1), 2, "foreign_version"),
            ),
            identity=HeaderField(12, 2),
            pulse_id=HeaderField(10, 2) if has_pulse_id else None,
            max_padding_bytes=0 if units_per_packet else 5,
            first_unit=first_unit,
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
        self._published = np.array([published])
        self._senders = [IPv4Network(text) for text in senders]
        self.port = self._make_port()

    def _make_port(self) -> Port:
        return make_port(
            self.layout,
            self.ring,
            1,
            window_frames=self._window,
            key_step=self._key_step,
            epoch=1,
            published=self._published,
            senders=self._senders,
        )

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
        pulse_id: int = 0,
    ) -> bytes:
        payload = (fill * 0x9E3779B1 % 2**64).to_bytes(8, "little") * 3 * (count or self.layout.units_per_packet or 1)
        return HEADER.pack(key, unit | pulse_id << 16, identity, detector, version) + payload

    def deliver(
        self,
        datagrams: Sequence[bytes],
        batch: int = BATCH_ROWS,
        now_ns: int = 1_000,
        tell: Callable[[Sequence[bytes]], None] = lambda batch: None,
        sender: int = 0,
    ) -> None:
        """Hand over datagrams in batches of at most ``batch``, as Linux would; ``tell`` hears of each batch."""
        left = list(datagrams)
        while left:
            n_rows = min(self.aim(), batch, len(left))
            some, left = left[:n_rows], left[n_rows:]
            tell(some)
            for row, datagram in enumerate(some):
                self._scatter(row, datagram)
                self.port.rows[row].sender = sender
            self._kernels.place_batch(self.port, n_rows, now_ns)

    def _scatter(self, row: int, datagram: bytes) -> None:
        port = self.port
        capacity = HEADER.size + port.scratch.shape[1]
        raw = np.frombuffer(datagram[:capacity], np.uint8)
        header, payload = raw[: HEADER.size], raw[HEADER.size :]
        port.headers[row].view(np.uint8)[: len(header)] = header
        n_direct = int(port.rows[row].n_aimed) * self.layout.unit_bytes
        first, rest = payload[:n_direct], payload[n_direct:]
        target = int(port.rows[row].target)
        place = port.data[target:] if target >= 0 else port.scratch[row]
        place[: len(first)] = first
        port.scratch[row, n_direct : n_direct + len(rest)] = rest
        port.rows[row].length = len(raw)

    def index(self, key: int) -> int:
        """Index of a frame of the present epoch."""
        return self.ring.index(key, 1, int(self.port.state.slot_shift))

    def aim(self) -> int:
        return self._kernels.aim_batch(self.port, BATCH_ROWS)

    def count(self, counter: str) -> int:
        return int(self.port.counters[counter])

    def rejected(self) -> dict[str, int]:
        return dict(zip(REASONS, self.port.counters.rejected.tolist(), strict=True))

    def refusals(self) -> dict[str, int]:
        return {reason: n for reason, n in self.rejected().items() if n}

    def end(self) -> None:
        self._kernels.end_acquisition(self.port, True)

    def pause(self) -> None:
        """Let no packet come for a while."""
        self._kernels.end_acquisition(self.port, False)

    def ended(self) -> list[list[int]]:
        """The queue of ended frames so far."""
        return [list(frame) for frame in self.port.queue[: int(self.port.n_queued[0])].tolist()]


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator["RigMaker"]:
    maker = RigMaker(tmp_path)
    yield maker
    maker.close()


@pytest.fixture(params=["compiled", "as Python"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, make_rig: "RigMaker") -> None:
    """Let what is made by `make_rig` run compiled, or all of it as plain Python."""
    if request.param == "as Python":
        make_rig.kernels = AS_PYTHON
        for module in (batch_kernels, placement_kernels, quarantine_row_kernels, frame_kernels, refusal_kernels):
            for name in {"memcmp", "memcpy", "memset"} & vars(module).keys():
                monkeypatch.setattr(module, name, in_python(name))


def in_python(name: str) -> Callable[..., int]:
    """Return a function of libc that takes addresses and numbers, of numpy's types too."""

    def call(*arguments: int) -> int:
        result: int = getattr(LIBC, name)(*(ctypes.c_size_t(int(argument)) for argument in arguments))
        return result

    return call


class RigMaker:
    """Makes rigs; each replaces the last one."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "ring"
        self._rig: Rig | None = None
        self.kernels = COMPILED

    def __call__(
        self,
        *,
        units_per_packet: int = 1,
        n_units: int = 6,
        first_unit: int = 0,
        key_step: int = 1,
        window: int = 3,
        has_pulse_id: bool = False,
        has_timestamp: bool = False,
        key_mask: int = 2**64 - 1,
        published: int = -1,
        senders: Sequence[str] = (),
    ) -> Rig:
        self.close()
        self._rig = Rig(
            self.kernels,
            self._path,
            units_per_packet=units_per_packet,
            n_units=n_units,
            first_unit=first_unit,
            key_step=key_step,
            window=window,
            has_pulse_id=has_pulse_id,
            has_timestamp=has_timestamp,
            key_mask=key_mask,
            published=published,
            senders=senders,
        )
        return self._rig

    def close(self) -> None:
        if self._rig is not None:
            ring = self._rig.ring
            del self._rig.port
            ring.segment.remove()
            ring.close()
            self._rig = None
