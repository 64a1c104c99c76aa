"""Assembler: the service that publishes each exposure of the FrameBuffer as an image."""

import time
from collections.abc import Callable

import numpy as np

from std_assembler.attempts import Attempts
from std_assembler.calibration_watch import CalibrationWatch
from std_assembler.frame_source import Exposure, FrameSource
from std_assembler.image_builder import BuiltImage, ImageBuilder
from std_assembler.metrics import AssemblerMetrics
from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.detectors.interface import FrameConverter
from std_daq.imaging.image_faults import describe_status
from std_daq.imaging.protocols.calibration_notes import calibrations_of
from std_daq.imaging.protocols.image_metadata import (
    IMAGE_METADATA,
    PROTOCOL_VERSION,
    Encoding,
    ImageMetadata,
    ImageStatus,
    dtype_code,
    encode_image_metadata,
)
from std_daq.streams.doorbell import DoorbellPublisher
from std_daq.telemetry.logs import ConditionLog, get_logger

REMEMBERED_CALIBRATIONS = 8


class Assembler:
    """The service: publishes one exposure after another, in order, and each once.

    A restarted assembler takes over the ImageBuffer. It goes on after the last published exposure, as far as the
    frames are still in the FrameBuffer.

    Parameters
    ----------
    images
        ImageBuffer, of which this process is the only writer.
    source
        Yields the exposures.
    builder
        Builds images from exposures.
    converter
        Corrects and places frames; it is replaced when its calibration files change.
    doorbell
        Wakes up the readers for each image.
    metrics
        Metrics of the assembler.
    n_active_modules
        Number of modules that are not deactivated.
    source_of
        Returns the source of an image, given the number in the packets of its first module.
    """

    def __init__(
        self,
        *,
        images: ImageBuffer,
        source: FrameSource,
        builder: ImageBuilder,
        converter: FrameConverter,
        doorbell: DoorbellPublisher,
        metrics: AssemblerMetrics,
        n_active_modules: int,
        source_of: Callable[[int], int] = lambda _: 0,
    ) -> None:
        self._log = get_logger()
        self._conditions = ConditionLog()
        self._images = images
        self._source = source
        self._builder = builder
        self._converter = converter
        self._doorbell = doorbell
        self._metrics = metrics
        self._n_active = n_active_modules
        self._source_of = source_of
        self._has_gaps_filled = np.zeros(images.n_slots, bool)
        self._dtype_code = dtype_code(images.dtype)
        self._entry = np.zeros(1, IMAGE_METADATA)
        self._entry_bytes = self._entry.view(np.uint8).data
        last = images.journal.read(images.journal.next_sequence - 1, 1).entries
        self._last_published = (int(last["epoch"][0]), int(last["frame_index"][0])) if len(last) else None
        self._attempts = Attempts(images.journal)
        self._has_failed = False
        self._calibrations = calibrations_of(images.read_notes())
        self._calibration = (self._calibrations[-1]["index"] + 1) % 2**16 if self._calibrations else 0
        self._publish_calibration()
        self._watch = CalibrationWatch(converter)

    @property
    def is_ready(self) -> bool:
        """Whether the frames of all receivers can be read."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """What the assembler waits for; None if it is ready."""
        return None if self._source.is_attached else "waiting for the FrameBuffer: is each receiver running?"

    def step(self) -> None:
        """Publish the exposures that have come; wait at most 0.1 s for them.

        Raises
        ------
        SharedMemoryError
            The ImageBuffer was removed.
        """
        if not self._images.is_live:
            raise SharedMemoryError(
                f"{self._images.segment.path} was removed; the service creates a new one when it starts again"
            )
        self._has_failed = True  # until the end of this step; see `close`
        self._source.wait(0.1)
        n_lost, n_damaged = self._source.n_lost, self._source.n_damaged
        has_overrun = False
        for exposure in self._source.read():
            self._replace_converter()
            if self._is_published_already(exposure):
                self._save_resume_points(exposure)
                continue
            if not self._attempts.begin(self._images.journal, exposure.epoch, exposure.frame_index):
                self._leave_out(exposure)
                continue
            if not self._publish(exposure):
                self._count_lost(1, "overwritten in the FrameBuffer", image_id=exposure.arrived[0].id)
                self._save_resume_points(exposure)  # or the next process would begin with it, see Attempts
                has_overrun = True
        if has_overrun:
            self._count_lost(self._source.skip_to_safety(), "skipped to catch up")
        if self._source.n_lost > n_lost:
            self._count_lost(self._source.n_lost - n_lost, "overwritten in the journal")
        self._count_lost(self._source.n_damaged - n_damaged, "damaged in the journal")
        self._metrics.ring.show(*self._source.lag_and_slots())
        self._metrics.calibration_refused.set(self._watch.n_refused)
        self._has_failed = False

    def close(self) -> None:
        """Publish the exposures that have already come, within 1 s, and release all resources.

        After a failure nothing more is published: the next process begins with the exposure that has failed, and must
        not find later ones published before it.
        """
        deadline = time.monotonic() + 1.0
        while self._source.lag and not self._has_failed and time.monotonic() < deadline:
            self.step()
        self._watch.close()
        self._builder.close()
        self._source.close()
        self._doorbell.close()
        self._images.close()

    def _is_published_already(self, exposure: Exposure) -> bool:
        """Return whether a predecessor was killed after it published this exposure and before it recorded that."""
        last, self._last_published = self._last_published, None
        return last == (exposure.epoch, exposure.frame_index)

    def _leave_out(self, exposure: Exposure) -> None:
        """Pass an exposure whose frames have ended two assemblers."""
        image_id = exposure.arrived[0].id
        self._log.error("exposure_left_out", image_id=image_id, why="building its image has ended the assembler twice")
        self._count_lost(1, "it has ended the assembler twice", image_id=image_id)
        self._save_resume_points(exposure)

    def _publish(self, exposure: Exposure) -> bool:
        """Publish an exposure; return False if all its frames are overwritten."""
        images = self._images
        sequence = images.journal.next_sequence
        slot = images.slot(sequence)
        images.begin(slot)
        image = images.images[slot]
        if not self._has_gaps_filled[slot]:
            self._converter.fill_gaps(image)
            self._has_gaps_filled[slot] = True
        built = self._builder.build(exposure, self._source.frames, self._converter, image)
        if built.n_overwritten_modules and built.n_overwritten_modules + built.n_missing_modules == self._n_active:
            images.end(slot)
            return False
        metadata = self._make_metadata(exposure, built, sequence)
        encoded = encode_image_metadata(metadata)
        self._entry_bytes[:] = encoded
        images.write_header(slot, encoded, built.modules.tobytes())
        images.end(slot)
        images.journal.append(self._entry)
        self._doorbell.ring(self._entry)
        self._save_resume_points(exposure)
        self._count_image(metadata, built)
        return True

    def _make_metadata(self, exposure: Exposure, built: BuiltImage, sequence: int) -> ImageMetadata:
        arrived = exposure.arrived
        first = next((raw for raw in arrived if raw.pulse_id == built.pulse_id), arrived[0])
        module = built.modules[built.first_module]
        height, width = self._images.shape
        return ImageMetadata(
            version=PROTOCOL_VERSION,
            id=first.id,
            height=height,
            width=width,
            dtype=self._dtype_code,
            encoding=Encoding.RAW,
            source_id=self._source_of(int(module["module_id"])),
            status=built.status,
            user_1=0,
            user_2=0,
            sequence=sequence,
            pulse_id=built.pulse_id,
            frame_index=first.frame_index,
            epoch=exposure.epoch,
            n_missing_modules=built.n_missing_modules,
            calibration=self._calibration,
            n_missing_packets=built.n_missing_packets,
            daq_rec=first.daq_rec % 2**32,
            timestamp=first.timestamp,
            first_arrival_ns=min(raw.first_arrival_ns for raw in arrived),
            last_arrival_ns=max(raw.last_arrival_ns for raw in arrived),
            assembled_ns=time.time_ns(),
            exposure_length=int(module["exposure_length"]),
            storage_cell=int(module["storage_cell"]),
        )

    def _save_resume_points(self, exposure: Exposure) -> None:
        for source, (raw, ring) in enumerate(zip(exposure.raw, self._source.frames, strict=True)):
            if raw is not None and ring is not None:
                self._images.journal.set_resume_point(source, ring.segment.created_ns, raw.sequence + 1)

    def _count_image(self, metadata: ImageMetadata, built: BuiltImage) -> None:
        self._metrics.latency.observe(max(0, metadata.assembled_ns - metadata.last_arrival_ns) / 1e9)
        self._metrics.count_image(built.status, metadata.assembled_ns / 1e9)
        if built.status is not ImageStatus.GOOD:
            self._metrics.missing_packets.inc(built.n_missing_packets)
            self._metrics.count_out_of_step(built.modules_with(ImageStatus.OUT_OF_STEP))
            self._conditions.warning(
                "image_not_good",
                image_id=metadata.id,
                why=describe_status(built.status),
                missing_packets=built.n_missing_packets,
                missing_modules=built.n_missing_modules,
                overwritten_modules=built.n_overwritten_modules,
                modules_refused=built.modules_with(ImageStatus.REFUSED_PACKETS),
                modules_out_of_step=built.modules_with(ImageStatus.OUT_OF_STEP),
            )

    def _count_lost(self, n: int, why: str, **values: object) -> None:
        if n == 0:
            return
        self._metrics.lost.inc(n)
        self._conditions.warning("exposures_lost", n=n, why=why, **values)

    def _replace_converter(self) -> None:
        replacement = self._watch.take_replacement()
        if replacement is None:
            return
        self._converter = replacement
        self._calibration = (self._calibration + 1) % 2**16
        self._publish_calibration()
        self._log.info("calibration_replaced", files=[str(file.path) for file in replacement.calibration])

    def _publish_calibration(self) -> None:
        files = [
            {"role": file.role, "path": str(file.path), "sha256": file.sha256} for file in self._converter.calibration
        ]
        self._calibrations = [*self._calibrations, {"index": self._calibration, "files": files}]
        self._calibrations = self._calibrations[-REMEMBERED_CALIBRATIONS:]
        self._images.write_notes({"calibration": self._calibrations})
        self._metrics.calibration.set(self._calibration)
