"""Packets of images that repeat, made once and stamped anew for each exposure."""

from typing import Any

from numpy.typing import NDArray

from std_daq.imaging.detectors.interface import Detector, SimulatedFrame
from std_daq.imaging.simulation.header_fields import write_field

# patterns repeat at most so many images; of others nothing is gained by keeping packets
_MOST_IMAGES = 16


class PacketTemplates:
    """Makes a detector's packets; the same image again costs only the change of the headers.

    The packets of an exposure are valid until the same image is asked for again.

    Parameters
    ----------
    detector
        Whose packets.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        layout = detector.packet_layout(0)
        self._frame_number, self._pulse_id, self._timestamp = layout.key, layout.pulse_id, layout.timestamp
        self._n_modules = detector.config.n_modules
        # a module with several ports uses them in turn: its template holds for every so many frames
        self._n_turns = max(1, detector.n_ports // self._n_modules)
        self._templates: dict[tuple[int, int], tuple[NDArray[Any], list[SimulatedFrame]]] = {}

    def exposure(
        self, image: NDArray[Any], frame_number: int, *, pulse_id: int, timestamp: int
    ) -> list[SimulatedFrame]:
        """Return the packets of all modules for one exposure.

        Parameters
        ----------
        image
            Raw pixels of all modules, as `Detector.simulated_frames` yields them; not to be changed afterwards.
        frame_number, pulse_id, timestamp
            What the headers say.
        """
        # the image is kept with its packets, so its identity is not given to another one
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
            self._detector.packets(module, frame_number, image[module], pulse_id=pulse_id, timestamp=timestamp)
            for module in range(self._n_modules)
        ]
        if len(self._templates) >= _MOST_IMAGES * self._n_turns:
            del self._templates[next(iter(self._templates))]
        self._templates[key] = (image, frames)
        return frames
