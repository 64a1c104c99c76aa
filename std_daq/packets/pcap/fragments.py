"""Reassembly of IP fragments."""

from collections import OrderedDict
from dataclasses import dataclass, field

from std_daq.packets.pcap.ip import IpPiece, MalformedError

_MAX_BYTES = 65535


@dataclass(slots=True)
class _Unfinished:
    """A transport packet of which some fragments have come."""

    serial: int
    pieces: dict[int, IpPiece] = field(default_factory=dict)
    n_here: int = 0
    n_total: int | None = None


class FragmentJoiner:
    """Join the fragments of transport packets, in whatever order the fragments come.

    Parameters
    ----------
    max_open
        A packet is given up if it is still unfinished when this number of later packets has begun. The limit bounds the
        memory. It also prevents that fragments of different packets are joined: the identification of a packet has only
        16 bits and therefore repeats.

    Attributes
    ----------
    n_given_up
        Packets that were given up.
    """

    def __init__(self, max_open: int = 1024) -> None:
        self._max_open = max_open
        self._open: OrderedDict[tuple[bytes, bytes, int], _Unfinished] = OrderedDict()
        self._n_begun = 0
        self.n_given_up = 0

    @property
    def n_open(self) -> int:
        """Number of packets of which fragments are still missing."""
        return len(self._open)

    def join(self, piece: IpPiece) -> IpPiece | None:
        """Add a fragment; return the whole packet if this was the last fragment that was missing.

        Raises
        ------
        MalformedError
            The fragment contradicts the others; the packet is given up.
        """
        packet = self._open.get(piece.key) or self._begin(piece)
        known = packet.pieces.get(piece.offset)
        if known == piece:
            return None
        end = piece.offset + piece.n_bytes
        if known is not None or end > _MAX_BYTES or (packet.n_total is not None and piece.is_last):
            raise self._give_up(piece)
        packet.pieces[piece.offset] = piece
        packet.n_here += piece.n_bytes
        if piece.is_last:
            packet.n_total = end
        if packet.n_total is None or packet.n_here < packet.n_total:
            return None
        return self._finish(packet, piece)

    def _begin(self, piece: IpPiece) -> _Unfinished:
        self._n_begun += 1
        while self._open and next(iter(self._open.values())).serial <= self._n_begun - self._max_open:
            self._open.popitem(last=False)
            self.n_given_up += 1
        self._open[piece.key] = packet = _Unfinished(self._n_begun)
        return packet

    def _give_up(self, piece: IpPiece) -> MalformedError:
        del self._open[piece.key]
        self.n_given_up += 1
        return MalformedError("fragments contradict each other")

    def _finish(self, packet: _Unfinished, latest: IpPiece) -> IpPiece:
        joined = bytearray()
        end = 0
        for offset in sorted(packet.pieces):
            piece = packet.pieces[offset]
            if offset != end:
                raise self._give_up(latest)
            end += piece.n_bytes
            if len(joined) == offset:
                # otherwise the capture cut an earlier piece short, so that this piece would be placed wrongly
                joined += piece.data
        if end != packet.n_total:
            raise self._give_up(latest)
        del self._open[latest.key]
        return IpPiece(latest.protocol, latest.key, 0, end, bytes(joined), is_last=True)
