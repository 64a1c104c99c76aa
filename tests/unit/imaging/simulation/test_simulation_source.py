from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.interface import Detector
from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.simulation.packet_templates import PacketTemplates
from std_daq.imaging.simulation.simulation_source import SimulationSource
from std_daq.packets.faults import FaultInjector

CONFIGS: dict[str, dict[str, Any]] = {
    "eiger": {
        "detector_name": "EG",
        "detector_type": "eiger",
        "n_modules": 2,
        "bit_depth": 8,
        "image_pixel_height": 256,
        "image_pixel_width": 1030,
        "start_udp_port": 50032,
        "module_positions": {"0": [0, 0, 513, 255], "1": [516, 0, 1029, 255]},
    },
    "jungfrau, 64 rows on two interfaces to four servers": {
        "detector_name": "JF",
        "detector_type": "jungfrau",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 512,
        "image_pixel_width": 1024,
        "start_udp_port": 50032,
        "udp": {"numinterfaces": 2, "numdst": 4},
        "detector": {"readnrows": 64},
    },
}


@pytest.fixture(params=CONFIGS, scope="module")
def detector(request: pytest.FixtureRequest) -> Detector:
    return open_detector(DetectorConfig.model_validate(CONFIGS[request.param]))


def sent_by(source: SimulationSource) -> list[list[tuple[int, bytes]]]:
    """Return (port, datagram) of each step."""
    return [
        [
            (burst.port, burst.buffer[at : at + n].tobytes())
            for burst in bursts
            for at, n in zip(burst.offsets, burst.lengths, strict=True)
        ]
        for bursts in source.frames()
    ]


def expected(
    detector: Detector, n_images: int, first_frame: int = 1, first_pulse_id: int = 1
) -> list[tuple[int, bytes]]:
    """Return (port, datagram) of all exposures, made one by one."""
    datagrams = []
    step = detector.config.udp.numdst
    for i, image in enumerate(islice(detector.simulated_frames("counter", 3), n_images)):
        i *= step
        for module in range(detector.config.n_submodules):
            frame = detector.packets(module, first_frame + i, image[module], pulse_id=1 + i, timestamp=10_000 * i)
            port = detector.config.start_udp_port + frame.port
            datagrams += [(port, row[:n].tobytes()) for row, n in zip(frame.packets, frame.lengths, strict=True)]
    return datagrams


def simulation(detector: Detector, injector: FaultInjector, n_images: int, **options: Any) -> SimulationSource:
    return SimulationSource(detector, injector, n_images=n_images, pattern="counter", seed=3, **options)


def test_a_stamped_packet_is_what_the_detector_makes(detector: Detector) -> None:
    image = next(iter(detector.simulated_frames("counter", 0)))
    templates = PacketTemplates(detector)
    for number in (7, 8, 9, 2**24 - 1):
        stamped = templates.exposure(image, number, pulse_id=number + 100, timestamp=number + 1000)
        for module, frame in enumerate(stamped):
            made = detector.packets(module, number, image[module], pulse_id=number + 100, timestamp=number + 1000)
            assert frame.port == made.port
            assert np.array_equal(frame.lengths, made.lengths)
            assert np.array_equal(frame.packets, made.packets)


def test_without_faults_every_packet_is_sent_in_its_exposure(detector: Detector) -> None:
    # more than a pattern has images: templates are used again
    steps = sent_by(simulation(detector, FaultInjector(), 20))
    assert len(steps) == 20
    assert Counter(datagram for step in steps for datagram in step) == Counter(expected(detector, 20))
    n_packets = len(steps[0])
    assert all(len(step) == n_packets for step in steps)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), window=st.sampled_from([1, 20, 200]))
def test_with_faults_what_is_sent_is_what_the_ledger_says(detector: Detector, seed: int, window: int) -> None:
    """In particular no packet that was held back carries the header of a later exposure."""
    n_images = 24
    injector = FaultInjector(loss=0.1, reorder=0.3, duplicate=0.1, window=window, seed=seed)
    sent = Counter(datagram for step in sent_by(simulation(detector, injector, n_images)) for datagram in step)
    assert sent.total() == injector.n_sent
    wanted = Counter(expected(detector, n_images))
    assert set(sent) <= set(wanted)
    assert sum(1 for datagram in wanted if sent[datagram] == 0) == injector.n_lost
    assert sum(1 for datagram in wanted if sent[datagram] == 2) == injector.n_duplicated


def test_a_restart_of_the_detector_begins_its_frame_numbers_anew(detector: Detector) -> None:
    source = simulation(detector, FaultInjector(), 6, first_frame=100, restart_at=4)
    step = detector.config.udp.numdst
    numbers = [100 + step * i for i in (0, 1, 2, 3, 0, 1)]
    assert [source.frame_number(exposure) for exposure in range(6)] == numbers
    before = expected(detector, 4, first_frame=100)
    assert Counter(datagram for step in sent_by(source)[:4] for datagram in step) == Counter(before)
