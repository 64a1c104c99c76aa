"""What a configuration tells about the content of a file."""

import platform
from importlib.metadata import version
from typing import Any

import h5py

from std_daq.imaging.config.experiment import GoniometerAxis
from std_daq.imaging.config.model import NexusConfig
from std_daq.imaging.files.axes import SampleAxis
from std_daq.imaging.files.description import NexusMetadata
from std_daq.imaging.protocols.calibration_notes import calibrations_of


def program_versions() -> dict[str, str]:
    """Return the version of each program that makes a file, by its name."""
    return {
        "std-daq": version("std-daq"),
        "python": platform.python_version(),
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
    }


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
        for calibration in calibrations_of(notes)
        if calibration["index"] == index
        for file in calibration["files"]
    }
