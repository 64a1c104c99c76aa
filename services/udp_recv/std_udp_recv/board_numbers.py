"""BoardNumbers: judges the packet numbers of one board, which begin again with 0 after the last one. Pure."""

from array import array
from enum import Enum
from typing import NamedTuple

MAX_BACK = 1024
"""A number that is further back than this tells of a restart of the board."""
MAX_DELAY_NS = 10**9
"""A packet that comes again, or is late, comes within this time."""


class NumberOrder(Enum):
    """How a packet follows on the others of its board."""

    FIRST = "first"
    NEXT = "next"
    LATE = "late"
    DUPLICATE = "duplicate"
    RESTARTED = "restarted"


class Judgement(NamedTuple):
    """How a packet follows on the others of its board, and how many were lost before it."""

    order: NumberOrder
    n_lost: int = 0


class BoardNumbers:
    """The packet numbers of one board.

    - Numbers that are left out are lost packets.
    - A number that was left out, and comes within a second, belongs to a packet that is late.
    - A number that was there is a duplicate if its time is the same, and it comes within a second.
    - Any other number that is back tells of a restart, and so does a low number after a gap: a board counts from 0.

    Parameters
    ----------
    modulus
        Numbers are less than this.
    """

    def __init__(self, modulus: int) -> None:
        self._modulus = modulus
        self._last: int | None = None
        self._last_arrival_ns = 0
        # Number, time and arrival of the newest packets. Arrays, because there may be many boards that do not exist.
        self._recent = array("q", [-1]) * MAX_BACK
        self._times = array("q", [0]) * MAX_BACK
        self._arrivals = array("q", [0]) * MAX_BACK

    def feed(self, number: int, time_ns: int, arrival_ns: int) -> Judgement:
        """Judge the next packet of the board, which has a time and an arrival."""
        judgement = self._judge(number, time_ns, arrival_ns)
        if judgement.order is NumberOrder.DUPLICATE:
            return judgement
        if judgement.order is NumberOrder.RESTARTED:
            self._recent = array("q", [-1]) * MAX_BACK
        if judgement.order is not NumberOrder.LATE:
            self._last, self._last_arrival_ns = number, arrival_ns
        place = number % MAX_BACK
        self._recent[place], self._times[place], self._arrivals[place] = number, time_ns, arrival_ns
        return judgement

    def _judge(self, number: int, time_ns: int, arrival_ns: int) -> Judgement:
        if self._last is None:
            return Judgement(NumberOrder.FIRST)
        ahead = (number - self._last) % self._modulus
        if 0 < ahead < self._modulus // 2:
            if ahead > MAX_BACK and number < MAX_BACK:
                return Judgement(NumberOrder.RESTARTED)
            return Judgement(NumberOrder.NEXT, ahead - 1)
        place = number % MAX_BACK
        if self._recent[place] == number:
            is_same = self._times[place] == time_ns and arrival_ns - self._arrivals[place] <= MAX_DELAY_NS
            return Judgement(NumberOrder.DUPLICATE if is_same else NumberOrder.RESTARTED)
        is_late = self._modulus - ahead <= MAX_BACK and arrival_ns - self._last_arrival_ns <= MAX_DELAY_NS
        return Judgement(NumberOrder.LATE if is_late else NumberOrder.RESTARTED)
