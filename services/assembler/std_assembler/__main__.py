"""The command ``std-assembler``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from std_assembler.service import SERVICE
from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import ServiceContext, run_service

if TYPE_CHECKING:
    from std_assembler.assembler import Assembler
    from std_daq.imaging.buffers.image_buffer import ImageBuffer
    from std_daq.imaging.detectors.interface import Detector


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[DetectorConfig]) -> "Assembler":
    """Build the parts of the service and put them together."""
    from std_assembler.assembler import Assembler
    from std_assembler.frame_source import FrameSource
    from std_assembler.image_builder import ImageBuilder
    from std_assembler.metrics import AssemblerMetrics
    from std_daq.imaging.config.paths import images_address
    from std_daq.imaging.detectors.interface import is_board_detector
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.streams.doorbell import DoorbellPublisher

    config = context.config
    detector = open_detector(config)
    converter = detector.converter()
    images = _open_images(config, detector)
    metrics = AssemblerMetrics(context.registry)
    metrics.slots.set(images.n_slots)
    resume_points = [images.journal.resume_point(source) for source in range(len(config.receivers))]
    return Assembler(
        images=images,
        source=FrameSource(config, resume_points),
        builder=ImageBuilder(config, detector),
        converter=converter,
        doorbell=DoorbellPublisher(images_address(config)),
        metrics=metrics,
        n_active_modules=config.n_modules - len(set(config.deactivate)),
        **({"source_of": detector.source_of} if is_board_detector(detector) else {}),
    )


def _open_images(config: DetectorConfig, detector: "Detector") -> "ImageBuffer":
    from std_daq.imaging.buffers.image_buffer import ImageBuffer
    from std_daq.imaging.config.paths import image_buffer_path
    from std_daq.imaging.start_checks import plan_image_buffer
    from std_daq.telemetry.logs import get_logger

    images, is_new = ImageBuffer.create_planned(image_buffer_path(config), plan_image_buffer(config, detector))
    images.segment.lock(0, "the assembler of this detector")
    images.invalidate_unfinished()
    get_logger().info("ring_opened", path=str(images.segment.path), slots=images.n_slots, is_new=is_new)
    return images


if __name__ == "__main__":
    sys.exit(main())
