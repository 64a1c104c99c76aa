"""Image files of pictures that tell which image they are, for tests of whatever reads or mends such files."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from std_daq.imaging.files import compression
from std_daq.imaging.files.description import ImageFileDescription, NexusMetadata
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, ImageMetadata, decode_image_metadata
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY
from std_daq.recording.requests import RunReport, Verdict

SHAPE = (32, 48)
N_MODULES = 3
N_PATTERNS = 31  # after these, the pixels repeat
REQUEST_ID = "3b241101-e2bb-4255-8caf-4136c566a962"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def image_of(image_id: int, dtype: npt.DTypeLike = "u2") -> npt.NDArray[Any]:
    """Return the pixels of an image."""
    return (np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 97 + image_id % N_PATTERNS).astype(dtype)


def missing_packets_of(image_id: int) -> list[int]:
    """Return the missing packets of each module: every fifth image lacks two."""
    return [0, 2 * (image_id % 5 == 4), 0]


def metadata_of(image_id: int, **changes: Any) -> ImageMetadata:
    """Return the metadata of an image: each value tells which image and which field it is of."""
    nothing = decode_image_metadata(bytes(IMAGE_METADATA.itemsize))
    values = {
        "id": image_id,
        "pulse_id": image_id + 1000,
        "frame_index": image_id,
        "first_arrival_ns": 1_000_000 * image_id,
        "timestamp": image_id + 2000,
        "exposure_length": image_id + 3000,
        "daq_rec": image_id % 16 << 8,
        "storage_cell": image_id % 16,
        "status": int(any(missing_packets_of(image_id))),
    }
    return nothing._replace(**(values | changes))


def modules_of(image_id: int, n_modules: int = N_MODULES) -> npt.NDArray[Any]:
    """Return the entries of the modules of an image: each value tells its image, its field and its module."""
    modules, index = np.zeros(n_modules, MODULE_ENTRY), np.arange(n_modules)
    missing = np.resize(missing_packets_of(image_id), n_modules)
    modules["missing_packets"], modules["status"] = missing, missing > 0
    modules["pulse_id"] = image_id + 1000 + index
    modules["frame_index"] = image_id
    modules["timestamp"] = image_id + 2000 + index
    modules["exposure_length"] = image_id + 3000 + index
    modules["storage_cell"] = (image_id + index) % 16
    modules["daq_rec"] = modules["storage_cell"].astype(np.uint32) << 8
    return modules


def describe(**changes: Any) -> ImageFileDescription:
    """Return a description with all that a file can have, but for what is changed."""
    fields: dict[str, Any] = {
        "detector_name": "JF-test",
        "shape": SHAPE,
        "dtype": "u2",
        "n_modules": N_MODULES,
        "nexus": NexusMetadata(
            description="JUNGFRAU",
            sensor_material="Si",
            sensor_thickness_m=320e-6,
            x_pixel_size_m=75e-6,
            y_pixel_size_m=75e-6,
            distance_m=0.2,
            beam_center_x=24.0,
            beam_center_y=16.0,
            count_time_s=1e-3,
            frame_time_s=2e-3,
            saturation_value=65000.0,
            incident_wavelength_angstrom=1.0,
            source_name="SLS",
        ),
        "request_id": REQUEST_ID,
        "configuration_json": '{"detector_name": "JF-test"}',
        "request_json": '{"output_file": "x.h5", "user_metadata": {"sample": "Lysozym, Zürich"}}',
        "versions": {"std-daq": "0.1.0"},
    }
    return ImageFileDescription(**(fields | changes))


def report_of(verdict: Verdict = Verdict.COMPLETE, **fields: Any) -> RunReport:
    """Return the report of a run."""
    return RunReport(request_id=REQUEST_ID, verdict=verdict, **fields)


def append_images(
    file: ImageFile, image_ids: Iterable[int], description: ImageFileDescription, first_id: int = 0
) -> None:
    """Append images to a file, compressed if the file is; the run begins with the image `first_id`."""
    if not file.knows_calibration(0):
        file.add_calibration(0, {"pedestal.h5": "00"})
    for image_id in image_ids:
        chunk = image_of(image_id, description.dtype)
        if description.compression != "none":
            level = description.zstd_level
            out = np.empty(compression.bound(chunk.nbytes, chunk.itemsize, level), np.uint8)
            chunk = out[: compression.compress_into(chunk, out, level)]
        file.append(chunk, metadata_of(image_id), modules_of(image_id), i_exposure=image_id - first_id)


def write_image_file(
    path: Path,
    image_ids: Iterable[int] = range(1, 11),
    report: RunReport | None = None,
    *,
    first_id: int = 0,
    **changes: Any,
) -> Path:
    """Write a file; with a report it is finished, without it is only closed. Returns its path.

    `first_id` is the image with which the run began.
    """
    description = describe(**changes)
    with ImageFile.create(path, description, clock=lambda: START) as file:
        append_images(file, image_ids, description, first_id)
        if report is not None:
            file.finish(report)
    return path
