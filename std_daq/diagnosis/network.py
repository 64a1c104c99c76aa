"""Checks of network cards: MTU, speed, and packets that the card or its driver dropped."""

from collections.abc import Iterator
from pathlib import Path

from std_daq.diagnosis.finding import Finding, Level, judge
from std_daq.diagnosis.machine import Machine, read_number, read_word

# IPv4 and UDP header.
_HEADER_BYTES = 28
_DROP_COUNTERS = ("rx_dropped", "rx_fifo_errors", "rx_missed_errors", "rx_over_errors", "rx_crc_errors")
_LOOPBACK_TYPE = 772


def cards(machine: Machine, max_packet_bytes: int | None) -> Iterator[Finding]:
    """Check each network card that is up.

    Parameters
    ----------
    machine
        Files from which the check reads.
    max_packet_bytes
        Length of the detector's longest datagram in bytes; None if there is no detector.
    """
    for card in sorted((machine.sys / "class" / "net").glob("*")):
        if read_number(card / "type") == _LOOPBACK_TYPE or read_word(card / "operstate") not in {"up", "unknown"}:
            continue
        yield from _mtu(card, max_packet_bytes)
        yield from _drops(card)


def _mtu(card: Path, max_packet_bytes: int | None) -> Iterator[Finding]:
    mtu = read_number(card / "mtu")
    if mtu is None:
        return
    speed = read_number(card / "speed")
    text = f"{card.name}: MTU {mtu}" + (f", {speed / 1000:g} Gb/s" if speed is not None and speed > 0 else "")
    wanted = None if max_packet_bytes is None else max_packet_bytes + _HEADER_BYTES
    if wanted is None or mtu >= wanted:
        yield Finding("network", Level.OK, text)
        return
    # Only a warning, because the detector may be connected to another card.
    text += f"; the detector's packets need {wanted}"
    yield Finding("network", Level.WARNING, text, f"if it is connected here: sudo ip link set {card.name} mtu 9000")


def _drops(card: Path) -> Iterator[Finding]:
    counts = {name: read_number(card / "statistics" / name) or 0 for name in _DROP_COUNTERS}
    dropped = {name: count for name, count in counts.items() if count}
    received = read_number(card / "statistics" / "rx_packets") or 0
    yield judge(
        "network",
        Level.WARNING if dropped else Level.OK,
        f"{card.name}: {', '.join(f'{name} {n}' for name, n in dropped.items()) or 'nothing dropped'} "
        f"of {received} packets since the card came up",
        f"if the number grows, enlarge the card's ring: sudo ethtool -G {card.name} rx 4096 (ethtool -g shows the "
        "maximum)",
    )
