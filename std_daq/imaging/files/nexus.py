"""The structure of an image file: groups, metadata, and space for the end of the run; not pixels and image arrays."""

import json
from dataclasses import fields
from datetime import UTC, datetime

import h5py
import numpy as np

from std_daq.imaging.files import layout
from std_daq.imaging.files.description import ImageFileDescription, NexusMetadata

_UNITS = {
    "sensor_thickness": "m",
    "x_pixel_size": "m",
    "y_pixel_size": "m",
    "distance": "m",
    "count_time": "s",
    "frame_time": "s",
    "beam_center_x": "pixel",
    "beam_center_y": "pixel",
}
_FIELDS_OF_DETECTOR = tuple(
    name
    for name in (field.name for field in fields(NexusMetadata))
    if name not in {"incident_wavelength_angstrom", "instrument_name", "source_name", "sample_name"}
)
_MASK_BAND_BYTES = 1 << 20


def iso_time(moment: datetime) -> str:
    """Return a time in the format of NeXus: ISO 8601 in UTC, ending in Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode_text(text: str, max_bytes: int) -> bytes:
    """Return a text as UTF-8, cut to at most `max_bytes` at the end of a character."""
    return text.replace("\0", "").encode()[:max_bytes].decode(errors="ignore").encode()


def decode_text(value: bytes | str) -> str:
    """Return text that was read from a file as a string."""
    return value if isinstance(value, str) else value.decode(errors="replace")


def write_text(parent: h5py.Group, path: str, text: str, *, max_bytes: int | None = None) -> None:
    """Store text with a fixed length, because readers in SWMR mode cannot read text of variable length."""
    room = max(1, len(text.encode()) if max_bytes is None else max_bytes)
    parent.create_dataset(path, data=encode_text(text, room), dtype=h5py.string_dtype("utf-8", room))


def write_text_attribute(item: h5py.HLObject, name: str, text: str) -> None:
    """Store a text attribute with a fixed length."""
    item.attrs.create(name, encode_text(text, 1 << 16), dtype=h5py.string_dtype("utf-8", max(1, len(text))))


def describe_status(dataset: h5py.Dataset) -> None:
    """Store the names of the status flags as attributes of the dataset, as in the CF conventions."""
    dataset.attrs["flag_masks"] = np.array(list(layout.STATUS_FLAGS), dataset.dtype)
    write_text_attribute(dataset, "flag_meanings", " ".join(layout.STATUS_FLAGS.values()))


def create_group(parent: h5py.Group, path: str, nx_class: str) -> h5py.Group:
    """Create a group of a NeXus class."""
    group = parent.create_group(path)
    write_text_attribute(group, "NX_class", nx_class)
    return group


def write_structure(file: h5py.File, description: ImageFileDescription, start: datetime) -> None:
    """Write all groups, metadata and links; the targets of the links are created later."""
    nexus = description.nexus
    write_text_attribute(file, "default", "entry")
    entry = create_group(file, layout.ENTRY, "NXentry")
    write_text_attribute(entry, "default", "data")
    write_text(entry, "definition", "NXmx")
    write_text(file, layout.START_TIME, iso_time(start), max_bytes=layout.MAX_TIME_BYTES)
    # Readers parse the end time if it exists; therefore it is a valid time from the start.
    for path in (layout.END_TIME, f"{layout.ENTRY}/end_time_estimated"):
        write_text(file, path, iso_time(start), max_bytes=layout.MAX_TIME_BYTES)
    data = create_group(entry, "data", "NXdata")
    write_text_attribute(data, "signal", "data")
    write_text(create_group(entry, "source", "NXsource"), "name", nexus.source_name or "unknown")
    sample = create_group(entry, "sample", "NXsample")
    write_text(sample, "name", nexus.sample_name or "unknown")
    write_text(sample, "depends_on", ".")
    instrument = create_group(entry, "instrument", "NXinstrument")
    write_text(instrument, "name", nexus.instrument_name or "unknown")
    beam = create_group(instrument, "beam", "NXbeam")
    if nexus.incident_wavelength_angstrom is not None:
        _write_quantity(beam, "incident_wavelength", nexus.incident_wavelength_angstrom, "angstrom")
    _write_detector(create_group(instrument, "detector", "NXdetector"), description)
    _write_run(create_group(entry, "std_daq", "NXcollection"), description)
    for path, target in layout.detector_links(description.detector_name).items():
        file[path] = h5py.SoftLink(target)


def _write_quantity(group: h5py.Group, name: str, value: float, unit: str | None) -> h5py.Dataset:
    dataset = group.create_dataset(name, data=value)
    if unit is not None:
        write_text_attribute(dataset, "units", unit)
    return dataset


def _write_detector(detector: h5py.Group, description: ImageFileDescription) -> None:
    for name in _FIELDS_OF_DETECTOR:
        value = getattr(description.nexus, name)
        name_in_file = name.removesuffix("_m").removesuffix("_s")
        if isinstance(value, str):
            write_text(detector, name_in_file, value)
        elif value is not None:
            _write_quantity(detector, name_in_file, value, _UNITS.get(name_in_file))
    bits = 8 * np.dtype(description.dtype).itemsize
    detector["bit_depth_readout"] = np.int64(description.bit_depth_readout or bits)
    detector["bit_depth_image"] = np.int64(bits)
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
    write_text(specific, "software_version", f"std-daq {description.versions.get('std-daq', 'unknown')}")


def _write_geometry(detector: h5py.Group, description: ImageFileDescription) -> None:
    """Write the position of the image in space in the coordinates of NXmx.

    The beam is along z. Seen along the beam, x points to the left and y upwards.
    """
    nexus = description.nexus
    pixel_x, pixel_y = nexus.x_pixel_size_m or 0.0, nexus.y_pixel_size_m or 0.0
    beam_x, beam_y = (nexus.beam_center_x or 0.0) * pixel_x, (nexus.beam_center_y or 0.0) * pixel_y
    create_group(detector, "transformations", "NXtransformations")
    distance = f"{layout.TRANSFORMATIONS}/distance"
    write_text(detector, "depends_on", distance)
    _write_axis(detector.file, distance, nexus.distance_m or 0.0, vector=(0, 0, 1), depends_on=".")
    module = create_group(detector, "module", "NXdetector_module")
    module["data_origin"] = np.array([0, 0], "<i8")
    module["data_size"] = np.array(description.shape, "<i8")
    offset = f"{layout.DETECTOR}/module/module_offset"
    _write_axis(detector.file, offset, 0.0, vector=(0, 0, 1), depends_on=distance, offset=(beam_x, beam_y, 0.0))
    for name, size, vector in (
        ("fast_pixel_direction", pixel_x, (-1, 0, 0)),
        ("slow_pixel_direction", pixel_y, (0, -1, 0)),
    ):
        _write_axis(detector.file, f"{layout.DETECTOR}/module/{name}", size, vector=vector, depends_on=offset)


def _write_axis(
    file: h5py.File,
    path: str,
    value: float,
    *,
    vector: tuple[float, float, float],
    depends_on: str,
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    axis = _write_quantity(file, path, value, "m")
    write_text_attribute(axis, "transformation_type", "translation")
    write_text_attribute(axis, "depends_on", depends_on)
    write_text_attribute(axis, "offset_units", "m")
    axis.attrs["vector"] = np.array(vector, "<f8")
    axis.attrs["offset"] = np.array(offset, "<f8")


def _write_run(run: h5py.Group, description: ImageFileDescription) -> None:
    n_requested = layout.UNKNOWN_COUNT if description.n_requested is None else description.n_requested
    run["layout_version"] = np.int64(layout.CURRENT_LAYOUT_VERSION)
    write_text(run, "detector_name", description.detector_name)
    write_text(run, "request_id", description.request_id)
    if description.master_file:
        write_text(run, "master_file", description.master_file)
    write_text(run, "configuration", description.configuration_json)
    write_text(run, "request", description.request_json)
    text = h5py.string_dtype("utf-8", layout.MAX_CALIBRATION_BYTES)
    run.create_dataset("calibrations", shape=(0,), maxshape=(None,), chunks=(1,), dtype=text)
    write_text(run, "versions", json.dumps(dict(description.versions)))
    write_text(run, "verdict", "", max_bytes=layout.MAX_VERDICT_BYTES)
    write_text(run, "reason", "", max_bytes=layout.MAX_REASON_BYTES)
    run["n_requested"] = np.int64(n_requested)
    run["n_incomplete"] = np.int64(layout.UNKNOWN_COUNT)
    run["n_lost"] = np.int64(layout.UNKNOWN_COUNT)
    run.create_dataset("lost_image_ids", shape=(0,), maxshape=(None,), chunks=(1024,), dtype="<u8")
