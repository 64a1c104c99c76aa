"""UDP datagrams of a pcap or pcapng file."""

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
        When it was captured, since 1970; of a fragmented one, when the fragment that completed it was.
    port
        Where it went.
    payload
        What it carried.
    """

    time_ns: int
    port: int
    payload: bytes


@dataclass(slots=True)
class PcapCounters:
    """Where the records of a capture went: each is in exactly one of the first five counts.

    Attributes
    ----------
    n_datagrams
        Datagrams delivered.
    n_other_ports
        Datagrams to ports that were not asked for.
    n_fragments
        Fragments that did not complete a datagram.
    n_foreign
        No UDP over IP.
    n_malformed
        Contradict their protocol.
    n_unfinished
        Datagrams of which fragments are missing.
    """

    n_datagrams: int = 0
    n_other_ports: int = 0
    n_fragments: int = 0
    n_foreign: int = 0
    n_malformed: int = 0
    n_unfinished: int = 0


def is_pcap(path: Path) -> bool:
    """Whether a file starts as a pcap or pcapng file does.

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
    """Iterates over the UDP datagrams of a capture, in the order of the file; fragments are joined.

    A datagram that was cut into several after the capture (``UDP_SEGMENT`` on the capturing machine itself) is one in
    the file, and is delivered as one.

    Parameters
    ----------
    path
        The file.
    ports
        Destination ports of interest; all by default.

    Attributes
    ----------
    path
        The file.
    counters
        Where the records went, so far.

    Raises
    ------
    CaptureError
        The file cannot be read or is none. While iterating: it ends too early, says something that cannot be, or
        the capture cut a datagram of interest short.
    """

    def __init__(self, path: Path, ports: Collection[int] | None = None) -> None:
        self.path = path
        self.counters = PcapCounters()
        self._ports = ports
        if not is_pcap(path):
            raise CaptureError(f"{path}: neither a pcap nor a pcapng file")

    def __iter__(self) -> Iterator[Datagram]:
        self.counters = counters = PcapCounters()
        joiner = FragmentJoiner()
        with map_file(self.path) as data:
            read = read_classic if is_classic(data[:4]) else read_nextgen
            for record in read(self.path, data):
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

    def _datagram(self, record: CapturedRecord, joiner: FragmentJoiner) -> Datagram | None:
        """Return the datagram that a record completes; if it does not, count it."""
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
            raise MalformedError("the UDP header is not all there")
        _, port, n_udp, _ = struct.unpack_from(">HHHH", udp.data)
        if self._ports is not None and port not in self._ports:
            self.counters.n_other_ports += 1
            return None
        # 0 where the length is more than the field can say
        n_udp = n_udp or udp.n_bytes
        if not _N_UDP <= n_udp <= udp.n_bytes:
            raise MalformedError(f"{n_udp} bytes of UDP in {udp.n_bytes} bytes of IP")
        if len(udp.data) < n_udp:
            raise CaptureError(
                f"{self.path}: byte {record.offset}: only {len(udp.data)} of the {n_udp} bytes of a datagram to port "
                f"{port} were captured; capture whole packets (tcpdump -s 0)"
            )
        return Datagram(record.time_ns, port, udp.data[_N_UDP:n_udp])
