"""Layout of an image file: names and paths of the NXmx definition and of std-daq's additions.

::

    /entry                                         NXentry
      data/data                                    pixels (n, height, width)
      instrument/detector/detectorSpecific         the arrays of PER_IMAGE, with one row per image
      std_daq                                      request, configuration and end of the run
    /<detector_name>/{data, image_id, status}      links
"""

from pathlib import Path

import numpy as np

from std_daq.imaging.protocols.image_metadata import ImageStatus

ENTRY = "/entry"
PIXELS = f"{ENTRY}/data/data"
INSTRUMENT = f"{ENTRY}/instrument"
DETECTOR = f"{INSTRUMENT}/detector"
DETECTOR_SPECIFIC = f"{DETECTOR}/detectorSpecific"
TRANSFORMATIONS = f"{DETECTOR}/transformations"
START_TIME = f"{ENTRY}/start_time"
END_TIME = f"{ENTRY}/end_time"
N_IMAGES = f"{DETECTOR_SPECIFIC}/nimages"

IMAGE_ID = f"{DETECTOR_SPECIFIC}/image_id"
PULSE_ID = f"{DETECTOR_SPECIFIC}/pulse_id"
FRAME_INDEX = f"{DETECTOR_SPECIFIC}/frame_index"
TIMESTAMP_NS = f"{DETECTOR_SPECIFIC}/timestamp_ns"
STATUS = f"{DETECTOR_SPECIFIC}/status"
CALIBRATION = f"{DETECTOR_SPECIFIC}/calibration"
MISSING_PACKETS = f"{DETECTOR_SPECIFIC}/missing_packets"

# The image id is written last. A reader of a growing file counts the image ids, and finds all other values of these
# images.
PER_IMAGE: dict[str, np.dtype[np.generic]] = {
    PULSE_ID: np.dtype("<u8"),
    FRAME_INDEX: np.dtype("<u8"),
    TIMESTAMP_NS: np.dtype("<u8"),
    STATUS: np.dtype("<u2"),
    CALIBRATION: np.dtype("<u2"),
    MISSING_PACKETS: np.dtype("<u4"),
    IMAGE_ID: np.dtype("<u8"),
}

STATUS_FLAGS = {flag.value: str(flag.name).lower() for flag in ImageStatus}

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
DATA_FILES = f"{RUN}/data_files"

CURRENT_LAYOUT_VERSION = 1
UNKNOWN_COUNT = -1  # N_REQUESTED: until killed; other counts: unknown, or not known yet

# Space for text that is written at the end of the run. It is reserved at the start, because nothing can be created in a
# file in SWMR mode.
MAX_VERDICT_BYTES = 16
MAX_REASON_BYTES = 2048
MAX_TIME_BYTES = 40
MAX_CALIBRATION_BYTES = 8192


def detector_links(detector_name: str) -> dict[str, str]:
    """Return path and target of each link in the group with the detector's name."""
    return {
        f"/{detector_name}/data": PIXELS,
        f"/{detector_name}/image_id": IMAGE_ID,
        f"/{detector_name}/status": STATUS,
    }


def data_file_path(output_file: Path, number: int) -> Path:
    """Return the path of a data file, for a run with several data files; numbers begin at 1."""
    return output_file.with_name(f"{output_file.stem}_data_{number:06d}{output_file.suffix}")


def find_data_files(output_file: Path) -> list[Path]:
    """Return the existing data files of a run, in the order of their numbers."""
    prefix, suffix = f"{output_file.stem}_data_", output_file.suffix
    numbers = [
        path.name[len(prefix) : len(path.name) - len(suffix)]
        for path in output_file.parent.iterdir()
        if path.name.startswith(prefix) and path.name.endswith(suffix)
    ]
    return [
        data_file_path(output_file, number)
        for number in sorted(int(text) for text in numbers if text.isdecimal() and len(text) >= 6)
    ]
