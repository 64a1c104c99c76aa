"""The structure of an image file: groups, metadata, and space for the end of the run; not pixels and image arrays."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from std_daq.imaging.files import layout
from std_daq.imaging.files.description import ImageFileDescription
from std_daq.imaging.files.sample import write_beam, write_people, write_sample
from std_daq.imaging.files.texts import reserve_text, text_type, write_text, write_text_attribute
from std_daq.imaging.files.transformations import create_group, write_quantity, write_transformation

_STRUCTURE_BYTES = 512 * 1024
_LOG_BYTES = 8 * 1024

# Fields of the detector: name in the description, name in the file, unit.
_FIELDS_OF_DETECTOR = (
    ("description", "description", None),
    ("sensor_material", "sensor_material", None),
    ("sensor_thickness_m", "sensor_thickness", "m"),
    ("x_pixel_size_m", "x_pixel_size", "m"),
    ("y_pixel_size_m", "y_pixel_size", "m"),
    ("distance_m", "distance", "m"),
    ("count_time_s", "count_time", "s"),
    ("frame_time_s", "frame_time", "s"),
    ("beam_center_x", "beam_center_x", "pixel"),
    ("beam_center_y", "beam_center_y", "pixel"),
    ("saturation_value", "saturation_value", None),
    ("underload_value", "underload_value", None),
)
_DEPTHS = (8, 16, 32)
_MASK_BAND_BYTES = 1 << 20


def iso_time(moment: datetime) -> str:
    """Return a time in the format of NeXus: ISO 8601 in UTC, ending in Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def describe_status(dataset: h5py.Dataset) -> None:
    """Store the names of the status flags as attributes of the dataset, as in the CF conventions."""
    dataset.attrs["flag_masks"] = np.array(list(layout.STATUS_FLAGS), dataset.dtype)
    write_text_attribute(dataset, "flag_meanings", " ".join(layout.STATUS_FLAGS.values()))


def write_root_attributes(file: h5py.File, file_name: str, made_at: datetime) -> None:
    """Store what NeXus wants to know of a file itself: its name, when it was made and with what."""
    write_text_attribute(file, "default", "entry")
    write_text_attribute(file, "NX_class", "NXroot")
    write_text_attribute(file, "file_name", file_name)
    write_text_attribute(file, "file_time", iso_time(made_at))
    write_text_attribute(file, "creator", "std-daq")
    write_text_attribute(file, "HDF5_Version", h5py.version.hdf5_version)


def room_of_structure(description: ImageFileDescription) -> int:
    """Return how much space a file without images takes at most, in bytes."""
    # What the request says of the experiment is stored twice: as it came, and as fields.
    n_texts = len(description.configuration_json.encode()) + 2 * len(description.request_json.encode())
    n_mask = 0 if description.pixel_mask is None else description.pixel_mask.nbytes
    return _STRUCTURE_BYTES + n_texts + n_mask + _LOG_BYTES * len(description.measured_units)


def write_structure(file: h5py.File, description: ImageFileDescription, start: datetime, file_name: str) -> None:
    """Write all groups, metadata and links; the targets of the links are created later."""
    nexus = description.nexus
    write_root_attributes(file, file_name, start)
    entry = create_group(file, layout.ENTRY, "NXentry")
    write_text_attribute(entry, "default", "data")
    write_text(entry, "definition", "NXmx")
    write_text(entry, "title", nexus.title or Path(description.master_file or file_name).stem)
    reserve_text(file, layout.START_TIME, iso_time(start), layout.MAX_TIME_BYTES)
    # Readers parse the end time if it exists; therefore it is a valid time from the start.
    for path in (layout.END_TIME, f"{layout.ENTRY}/end_time_estimated"):
        reserve_text(file, path, iso_time(start), layout.MAX_TIME_BYTES)
    data = create_group(entry, "data", "NXdata")
    write_text_attribute(data, "signal", "data")
    write_people(entry, nexus)
    write_text(create_group(entry, "source", "NXsource"), "name", nexus.source_name or "unknown")
    write_sample(entry, nexus)
    instrument = create_group(entry, "instrument", "NXinstrument")
    write_text(instrument, "name", nexus.instrument_name or "unknown")
    write_beam(instrument, nexus)
    _write_detector(create_group(instrument, "detector", "NXdetector"), description)
    _write_run(create_group(entry, "std_daq", "NXcollection"), description)
    links = layout.detector_links(description.detector_name, has_root_links=description.has_root_links)
    create_group(file, f"{layout.RUN}/detectors", "NXcollection")
    create_group(file, f"{layout.RUN}/detectors/{description.detector_name}", "NXcollection")
    for path, target in links.items():
        file[path] = h5py.SoftLink(target)


def _write_detector(detector: h5py.Group, description: ImageFileDescription) -> None:
    for name, name_in_file, unit in _FIELDS_OF_DETECTOR:
        value = getattr(description.nexus, name)
        if isinstance(value, str):
            write_text(detector, name_in_file, value)
        elif value is not None:
            write_quantity(detector, name_in_file, value, unit)
    _write_value_range(detector, description)
    detector["data"] = h5py.SoftLink(layout.PIXELS)
    detector["pixel_mask_applied"] = np.int8(description.is_pixel_mask_applied)
    if description.pixel_mask is not None:
        height, width = description.shape
        detector.create_dataset(
            "pixel_mask",
            data=description.pixel_mask.astype("<u4", copy=False),
            chunks=(max(1, min(height, _MASK_BAND_BYTES // (4 * width))), width),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
    _write_geometry(detector, description)
    specific = create_group(detector, "detectorSpecific", "NXcollection")
    specific["nimages"] = np.int64(description.n_requested or layout.UNKNOWN_COUNT)
    specific["nmodules"] = np.int64(description.n_modules)
    specific["bit_depth"] = np.int64(description.value_bits)
    write_text(specific, "software_version", f"std-daq {description.versions.get('std-daq', 'unknown')}")


def _write_value_range(detector: h5py.Group, description: ImageFileDescription) -> None:
    """Write which pixel values there can be, and which are valid.

    Readers such as DIALS take the two highest values of ``bit_depth_readout`` as masked, 2^b - 1 and 2^b - 2, because
    one manufacturer's detectors mark pixels so. Ours do not; therefore this depth is one that the values do not fill.
    With 32 such readers take pixels as signed; all that they can hold is below their two highest values.
    """
    dtype, bits = np.dtype(description.dtype), description.value_bits
    depth = next((depth for depth in _DEPTHS if depth > bits), _DEPTHS[-1])
    detector["bit_depth_readout"] = np.int64(depth)
    detector["bit_depth_image"] = np.int64(8 * dtype.itemsize)
    if dtype.kind == "u":
        for name, value in (("saturation_value", 2**bits - 1), ("underload_value", 0)):
            if name not in detector:
                detector[name] = float(value)


def _write_geometry(detector: h5py.Group, description: ImageFileDescription) -> None:
    """Write the position of the image in space in the coordinates of NXmx.

    The beam is along z. Seen along the beam, x points to the left and y upwards. What nobody gave is NaN: with 0, a
    reader would take the detector to stand at the sample.
    """
    nexus = description.nexus
    pixel_x, pixel_y = _known(nexus.x_pixel_size_m), _known(nexus.y_pixel_size_m)
    beam_x, beam_y = _known(nexus.beam_center_x) * pixel_x, _known(nexus.beam_center_y) * pixel_y
    create_group(detector, "transformations", "NXtransformations")
    distance = f"{layout.TRANSFORMATIONS}/distance"
    write_text(detector, "depends_on", distance)
    file = detector.file
    write_transformation(file, distance, _known(nexus.distance_m), vector=(0, 0, 1), depends_on=".")
    module = create_group(detector, "module", "NXdetector_module")
    module["data_origin"] = np.array([0, 0], "<i8")
    module["data_size"] = np.array(description.shape, "<i8")
    offset = f"{layout.DETECTOR}/module/module_offset"
    write_transformation(file, offset, 0.0, vector=(0, 0, 1), depends_on=distance, offset=(beam_x, beam_y, 0.0))
    for name, size, vector in (
        ("fast_pixel_direction", pixel_x, (-1, 0, 0)),
        ("slow_pixel_direction", pixel_y, (0, -1, 0)),
    ):
        write_transformation(file, f"{layout.DETECTOR}/module/{name}", size, vector=vector, depends_on=offset)


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _write_run(run: h5py.Group, description: ImageFileDescription) -> None:
    n_requested = layout.UNKNOWN_COUNT if description.n_requested is None else description.n_requested
    run["layout_version"] = np.int64(layout.CURRENT_LAYOUT_VERSION)
    write_text(run, "detector_name", description.detector_name)
    write_text(run, "request_id", description.request_id)
    if description.master_file:
        write_text(run, "master_file", description.master_file)
    write_text(run, "configuration", description.configuration_json)
    write_text(run, "request", description.request_json)
    text = text_type(layout.MAX_CALIBRATION_BYTES, is_ascii=True)
    run.create_dataset("calibrations", shape=(0,), maxshape=(None,), chunks=(1,), dtype=text)
    write_text(run, "versions", json.dumps(dict(description.versions)))
    reserve_text(run, "verdict", "", layout.MAX_VERDICT_BYTES)
    reserve_text(run, "reason", "", layout.MAX_REASON_BYTES)
    run["n_requested"] = np.int64(n_requested)
    run["n_incomplete"] = np.int64(layout.UNKNOWN_COUNT)
    run["n_lost"] = np.int64(layout.UNKNOWN_COUNT)
    run.create_dataset("lost_image_ids", shape=(0,), maxshape=(None,), chunks=(1024,), dtype="<u8")
