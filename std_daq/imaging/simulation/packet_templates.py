"""Templates of packets: the packets of an image are made once, and get new headers for each exposure."""

from typing import Any

from numpy.typing import NDArray

from std_daq.imaging.detectors.interface import Detector, SimulatedFrame
from std_daq.imaging.simulation.header_fields import write_field

# Patterns repeat at most this number of images. Keeping packets of images that do not repeat would gain nothing.
_MAX_IMAGES = 16


class PacketTemplates:
    """Maker of a detector's packets; if an image occurs again, only the headers change.

    The packets of an exposure are valid until `exposure` is called with the same image again.

    Parameters
    ----------
    detector
        Detector whose packets are made.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        layout = detector.packet_layout(0)
        self._frame_number, self._pulse_id, self._timestamp = layout.key, layout.pulse_id, layout.timestamp
        self._n_submodules = detector.config.n_submodules
        # A submodule with several ports uses them in turn, so there is a template for each port: with two ports, one
        # for even and one for odd frames.
        self._n_turns = max(1, detector.n_ports // self._n_submodules)
        self._templates: dict[tuple[int, int], tuple[NDArray[Any], list[SimulatedFrame]]] = {}

    def exposure(
        self, image: NDArray[Any], frame_number: int, *, pulse_id: int, timestamp: int
    ) -> list[SimulatedFrame]:
        """Return the packets of all submodules for one exposure.

        Parameters
        ----------
        image
            Raw pixels of all submodules, as `Detector.simulated_frames` yields them. The caller must not change them
            afterwards.
        frame_number, pulse_id, timestamp
            Values for the headers.
        """
        # The image is kept with its packets; while it is alive, no other image can have the same id.
        key = (id(image), frame_number % self._n_turns)
        if key not in self._templates:
            return self._make(key, image, frame_number, pulse_id, timestamp)
        frames = self._templates[key][1]
        for frame in frames:
            write_field(self._frame_number, frame.packets, frame_number)
            if self._pulse_id is not None:
                write_field(self._pulse_id, frame.packets, pulse_id)
            if self._timestamp is not None:
                write_field(self._timestamp, frame.packets, timestamp)
        return frames

    def _make(
        self, key: tuple[int, int], image: NDArray[Any], frame_number: int, pulse_id: int, timestamp: int
    ) -> list[SimulatedFrame]:
        frames = [
            self._detector.packets(submodule, frame_number, image[submodule], pulse_id=pulse_id, timestamp=timestamp)
            for submodule in range(self._n_submodules)
        ]
        if len(self._templates) >= _MAX_IMAGES * self._n_turns:
            del self._templates[next(iter(self._templates))]
        self._templates[key] = (image, frames)
        return frames
