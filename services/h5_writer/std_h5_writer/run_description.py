"""RunDescriber: describes the content of a file other than its images."""

from pathlib import Path

import numpy as np

from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.experiment import Experiment
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.interface import Detector, is_board_detector
from std_daq.imaging.files.described import nexus_metadata, program_versions
from std_daq.imaging.files.description import ImageFileDescription
from std_daq.recording.requests import parse_experiment
from std_daq.recording.store_stream import StartRun
from std_h5_writer.ring_reader import RunImage


class RunDescriber:
    """Describes files from the configuration, the detector, the request and the ring.

    Parameters
    ----------
    config
        Configuration of the detector.
    detector
        Detector that the configuration describes.
    """

    def __init__(self, config: DetectorConfig, detector: Detector) -> None:
        self._detector_name = config.name
        self._configuration_json = config.model_dump_json()
        self._nexus = config.nexus
        self._bit_depth_readout = detector.bit_depth_readout
        self._is_pixel_mask_applied = detector.is_pixel_mask_applied
        self._pixel_mask = np.ascontiguousarray(detector.pixel_mask(), np.uint32)
        self._own_columns = detector.own_columns() if is_board_detector(detector) else None
        self._versions = program_versions()
        self._measured_units = config.measured_values
        self._timestamp_units = "" if is_board_detector(detector) else detector.packet_layout(0).timestamp_units

    def describe(self, run: StartRun, run_image: RunImage[Image, ImageBuffer]) -> ImageFileDescription:
        """Return the description of the file that begins with this image.

        Parameters
        ----------
        run
            Message that began the run.
        run_image
            First image of the file; its ring has the type and shape of the pixels.

        Raises
        ------
        FileFormatError
            The pixel mask does not fit the images, because the ring belongs to another configuration.
        """
        return ImageFileDescription(
            detector_name=self._detector_name,
            shape=run_image.ring.shape,
            dtype=run_image.ring.dtype,
            n_modules=run_image.ring.n_modules,
            compression=run.request.compression,
            zstd_level=run.request.zstd_level,
            has_root_links=self._nexus.root_links,
            nexus=nexus_metadata(
                self._nexus.with_experiment(parse_experiment(run.request.experiment, Experiment)),
            ),
            bit_depth_readout=self._bit_depth_readout,
            pixel_mask=self._pixel_mask,
            is_pixel_mask_applied=self._is_pixel_mask_applied,
            request_id=run.request_id,
            n_requested=run.request.n_images,
            master_file="" if run.images_per_file is None else Path(run.output_file).name,
            configuration_json=self._configuration_json,
            request_json=run.request.model_dump_json(),
            versions=self._versions,
            own_columns=self._own_columns,
            measured_units={} if run.images_per_file else self._measured_units,
            timestamp_units=self._timestamp_units,
        )
