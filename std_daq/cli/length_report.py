"""What a command that records or sends packets says about their lengths."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from std_daq.imaging.detectors.interface import Detector
    from std_daq.imaging.reception import PortReception


def port_receptions(
    detector: "Detector", lengths: Mapping[int, Mapping[int, int]], kernel_drops: Mapping[int, int]
) -> "list[PortReception]":
    """Return what is known of each port from the lengths of its packets.

    Parameters
    ----------
    detector
        The detector, whose packets have certain lengths.
    lengths
        For each UDP port, the number of packets by length.
    kernel_drops
        For each UDP port, the number of packets that the kernel dropped.
    """
    from std_daq.imaging.reception import PortReception, RefusedLength

    ports = []
    for udp_port, counts in lengths.items():
        submodule = detector.submodule_of_port(udp_port - detector.config.start_udp_port)
        layout = detector.packet_layout(submodule)
        refused = {n_bytes: n for n_bytes, n in counts.items() if not layout.has_length(n_bytes)}
        ports.append(
            PortReception(
                udp_port=udp_port,
                module=submodule // detector.config.udp.numinterfaces,
                received=sum(counts.values()),
                rejected={"wrong_length": sum(refused.values())} if refused else {},
                kernel_drops=kernel_drops.get(udp_port, 0),
                expected_length=layout.lengths_in_words,
                refused_lengths=tuple(
                    RefusedLength(n_bytes=n_bytes, n_packets=n, hint=layout.length_hints.get(n_bytes, ""))
                    for n_bytes, n in sorted(refused.items())
                ),
            )
        )
    return ports
