"""Sample, beam and people in an image file: what only the user knows."""

from itertools import pairwise

import h5py
import numpy as np

from std_daq.imaging.files import layout
from std_daq.imaging.files.axes import SampleAxis
from std_daq.imaging.files.description import NexusMetadata
from std_daq.imaging.files.texts import write_text, write_text_attribute
from std_daq.imaging.files.transformations import create_group, describe_transformation, write_quantity

_ROWS_PER_CHUNK = 1024


def write_people(entry: h5py.Group, nexus: NexusMetadata) -> None:
    """Write the proposal and the user, as far as they are known."""
    if nexus.proposal is not None:
        write_text(entry, "experiment_identifier", nexus.proposal)
    if nexus.user_name is not None:
        write_text(create_group(entry, "user", "NXuser"), "name", nexus.user_name)


def write_beam(instrument: h5py.Group, nexus: NexusMetadata) -> None:
    """Write beam and attenuator, as far as they are known."""
    beam = create_group(instrument, "beam", "NXbeam")
    if nexus.incident_wavelength_angstrom is not None:
        write_quantity(beam, "incident_wavelength", nexus.incident_wavelength_angstrom, "angstrom")
    if nexus.flux_hz is not None:
        write_quantity(beam, "total_flux", nexus.flux_hz, "Hz")
    if nexus.beam_size_m is not None:
        write_quantity(beam, "incident_beam_size", np.array(nexus.beam_size_m, "<f8"), "m")
    if nexus.transmission is not None:
        attenuator = create_group(instrument, "attenuator", "NXattenuator")
        write_quantity(attenuator, "attenuator_transmission", nexus.transmission, "")


def write_sample(entry: h5py.Group, nexus: NexusMetadata) -> None:
    """Write the sample and the axes that move it; an axis that moves gets a dataset without rows."""
    sample = create_group(entry, "sample", "NXsample")
    write_text(sample, "name", nexus.sample_name or "unknown")
    if nexus.sample_description is not None:
        write_text(sample, "description", nexus.sample_description)
    if nexus.sample_temperature_k is not None:
        write_quantity(sample, "temperature", nexus.sample_temperature_k, "K")
    paths = [axis_path(axis) for axis in nexus.axes]
    write_text(sample, "depends_on", paths[0] if paths else ".")
    if paths:
        create_group(sample, "transformations", "NXtransformations")
    for axis, (path, depends_on) in zip(nexus.axes, pairwise([*paths, "."]), strict=True):
        _write_axis(entry.file, axis, path, depends_on)


def axis_path(axis: SampleAxis) -> str:
    """Return the path of an axis' dataset."""
    return f"{layout.SAMPLE_TRANSFORMATIONS}/{axis.name}"


def moving_axes(file: h5py.Group) -> list[str]:
    """Return the paths of the datasets with the position of an axis at each image."""
    if layout.SAMPLE_TRANSFORMATIONS not in file:
        return []
    group = file[layout.SAMPLE_TRANSFORMATIONS]
    return [f"{layout.SAMPLE_TRANSFORMATIONS}/{name}" for name in group if group[name].ndim == 1]


def _write_axis(file: h5py.File, axis: SampleAxis, path: str, depends_on: str) -> None:
    if axis.is_moving:
        dataset = file.create_dataset(path, shape=(0,), maxshape=(None,), chunks=(_ROWS_PER_CHUNK,), dtype="<f8")
        write_text_attribute(dataset, "units", axis.unit)
        if axis.values is None:
            write_quantity(file, f"{path}_increment_set", axis.increment, axis.unit)
    else:
        dataset = write_quantity(file, path, axis.start, axis.unit)
    length = float(np.linalg.norm(axis.vector))
    x, y, z = (component / length for component in axis.vector)
    describe_transformation(dataset, axis.kind, vector=(x, y, z), depends_on=depends_on, offset=axis.offset_m)
