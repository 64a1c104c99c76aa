"""RunDescriber: describes the content of a file other than its images."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.experiment import Experiment, GoniometerAxis
from std_daq.imaging.config.model import DetectorConfig, NexusConfig
from std_daq.imaging.detectors.interface import Detector, is_board_detector
from std_daq.imaging.files.axes import SampleAxis
from std_daq.imaging.files.description import ImageFileDescription, NexusMetadata
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
        self._versions = {
            "std-daq": version("std-daq"),
            "python": platform.python_version(),
            "h5py": h5py.__version__,
            "hdf5": h5py.version.hdf5_version,
        }

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
        )


def nexus_metadata(nexus: NexusConfig) -> NexusMetadata:
    """Return the fields of NXmx that are known; a text that is empty is not."""
    beam_center = nexus.beam_center_px or (None, None)
    return NexusMetadata(
        title=nexus.title or None,
        description=nexus.description or None,
        sensor_material=nexus.sensor_material,
        sensor_thickness_m=nexus.sensor_thickness_m,
        x_pixel_size_m=nexus.pixel_size_m[0],
        y_pixel_size_m=nexus.pixel_size_m[1],
        distance_m=nexus.distance_m,
        count_time_s=nexus.count_time_s,
        frame_time_s=nexus.frame_time_s,
        beam_center_x=beam_center[0],
        beam_center_y=beam_center[1],
        saturation_value=nexus.saturation_value,
        underload_value=nexus.underload_value,
        incident_wavelength_angstrom=nexus.incident_wavelength_angstrom,
        flux_hz=nexus.flux_hz,
        beam_size_m=None if nexus.beam_size_m is None else (nexus.beam_size_m[0], nexus.beam_size_m[1]),
        transmission=nexus.transmission,
        axes=tuple(map(_sample_axis, nexus.goniometer)),
        instrument_name=nexus.instrument_name or None,
        source_name=nexus.source_name or None,
        sample_name=nexus.sample_name or None,
        sample_description=nexus.sample_description or None,
        sample_temperature_k=nexus.sample_temperature_k,
        proposal=nexus.proposal or None,
        user_name=nexus.user_name or None,
    )


def _sample_axis(axis: GoniometerAxis) -> SampleAxis:
    x, y, z = axis.vector
    offset_x, offset_y, offset_z = axis.offset_m
    return SampleAxis(
        name=axis.name,
        vector=(x, y, z),
        is_rotation=axis.is_rotation,
        start=axis.start,
        increment=axis.increment,
        values=None if axis.values is None else tuple(axis.values),
        offset_m=(offset_x, offset_y, offset_z),
    )


def calibration_checksums(notes: dict[str, Any], index: int) -> dict[str, str]:
    """Return the checksums of the files of a calibration, by their paths.

    Parameters
    ----------
    notes
        Notes of the ring:
        ``{"calibration": [{"index": .., "files": [{"role": .., "path": .., "sha256": ..}, ..]}, ..]}``.
    index
        Index of the calibration.
    """
    return {
        file["path"]: file["sha256"]
        for calibration in notes.get("calibration", [])
        if calibration["index"] == index
        for file in calibration["files"]
    }
