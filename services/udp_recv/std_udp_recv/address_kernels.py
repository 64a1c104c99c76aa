"""The number that stands for the IPv6 address of a sender, because an address of 128 bits fits no field. Compiled.

Different addresses have different numbers, but for two in 2**60; whoever can choose addresses can also send from the
detector's own. Whether an address is among the configured ones is looked up here, once for each message, and is the
lowest bit of the number.
"""

from typing import TYPE_CHECKING

from std_udp_recv.libc_kernels import compilable
from std_udp_recv.records import FIRST_IPV6

if TYPE_CHECKING:
    from std_udp_recv.port import Port

_PRIME = (1 << 31) - 1
_FACTORS = (1_103_515_245, 1_812_433_253 % _PRIME)
_WORDS = 4


@compilable
def number_of_ipv6(port: "Port", word_0: int, word_1: int, word_2: int, word_3: int) -> int:
    """Return the number of an address, given as four words in the order of memory, and remember the address."""
    high = _fold(_FACTORS[0], word_0, word_1, word_2, word_3)
    low = _fold(_FACTORS[1], word_0, word_1, word_2, word_3)
    is_allowed = 1 if _is_configured(port, word_0, word_1, word_2, word_3) else 0
    number = FIRST_IPV6 | high << 31 | low & ~1 | is_allowed
    known = port.addresses[number // 2 % port.addresses.shape[0]]
    if known.sender != number:
        known.word_0, known.word_1, known.word_2, known.word_3 = word_0, word_1, word_2, word_3
        known.sender = number
    return number


@compilable
def _fold(factor: int, word_0: int, word_1: int, word_2: int, word_3: int) -> int:
    folded = word_0 % _PRIME
    folded = (folded * factor + word_1) % _PRIME
    folded = (folded * factor + word_2) % _PRIME
    return (folded * factor + word_3 + (word_0 >> 31) + (word_1 >> 30)) % _PRIME


@compilable
def _is_configured(port: "Port", word_0: int, word_1: int, word_2: int, word_3: int) -> bool:
    words = (word_0, word_1, word_2, word_3)
    for i in range(port.allowed_ipv6.shape[0]):
        n = 0
        for j in range(_WORDS):
            n += words[j] & port.allowed_ipv6[i, 1, j] == port.allowed_ipv6[i, 0, j]
        if n == _WORDS:
            return True
    return False
