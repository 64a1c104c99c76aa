"""FrameFeeder: a receiver without a network, which puts chosen packets of frames into a real FrameBuffer."""

import time
from collections.abc import Container, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.config.paths import make_runtime_dir
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.model import DetectorConfig, ModuleRange
from std_daq.imaging.config.paths import frame_buffer_path, frames_address
from std_daq.imaging.detectors.interface import Detector
from std_daq.imaging.detectors.reference_receiver import datagrams_of, receive_frame
from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.imaging.protocols.pulse_ids import majority, out_of_step
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA
from std_daq.streams.doorbell import DoorbellPublisher


class FrameFeeder:
    """Places frames the slow and plain way and publishes them as std-udp-recv does.

    Parameters
    ----------
    config
        The detector.
    part
        The modules of the receiver that this stands for; by default the first of the configuration.
    """

    def __init__(self, config: DetectorConfig, part: ModuleRange | None = None) -> None:
        make_runtime_dir(config)
        self.config = config
        self.detector: Detector = open_detector(config)
        self.part = part or config.receivers[0]
        layout = self.detector.packet_layout(0)
        self.ring, _ = FrameBuffer.create(
            frame_buffer_path(config),
            n_modules=config.n_submodules,
            frame_bytes=layout.frame_bytes,
            n_units=layout.n_units,
            buffer_bytes=int(config.shared_memory.frame_buffer_gb * 1e9),
            n_slots=config.shared_memory.frame_slots,
        )
        self._journal = self.ring.journals[self.part[0]]
        self._doorbell = DoorbellPublisher(frames_address(config, self.part))

    def place(
        self,
        module: int,
        frame_number: int,
        raw: NDArray[Any],
        lost: Container[int] = (),
        *,
        pulse_id: int = 0,
        timestamp: int = 0,
        daq_rec: int = 0,
    ) -> NDArray[Any]:
        """Place one module's frame but for the lost packets; returns its ModuleFrame, a struct of shape (1,)."""
        layout = self.detector.packet_layout(module)
        frame = self.detector.packets(
            module, frame_number, raw, pulse_id=pulse_id, timestamp=timestamp, daq_rec=daq_rec
        )
        index = self.ring.index(frame_number, module)
        self.ring.begin(index)
        header = self.ring.header(index)
        generation = int(header["generation"][0])
        header[:] = np.zeros(1, header.dtype)
        header["generation"] = generation
        header["frame_index"] = header["id"] = frame_number
        header["pulse_id"] = pulse_id
        header["first_arrival_ns"] = header["last_arrival_ns"] = time.time_ns()
        arrived = datagrams_of(frame, lost)
        self.ring.frame(index)[:], header["received"][0] = receive_frame(layout, arrived)
        for name in ("timestamp", "exposure_length", "daq_rec", "storage_cell"):
            field = getattr(layout, name)
            header[name] = 0 if field is None else field.read(arrived[0])
        header["n_received_packets"] = len(arrived)
        header["n_missing_packets"] = len(frame.packets) - len(arrived)
        self.ring.end(index)
        placed: NDArray[Any] = header.copy()
        return placed

    def publish(
        self,
        frame_number: int,
        raw: NDArray[Any],
        lost: Mapping[int, Container[int]] | None = None,
        absent: Container[int] = (),
        epoch: int = 0,
        fields: Mapping[int, Mapping[str, int]] | None = None,
        pulse_ids: Mapping[int, int] | None = None,
        refused: Container[int] = (),
        refused_all: Container[int] = (),
        is_renumbered: bool = False,
    ) -> None:
        """Place the frames of one exposure and publish it.

        Parameters
        ----------
        frame_number
            Its number and image id.
        raw
            Raw pixels of all modules, (n_modules, rows, columns).
        lost
            For modules, the numbers of the packets that did not come.
        absent
            Modules of which nothing came.
        epoch
            How often the detector had restarted.
        fields
            For modules, header fields of the packets, as `place` takes them.
        pulse_ids
            For modules, their pulse ids; 0 for the others.
        refused
            Modules of whose frames a packet was refused.
        refused_all
            Modules of which all packets were refused; they are absent.
        is_renumbered
            Whether the frame numbers of an absent module do not go with those of the others.
        """
        expected = self.config.submodules(m for m in self.part.modules if m not in self.config.deactivate)
        present = [m for m in expected if m not in absent]
        pulses = [(pulse_ids or {}).get(m, 0) for m in present]
        headers = [
            self.place(
                m, frame_number, raw[m], (lost or {}).get(m, ()), **{"pulse_id": pulse, **(fields or {}).get(m, {})}
            )
            for m, pulse in zip(present, pulses, strict=True)
        ]
        for module in present:
            self.ring.headers[self.ring.index(frame_number, module)]["n_refused_packets"] = module in refused
        entry = np.zeros(1, RAW_METADATA)
        entry["id"] = entry["frame_index"] = frame_number
        entry["epoch"] = epoch
        entry["pulse_id"] = majority(pulses)
        entry["n_missing_modules"] = len(expected) - len(present)
        missing = ImageStatus.MISSING_PACKETS if lost else ImageStatus.GOOD
        if any(module in refused_all for module in expected):
            missing |= ImageStatus.REFUSED_PACKETS
        if is_renumbered:
            missing |= ImageStatus.RENUMBERED
        entry["status"] = missing | (ImageStatus.OUT_OF_STEP if out_of_step(pulses) else ImageStatus.GOOD)
        entry["first_arrival_ns"] = min(int(header["first_arrival_ns"][0]) for header in headers)
        entry["last_arrival_ns"] = max(int(header["last_arrival_ns"][0]) for header in headers)
        self._journal.append(entry)
        self._doorbell.ring(entry)

    def close(self) -> None:
        """Let go of ring and address."""
        self._doorbell.close()
        del self._journal
        self.ring.close()
