"""The common part of the commands that send packets: a sender per port, progress, and an end on a signal."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from std_daq.cli.console import progress_line
from std_daq.cli.interrupt import StopSignals
from std_daq.errors import EXIT_DONE, EXIT_FAILED
from std_daq.packets.bursts import BurstSource
from std_daq.packets.sending import PacketSender
from std_daq.packets.transmission import Transmission, patient_pacer
from std_daq.packets.udp_place import UdpPlace

_REPORT_PERIOD_S = 0.5
_BEHIND_S = 0.1


@contextmanager
def senders(arguments: argparse.Namespace, place: UdpPlace, ports: range) -> Iterator[dict[int, PacketSender]]:
    """Open one sender per port; closes them at the end of the context.

    Parameters
    ----------
    arguments
        Those of `std_daq.cli.shared_options.add_destination_options`.
    place
        Where the receivers of the configuration are.
    """
    host = arguments.host or (str(place.address) if place.is_group else place.loopback)
    hops = (0 if arguments.host is None else 1) if arguments.hops is None else arguments.hops
    interface = arguments.interface or place.interface
    with ExitStack() as stack:
        yield {port: stack.enter_context(PacketSender(host, port, interface=interface, hops=hops)) for port in ports}


def transmit(
    source: BurstSource, sinks: dict[int, PacketSender], rate_hz: float | None, n_frames: int | None
) -> tuple[Transmission, int]:
    """Send all packets of a source, or stop early on a signal; shows the progress on a terminal.

    Returns
    -------
    The transmission with its counts, and the exit code: 0, or that of the signal that stopped it; 1 if the destination
    has said of all ports that nobody listened to the last packets: nobody listens to a module that is switched off.
    """
    stop = StopSignals()
    make_pacer = partial(patient_pacer, sleep=stop.event.wait)
    transmission = Transmission(source, sinks, rate_hz=rate_hz, make_pacer=make_pacer)
    line = progress_line()
    of = "" if n_frames is None else f" of {n_frames}"

    def show() -> None:
        line.show(f"{transmission.n_frames}{of} images, {transmission.n_bytes / 1e9:.2f} GB")

    next_s = 0.0
    while not stop.event.is_set() and transmission.step():
        if time.monotonic() >= next_s:
            show()
            next_s = time.monotonic() + _REPORT_PERIOD_S
    show()
    line.end()
    used = [port for port, sink in sinks.items() if sink.n_sent]
    refused = [port for port in used if sinks[port].is_refused()]
    if refused:
        print(f"{_nobody_listens(refused)}: start the services before you send", file=sys.stderr)
    return transmission, stop.exit_code or (EXIT_FAILED if refused and refused == used else EXIT_DONE)


def report(
    transmission: Transmission, more: dict[str, int], *, remarks: Sequence[str] | None = None, as_json: bool
) -> None:
    """Print the counts of a transmission, the counts in ``more``, and remarks about the packets if there can be any."""
    counts = {
        "n_frames": transmission.n_frames,
        "n_packets": transmission.n_packets,
        "n_bytes": transmission.n_bytes,
        **more,
    }
    if as_json:
        document = {**counts, "behind_s": round(transmission.forgotten_s, 3)}
        print(json.dumps(document if remarks is None else {**document, "remarks": remarks}))
    else:
        print(", ".join(f"{value} {name.removeprefix('n_')}" for name, value in counts.items()))
        for remark in remarks or ():
            print(remark)
    if transmission.forgotten_s > _BEHIND_S:
        print(f"the rate was not reached: {transmission.forgotten_s:.1f} s behind", file=sys.stderr)


def _nobody_listens(ports: Sequence[int]) -> str:
    if len(ports) == 1:
        return f"nobody listened on UDP port {ports[0]} when the last packets came"
    return f"nobody listened on {len(ports)} UDP ports from {ports[0]} when the last packets came"
