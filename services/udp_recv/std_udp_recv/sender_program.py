"""The filter of a socket that cuts what strangers send, as a program of classic BPF.

Linux runs the program on each message before it puts it into the receive buffer. The program loads the source address
from the IP header. It leaves messages of known senders as they are, and cuts all others to nothing, so that a message
without a payload tells that a stranger has spoken. With multicast and ``UDP_GRO`` it is the same.
"""

import struct
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

BPF_INSTRUCTION = struct.Struct("HBBI")
"""``struct sock_filter``: code, jumps if true and if false, operand."""

# <linux/bpf_common.h>, <linux/filter.h>
_LOAD_WORD, _AND, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_IP_HEADER = 0x1_0000_0000 - 0x100000
_SOURCE_OF = {4: _IP_HEADER + 12, 6: _IP_HEADER + 8}
_WORD_BYTES = 4
_WHOLE = 0xFFFF_FFFF
_UDP_HEADER_BYTES = 8
_MAX_INSTRUCTIONS = 1024


def sender_program(senders: Sequence[IPv4Network | IPv6Network], version: int) -> bytes | None:
    """Return a program that cuts all messages to nothing but those of some senders.

    Parameters
    ----------
    senders
        Addresses of the senders.
    version
        Version of IP of the socket, 4 or 6; senders of the other version do not matter.

    Returns
    -------
    The instructions, each a `BPF_INSTRUCTION`; None if there are none of this version, or too many of them.
    """
    program = [code for network in senders if network.version == version for code in _let_in(network)]
    program.append((_RETURN, 0, 0, _UDP_HEADER_BYTES))
    if not 1 < len(program) <= _MAX_INSTRUCTIONS:
        return None
    return b"".join(BPF_INSTRUCTION.pack(*code) for code in program)


def _let_in(network: IPv4Network | IPv6Network) -> list[tuple[int, int, int, int]]:
    """Return instructions that end the program if a message is from a network, and otherwise go on behind them."""
    address, mask = network.network_address.packed, network.netmask.packed
    codes = []
    for start in range(0, len(address), _WORD_BYTES):
        piece = slice(start, start + _WORD_BYTES)
        n_left = 3 * ((len(address) - start) // _WORD_BYTES - 1) + 1
        codes += [
            (_LOAD_WORD, 0, 0, _SOURCE_OF[network.version] + start),
            (_AND, 0, 0, int.from_bytes(mask[piece])),
            (_JUMP_IF_EQUAL, 0, n_left, int.from_bytes(address[piece])),
        ]
    return [*codes, (_RETURN, 0, 0, _WHOLE)]
