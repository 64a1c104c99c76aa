"""ReceptionFile: tells other processes what the receiver sees on its ports, by a file in the runtime directory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from std_daq.imaging.detectors.packet_layout import PacketLayout
from std_daq.imaging.reception import OwnReception, PortReception, Reception, RefusedLength
from std_daq.telemetry.logs import ConditionLog
from std_udp_recv.port_receiver import PortReceiver
from std_udp_recv.records import REASONS
from std_udp_recv.same_packets import SamePackets

PERIOD_S = 1.0


class ReceptionWriter:
    """Writes the file, once a second.

    It writes at once when packets were refused or are missing, and when packets come on a port that was quiet: a run
    that ends within a second must not be told that no packet came.

    Parameters
    ----------
    path
        The file.
    n_ports
        Number of ports.
    """

    def __init__(self, path: Path, n_ports: int) -> None:
        self._path = path
        self._file = OwnReception(path)
        self._conditions = ConditionLog()
        self._n_faults = 0
        self._received = [0] * n_ports
        self._quiet = list(range(n_ports))
        self._next_s = 0.0

    def update(
        self, n_faults: int, received: Sequence[int], describe: Callable[[], Iterable[PortReception]], now_s: float
    ) -> None:
        """Write the file if it is due; a failure is logged, and it is tried again.

        Parameters
        ----------
        n_faults
            Number of packets and frames with which something is wrong.
        received
            Number of packets that came on each port.
        describe
            Returns what came on each port.
        now_s
            Monotonic time, in seconds.
        """
        has_begun = any(received[index] != self._received[index] for index in self._quiet)
        if n_faults == self._n_faults and not has_begun and now_s < self._next_s:
            return
        self._n_faults = n_faults
        before, self._received = self._received, [int(n) for n in received]
        self._quiet = [index for index, n in enumerate(self._received) if n == before[index]]
        self._next_s = now_s + PERIOD_S
        try:
            self._file.write(Reception(ports=tuple(describe())))
        except OSError as error:
            self._conditions.warning("reception_not_written", file=str(self._path), error=str(error))

    def remove(self) -> None:
        """Remove the file, because the receiver ends."""
        self._file.remove()


class ReceptionFile:
    """Writes what came on the ports of a detector with frame numbers, see `ReceptionWriter`.

    Parameters
    ----------
    path
        The file.
    layouts
        Layout of the packets on each port, by the index of the port.
    same_packets
        What notices that of each frame the same packets come, likewise.
    """

    def __init__(
        self, path: Path, layouts: Mapping[int, PacketLayout], same_packets: Mapping[int, SamePackets]
    ) -> None:
        self._file = ReceptionWriter(path, len(layouts))
        self._layouts = layouts
        self._same_packets = same_packets

    def update(self, ports: Sequence[PortReceiver], now_s: float) -> None:
        """Write the file if it is due."""
        n_faults = sum(int(port.counters.rejected.sum() + port.counters.frames_incomplete) for port in ports)
        received = [port.counters.received for port in ports]
        self._file.update(n_faults, received, lambda: map(self._describe, ports), now_s)

    def _describe(self, port: PortReceiver) -> PortReception:
        same_packets = self._same_packets.get(port.index)
        described = port_reception(port, self._layouts[port.index])
        return described.model_copy(update={"same_packets": same_packets.describe() if same_packets else ""})

    def remove(self) -> None:
        """Remove the file, because the receiver ends."""
        self._file.remove()


def port_reception(port: PortReceiver, layout: PacketLayout) -> PortReception:
    """Return what came on a port."""
    counters, state = port.counters, port.port.state
    lengths = [(int(length.n_bytes), int(length.n)) for length in port.port.lengths if length.n]
    highest, last = int(state.highest_unit) + layout.first_unit, int(state.last_incomplete)
    return PortReception(
        udp_port=port.socket.port,
        module=port.module,
        received=int(counters.received),
        rejected={reason: int(n) for reason, n in zip(REASONS, counters.rejected, strict=True) if n},
        kernel_drops=port.kernel_drops(),
        frames_complete=int(counters.frames_complete),
        frames_incomplete=int(counters.frames_incomplete),
        expected_length=layout.lengths_in_words,
        refused_lengths=tuple(
            RefusedLength(n_bytes=n_bytes, n_packets=n, hint=layout.length_hints.get(n_bytes, ""))
            for n_bytes, n in lengths
        ),
        packets_per_frame=layout.packets_per_frame,
        last_incomplete=last,
        last_incomplete_hint=layout.count_hints.get(last, ""),
        highest_number=highest,
        highest_number_hint=layout.count_hints.get(highest + 1, ""),
    )
