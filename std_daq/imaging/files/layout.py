"""Layout of an image file: names and paths of the NXmx definition and of std-daq's additions.

::

    /entry                                         NXentry
      data/data                                    pixels (n, height, width)
      instrument/detector/detectorSpecific         the arrays of PER_IMAGE, with one row per image; those of PER_MODULE
                                                   among them have one column per module
      frames                                       arrays that the detector adds, with one row per image
      measured                                     logs of what other programs measured
      sample/transformations                       motion of the sample, with one row per image where it moves
      std_daq                                      request, configuration and end of the run
      std_daq/checksums                            checksums of images, of their metadata, and of all else
      std_daq/detectors/<detector_name>            links to data, image_id and status
"""

from pathlib import Path

import numpy as np

from std_daq.imaging.image_faults import fault_name
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, ImageStatus
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY

ENTRY = "/entry"
PIXELS = f"{ENTRY}/data/data"
INSTRUMENT = f"{ENTRY}/instrument"
DETECTOR = f"{INSTRUMENT}/detector"
DETECTOR_SPECIFIC = f"{DETECTOR}/detectorSpecific"
PIXEL_MASK = f"{DETECTOR}/pixel_mask"
TRANSFORMATIONS = f"{DETECTOR}/transformations"
SAMPLE_TRANSFORMATIONS = f"{ENTRY}/sample/transformations"
START_TIME = f"{ENTRY}/start_time"
END_TIME = f"{ENTRY}/end_time"
N_IMAGES = f"{DETECTOR_SPECIFIC}/nimages"

OWN_COLUMNS = f"{ENTRY}/frames"
MEASURED = f"{ENTRY}/measured"

IMAGE_ID = f"{DETECTOR_SPECIFIC}/image_id"
PULSE_ID = f"{DETECTOR_SPECIFIC}/pulse_id"
FRAME_INDEX = f"{DETECTOR_SPECIFIC}/frame_index"
TIMESTAMP_NS = f"{DETECTOR_SPECIFIC}/timestamp_ns"
DETECTOR_TIMESTAMP = f"{DETECTOR_SPECIFIC}/detector_timestamp"
EXPOSURE_LENGTH = f"{DETECTOR_SPECIFIC}/exposure_length"
DAQ_REC = f"{DETECTOR_SPECIFIC}/daq_rec"
STORAGE_CELL = f"{DETECTOR_SPECIFIC}/storage_cell"
STATUS = f"{DETECTOR_SPECIFIC}/status"
CALIBRATION = f"{DETECTOR_SPECIFIC}/calibration"
MISSING_PACKETS = f"{DETECTOR_SPECIFIC}/missing_packets"
MODULE_PULSE_ID = f"{DETECTOR_SPECIFIC}/module_pulse_id"
MODULE_FRAME_INDEX = f"{DETECTOR_SPECIFIC}/module_frame_index"
MODULE_DETECTOR_TIMESTAMP = f"{DETECTOR_SPECIFIC}/module_detector_timestamp"
MODULE_EXPOSURE_LENGTH = f"{DETECTOR_SPECIFIC}/module_exposure_length"
MODULE_DAQ_REC = f"{DETECTOR_SPECIFIC}/module_daq_rec"
MODULE_STORAGE_CELL = f"{DETECTOR_SPECIFIC}/module_storage_cell"
MODULE_STATUS = f"{DETECTOR_SPECIFIC}/module_status"

PER_MODULE = {
    MISSING_PACKETS: "missing_packets",
    MODULE_PULSE_ID: "pulse_id",
    MODULE_FRAME_INDEX: "frame_index",
    MODULE_DETECTOR_TIMESTAMP: "timestamp",
    MODULE_EXPOSURE_LENGTH: "exposure_length",
    MODULE_DAQ_REC: "daq_rec",
    MODULE_STORAGE_CELL: "storage_cell",
    MODULE_STATUS: "status",
}
"""Arrays with a value per image and module, and the field of the ModuleEntry that each holds."""

# The image id is written last. A reader of a growing file counts the image ids, and finds all other values of these
# images.
PER_IMAGE = {
    PULSE_ID: "pulse_id",
    FRAME_INDEX: "frame_index",
    TIMESTAMP_NS: "first_arrival_ns",
    DETECTOR_TIMESTAMP: "timestamp",
    EXPOSURE_LENGTH: "exposure_length",
    DAQ_REC: "daq_rec",
    STORAGE_CELL: "storage_cell",
    STATUS: "status",
    CALIBRATION: "calibration",
    **PER_MODULE,
    IMAGE_ID: "id",
}
"""Arrays with one row per image, and the field of the ImageMetadata or ModuleEntry that each holds."""
_IN_VERSION_1 = {PULSE_ID, FRAME_INDEX, TIMESTAMP_NS, STATUS, CALIBRATION, MISSING_PACKETS, IMAGE_ID}

STATUS_FLAGS = {flag.value: fault_name(flag) for flag in ImageStatus}

RUN = f"{ENTRY}/std_daq"
LAYOUT_VERSION = f"{RUN}/layout_version"
DETECTOR_NAME = f"{RUN}/detector_name"
REQUEST_ID = f"{RUN}/request_id"
MASTER_FILE = f"{RUN}/master_file"
CONFIGURATION = f"{RUN}/configuration"
REQUEST = f"{RUN}/request"
CALIBRATIONS = f"{RUN}/calibrations"
VERSIONS = f"{RUN}/versions"
VERDICT = f"{RUN}/verdict"
REASON = f"{RUN}/reason"
N_REQUESTED = f"{RUN}/n_requested"
N_INCOMPLETE = f"{RUN}/n_incomplete"
N_LOST = f"{RUN}/n_lost"
LOST_IMAGE_IDS = f"{RUN}/lost_image_ids"
CHECKSUMS = f"{RUN}/checksums"
IMAGE_CHECKSUM = f"{CHECKSUMS}/image"
METADATA_CHECKSUM = f"{CHECKSUMS}/metadata"
DESCRIPTION_CHECKSUMS = f"{CHECKSUMS}/description"
END_CHECKSUM = f"{CHECKSUMS}/end"
DATA_FILES = f"{RUN}/data_files"

END_VALUES = (REASON, N_REQUESTED, N_INCOMPLETE, N_LOST, N_IMAGES, END_TIME, VERDICT)
"""Values of a fixed size that are written at the end of the run."""
CHECKSUM_COLUMNS = (IMAGE_CHECKSUM, METADATA_CHECKSUM)
"""Arrays with the checksums of each image and of its metadata."""

COLUMN_CHUNK_ROWS = 1024
"""Rows in a chunk of an array with one value per image; arrays with a value per module may have fewer."""

CURRENT_LAYOUT_VERSION = 3
_CHECKSUMS_SINCE = 3
UNKNOWN_COUNT = -1  # N_REQUESTED: until killed; other counts: unknown, or not known yet

# Space for text that is written at the end of the run. It is reserved at the start, because nothing can be created in a
# file in SWMR mode.
MAX_VERDICT_BYTES = 16
MAX_REASON_BYTES = 2048
MAX_TIME_BYTES = 40
MAX_CALIBRATION_BYTES = 8192


def per_image(version: int) -> tuple[str, ...]:
    """Return those arrays of PER_IMAGE and CHECKSUM_COLUMNS that files of a layout version have."""
    checksums = CHECKSUM_COLUMNS if has_checksums(version) else ()
    return (*checksums, *(path for path in PER_IMAGE if version > 1 or path in _IN_VERSION_1))


def has_checksums(version: int) -> bool:
    """Return whether files of a layout version have checksums."""
    return version >= _CHECKSUMS_SINCE


def dtype_of(path: str) -> np.dtype[np.generic]:
    """Return the type of an array of PER_IMAGE."""
    return (MODULE_ENTRY if path in PER_MODULE else IMAGE_METADATA)[PER_IMAGE[path]]


def detector_links(detector_name: str, *, has_root_links: bool = False) -> dict[str, str]:
    """Return path and target of each link in the group with the detector's name.

    Validators of NeXus accept no groups at the root but entries; so only a file that is to have them has links there.
    """
    folders = [f"{RUN}/detectors", *([""] if has_root_links else [])]
    targets = {"data": PIXELS, "image_id": IMAGE_ID, "status": STATUS}
    return {f"{folder}/{detector_name}/{name}": target for folder in folders for name, target in targets.items()}


def data_file_path(output_file: Path, number: int) -> Path:
    """Return the path of a data file, for a run with several data files; numbers begin at 1."""
    return output_file.with_name(f"{output_file.stem}_data_{number:06d}{output_file.suffix}")


def find_data_files(output_file: Path) -> list[Path]:
    """Return the existing data files of a run, in the order of their numbers."""
    paths = [path for path in output_file.parent.iterdir() if is_data_file_of(output_file, path)]
    return sorted(paths, key=lambda path: (len(path.name), path.name))


def is_data_file_of(output_file: Path, path: Path) -> bool:
    """Return whether this is the path of a data file of a run."""
    prefix, suffix = f"{output_file.stem}_data_", output_file.suffix
    name = path.name
    if path.parent != output_file.parent or not (name.startswith(prefix) and name.endswith(suffix)):
        return False
    number = name[len(prefix) : len(name) - len(suffix)]
    return number.isascii() and number.isdecimal() and len(number) >= 6 and int(number) > 0
