"""Source of the frames of a simulated detector, with faults of its network."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from std_daq.imaging.detectors.interface import Detector, PacketMaker, SimulatedFrame, is_board_detector
from std_daq.imaging.detectors.patterns import made_ahead
from std_daq.imaging.simulation.packet_templates import PacketTemplates
from std_daq.packets.bursts import Burst, cut, take_turns
from std_daq.packets.faults import FaultInjector, SendOrder


class SimulationSource:
    """Exposures of a simulated detector, for a Transmission.

    Exposure i, counted from 0, shows image i of the pattern. It has the frame number ``first_frame + i`` and the pulse
    id ``first_pulse_id + i``. If the detector sends to n servers in turn (``udp.numdst``), these are the exposures for
    one of them: the numbers rise by n.

    Parameters
    ----------
    detector
        Detector to simulate.
    injector
        Injector of network faults; its ports are counted from 0.
    n_images
        Number of exposures.
    pattern, seed
        Pattern of the images and seed of its random numbers; see `Detector.simulated_frames`.
    first_frame, first_pulse_id
        Frame number and pulse id of the first exposure.
    restart_at
        Exposure before which the detector restarts: frame numbers begin again at `first_frame`, pulse ids continue.
    period_ticks
        Difference between the time stamps of two exposures, in the unit of the detector.
    """

    def __init__(
        self,
        detector: Detector,
        injector: FaultInjector,
        *,
        n_images: int,
        pattern: str,
        seed: int = 0,
        first_frame: int = 1,
        first_pulse_id: int = 1,
        restart_at: int | None = None,
        period_ticks: int = 10_000,
    ) -> None:
        self._injector = injector
        self._n_images = n_images
        self._images = made_ahead(detector.simulated_frames(pattern, seed), n_images)
        self._templates: PacketMaker = (
            detector.packet_maker(seed) if is_board_detector(detector) else PacketTemplates(detector)
        )
        self._step = detector.config.udp.numdst
        self._start_udp_port = detector.config.start_udp_port
        self._first_frame, self._first_pulse_id = first_frame, first_pulse_id
        self._restart_at = restart_at
        self._period_ticks = period_ticks
        self._held: dict[tuple[int, int], SimulatedFrame] = {}

    def frame_number(self, exposure: int) -> int:
        """Return the frame number of an exposure, counted from 0."""
        if self._restart_at is not None and exposure >= self._restart_at:
            exposure -= self._restart_at
        return self._first_frame + exposure * self._step

    def frames(self) -> Iterator[list[Burst]]:
        """Yield the bursts of each exposure; at the end, the packets that the injector still holds back."""
        for exposure, image in enumerate(islice(self._images, self._n_images)):
            if exposure == self._restart_at:
                yield from self._flush()
            number = self.frame_number(exposure)
            frames = self._templates.exposure(
                image,
                number,
                pulse_id=self._first_pulse_id + exposure * self._step,
                timestamp=exposure * self._step * self._period_ticks,
            )
            yield take_turns(self._bursts(frame, number) for frame in frames)
        yield from self._flush()

    def _bursts(self, frame: SimulatedFrame, number: int) -> list[Burst]:
        """Return what a port sends when a frame is due."""
        port = frame.port
        order = self._injector.feed(port, number, len(frame.packets))
        bursts = self._in_order(port, order, {**self._held_of(port), number: frame})
        self._hold(frame, number)
        return bursts

    def _held_of(self, port: int) -> dict[int, SimulatedFrame]:
        return {number: frame for (of_port, number), frame in self._held.items() if of_port == port}

    def _hold(self, frame: SimulatedFrame, number: int) -> None:
        """Copy frames of which the injector holds packets back, because the templates soon get new headers."""
        wanted = self._injector.held_frames(frame.port)
        for key in [key for key in self._held if key[0] == frame.port and key[1] not in wanted]:
            del self._held[key]
        if number in wanted:
            self._held[frame.port, number] = replace(frame, packets=frame.packets.copy())

    def _in_order(self, port: int, order: SendOrder, frames: dict[int, SimulatedFrame]) -> list[Burst]:
        """Convert a send order into bursts, each with packets of one frame."""
        edges = np.flatnonzero(np.diff(order.frames)) + 1
        bursts: list[Burst] = []
        for start, stop in zip([0, *edges], [*edges, len(order)], strict=True):
            if start == stop:
                continue
            frame = frames[int(order.frames[start])]
            packets = order.packets[start:stop]
            offsets = packets * frame.packets.shape[1]
            udp_port = self._start_udp_port + port
            bursts += cut(Burst(udp_port, frame.packets.reshape(-1), offsets, frame.lengths[packets]))
        return bursts

    def _flush(self) -> Iterator[list[Burst]]:
        """Yield the packets that the injector still holds back, if there are any."""
        ports = sorted({port for port, _ in self._held})
        bursts = take_turns(self._in_order(port, self._injector.flush(port), self._held_of(port)) for port in ports)
        self._held.clear()
        if bursts:
            yield bursts
