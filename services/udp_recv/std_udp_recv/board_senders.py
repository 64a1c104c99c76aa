"""BoardSenders: whose packets of a board are used, by the address from which they come. Pure.

The rules are those of sender_kernels.py, for packets that each are a whole frame. An address is learned for each board.
The address that a board had is kept while it is alive. Another one is believed when it has brought two packets whose
numbers are close, and the one before has been silent, or had brought only one packet.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from std_udp_recv.board_packets import BoardPacket
from std_udp_recv.records import SILENCE_NS, SILENT_PERIODS, STRANGER_SILENCE_NS

MAX_STRANGERS = 64
"""Number of addresses that are named, and have to wait; all others are only counted together."""
MAX_STEP = 16
"""Two packets are close if their numbers differ by at most this."""


@dataclass(slots=True)
class _Owner:
    """The address of a board, the time of its last packet, and the time between the last two."""

    address: str
    seen_ns: int
    period_ns: int = 0
    n_packets: int = 1

    def is_alive(self, silent_ns: int, now_ns: int) -> bool:
        return self.n_packets > 1 and now_ns - self.seen_ns < max(silent_ns, SILENT_PERIODS * self.period_ns)

    def note(self, now_ns: int) -> None:
        self.period_ns = now_ns - self.seen_ns
        self.seen_ns = now_ns
        self.n_packets += 1


class BoardSenders:
    """Decides whether a packet is used.

    Parameters
    ----------
    senders_of
        Returns the configured addresses of a board; none if they are learned.
    modulus
        Packet numbers are less than this.

    Attributes
    ----------
    strangers
        Addresses whose packets were refused, and how many.
    n_refused
        Packets that were refused, of all addresses.
    """

    def __init__(self, senders_of: Callable[[int], tuple[IPv4Network | IPv6Network, ...]], modulus: int) -> None:
        self._senders_of = senders_of
        self._modulus = modulus
        self._owners: dict[tuple[int, int], _Owner] = {}
        self._candidates: dict[tuple[int, int], tuple[str, BoardPacket]] = {}
        self.strangers: Counter[str] = Counter()
        self.n_refused = 0

    def admit(self, packet: BoardPacket, address: str, now_ns: int) -> tuple[list[BoardPacket], bool]:
        """Return the packets to use, at a monotonic time, and whether the board has a new address.

        A packet that is not used is counted in `strangers`, or waits for the next one of its address.
        """
        networks = self._senders_of(packet.board)
        if networks:
            if any(ip_address(address.partition("%")[0]) in network for network in networks):
                return [packet], False
            self._refuse(address)
            return [], False
        key = packet.source, packet.board
        owner = self._owners.get(key)
        if owner is None:
            self._owners[key] = _Owner(address, now_ns)
            return [packet], False
        if owner.address == address:
            owner.note(now_ns)
            self._drop_candidate(key)
            return [packet], False
        silent_ns = STRANGER_SILENCE_NS if address in self.strangers else SILENCE_NS
        if owner.is_alive(silent_ns, now_ns):
            self._refuse(address)
            return [], False
        return self._try(key, packet, address, now_ns)

    def _try(
        self, key: tuple[int, int], packet: BoardPacket, address: str, now_ns: int
    ) -> tuple[list[BoardPacket], bool]:
        """Believe another address with its second packet."""
        held = self._candidates.get(key)
        is_second = held is not None and held[0] == address
        if held is None or not is_second or not 0 < (packet.number - held[1].number) % self._modulus <= MAX_STEP:
            self._drop_candidate(key)
            self._candidates[key] = address, packet
            return [], False
        del self._candidates[key]
        self._owners[key] = _Owner(address, now_ns, n_packets=2)
        self.strangers.pop(address, None)
        return [held[1], packet], True

    def _drop_candidate(self, key: tuple[int, int]) -> None:
        held = self._candidates.pop(key, None)
        if held is not None:
            self._refuse(held[0])

    def _refuse(self, address: str) -> None:
        if address in self.strangers or len(self.strangers) < MAX_STRANGERS:
            self.strangers[address] += 1
        self.n_refused += 1
