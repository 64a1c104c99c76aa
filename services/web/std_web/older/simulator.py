"""The simulated detector of the older interface, a process: ``python -m std_web.older.simulator FILE HOST RATE_HZ``.

It prints the number of images that it has sent, one line each half second, until it is told to end.
"""

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from std_daq.imaging.config.load import load_config
from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.simulation.simulation_source import SimulationSource
from std_daq.packets.faults import FaultInjector
from std_daq.packets.sending import PacketSender
from std_daq.packets.transmission import Transmission, patient_pacer
from std_daq.service.end_with_supervisor import end_with_parent

_N_IMAGES = 2**31
_REPORT_S = 0.5


def main(file: Path, host: str, rate_hz: float, first_frame: int) -> None:
    """Send images until SIGTERM, or until the process that has started this one ends."""
    end_with_parent(os.getppid(), signal.SIGTERM)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    config = load_config(file)
    detector = open_detector(config)
    place = config.udp.place
    source = SimulationSource(
        detector,
        FaultInjector(),
        n_images=_N_IMAGES,
        pattern=detector.patterns[0],
        seed=0,
        first_frame=first_frame,
        first_pulse_id=first_frame,
        restart_at=None,
    )
    ports = range(config.start_udp_port, config.start_udp_port + detector.n_ports)
    to = host or (str(place.address) if place.is_group else place.loopback)
    with ExitStack() as stack:
        sinks = {port: stack.enter_context(PacketSender(to, port, interface=place.interface, hops=1)) for port in ports}
        sending = Transmission(source, sinks, rate_hz=rate_hz, make_pacer=partial(patient_pacer, sleep=stop.wait))
        next_s = 0.0
        while not stop.is_set() and sending.step():
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + _REPORT_S
                print(sending.n_frames, flush=True)  # noqa: T201 - what the parent reads
        print(sending.n_frames, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
