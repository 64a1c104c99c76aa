"""Reader of the UDP datagrams in a pcap or pcapng file."""

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from std_daq.errors import CaptureError
from std_daq.packets.captures import map_file
from std_daq.packets.pcap.classic import is_classic, read_classic
from std_daq.packets.pcap.fragments import FragmentJoiner
from std_daq.packets.pcap.ip import UDP, IpPiece, MalformedError, ip_piece
from std_daq.packets.pcap.links import ip_packet
from std_daq.packets.pcap.nextgen import is_nextgen, read_nextgen
from std_daq.packets.pcap.records import CapturedRecord

_N_UDP = 8


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram.

    Attributes
    ----------
    time_ns
        Time of the capture, in nanoseconds since 1970; for a fragmented datagram, the time of the fragment that
        completed it.
    port
        Destination port.
    payload
        Payload of the datagram.
    """

    time_ns: int
    port: int
    payload: bytes


@dataclass(slots=True)
class PcapCounters:
    """Counts of the records in a capture; each record is counted in exactly one of the first six.

    Attributes
    ----------
    n_datagrams
        Records that completed a datagram which was delivered.
    n_other_ports
        Records that completed a datagram to a port that was not asked for.
    n_fragments
        Fragments that did not complete a datagram.
    n_foreign
        Records that are not UDP over IP.
    n_malformed
        Records that contradict their protocol.
    n_cut
        Records that completed a datagram which the capture cut short.
    n_unfinished
        Datagrams of which fragments are missing.
    """

    n_datagrams: int = 0
    n_other_ports: int = 0
    n_fragments: int = 0
    n_foreign: int = 0
    n_malformed: int = 0
    n_cut: int = 0
    n_unfinished: int = 0


def is_pcap(path: Path) -> bool:
    """Return whether a file starts like a pcap or pcapng file.

    Raises
    ------
    CaptureError
        The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error
    return is_classic(start) or is_nextgen(start)


class PcapReader:
    """Iterable of the UDP datagrams in a capture, in the order of the file; IP fragments are joined.

    If the capturing machine is also the sender and uses ``UDP_SEGMENT``, the capture shows a message before it is cut
    into datagrams. Such a message is one datagram in the file and is delivered as one.

    Parameters
    ----------
    path
        Path of the file.
    ports
        Destination ports to deliver; by default all ports.

    Attributes
    ----------
    path
        Path of the file.
    counters
        Counts of the records read so far.
    damages
        What was found damaged so far, as texts that name file and place. All healthy records are delivered.

    Raises
    ------
    CaptureError
        The file cannot be read, or is not a capture. While iterating: the file ends within its header.
    """

    def __init__(self, path: Path, ports: Collection[int] | None = None) -> None:
        self.path = path
        self.counters = PcapCounters()
        self.damages: list[str] = []
        self._ports = ports
        if not is_pcap(path):
            raise CaptureError(f"{path}: neither a pcap nor a pcapng file")

    def __iter__(self) -> Iterator[Datagram]:
        self.counters = counters = PcapCounters()
        self.damages = []
        joiner = FragmentJoiner()
        with map_file(self.path) as data:
            read = read_classic if is_classic(data[:4]) else read_nextgen
            for record in read(self.path, data, self.damages):
                try:
                    datagram = self._datagram(record, joiner)
                except MalformedError:
                    counters.n_malformed += 1
                    continue
                finally:
                    counters.n_unfinished = joiner.n_given_up + joiner.n_open
                if datagram is not None:
                    counters.n_datagrams += 1
                    yield datagram
        if counters.n_cut > 1:
            self.damages.append(f"{self.path}: {counters.n_cut - 1} more datagrams were cut by the capture")

    def _datagram(self, record: CapturedRecord, joiner: FragmentJoiner) -> Datagram | None:
        """Return the datagram that a record completes; if it completes none, count the record and return None."""
        packet = ip_packet(record.link_type, record.data)
        piece = None if packet is None else ip_piece(packet)
        if piece is None or piece.protocol != UDP:
            self.counters.n_foreign += 1
            return None
        udp = piece if piece.is_whole else joiner.join(piece)
        if udp is None:
            self.counters.n_fragments += 1
            return None
        return self._deliver(record, udp)

    def _deliver(self, record: CapturedRecord, udp: IpPiece) -> Datagram | None:
        if len(udp.data) < _N_UDP:
            raise MalformedError("the UDP header is incomplete")
        _, port, n_udp, _ = struct.unpack_from(">HHHH", udp.data)
        if self._ports is not None and port not in self._ports:
            self.counters.n_other_ports += 1
            return None
        # the length is 0 if it is too large for the field
        n_udp = n_udp or udp.n_bytes
        if not _N_UDP <= n_udp <= udp.n_bytes:
            raise MalformedError(f"a UDP datagram of {n_udp} bytes in an IP payload of {udp.n_bytes} bytes")
        if len(udp.data) < n_udp:
            self.counters.n_cut += 1
            if self.counters.n_cut == 1:
                self.damages.append(
                    f"{self.path}: byte {record.offset}: only {len(udp.data)} of the {n_udp} bytes of a datagram to "
                    f"port {port} were captured; capture whole packets (tcpdump -s 0)"
                )
            return None
        return Datagram(record.time_ns, port, udp.data[_N_UDP:n_udp])
