"""Validation of image files: completeness, consistency and readability."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from std_daq.hdf5 import open_growing, open_hdf5
from std_daq.imaging.files import layout
from std_daq.imaging.files.checksum_checks import check_checksums, read_pixels
from std_daq.imaging.files.contents import (
    UNREADABLE,
    Columns,
    check_layout,
    count_faults,
    count_stored_rows,
    read_columns,
    read_superblock,
    read_text,
)
from std_daq.imaging.files.master_file import absent_pixel, virtual_name
from std_daq.imaging.files.sample import moving_axes
from std_daq.imaging.image_faults import describe_faults
from std_daq.recording.locks import can_lock
from std_daq.recording.problem import HasProblems, Problem
from std_daq.recording.requests import Verdict

# More than this are told: most programs may have 1024 files open, and need some of them for themselves.
MANY_DATA_FILES = 900
# Fields that the NXmx definition requires and readers such as DIALS need, with the key that gives them a value; those
# without a key are in every file.
_NXMX_FIELDS = {
    "title": "",
    "start_time": "",
    "end_time_estimated": "",
    "source/name": "",
    "sample/name": "",
    "sample/depends_on": "",
    "instrument/name": "",
    "instrument/beam/incident_wavelength": "wavelength_angstrom",
    "instrument/detector/depends_on": "",
    "instrument/detector/description": "nexus.description",
    "instrument/detector/distance": "distance_m",
    "instrument/detector/sensor_material": "nexus.sensor_material",
    "instrument/detector/sensor_thickness": "nexus.sensor_thickness_m",
    "instrument/detector/x_pixel_size": "nexus.pixel_size_m",
    "instrument/detector/y_pixel_size": "nexus.pixel_size_m",
    "instrument/detector/beam_center_x": "beam_center_px",
    "instrument/detector/beam_center_y": "beam_center_px",
    "instrument/detector/count_time": "count_time_s",
    "instrument/detector/frame_time": "frame_time_s",
    "instrument/detector/saturation_value": "saturation_value",
    "instrument/detector/underload_value": "underload_value",
    "instrument/detector/module/data_origin": "",
    "instrument/detector/module/data_size": "",
    "instrument/detector/module/fast_pixel_direction": "",
    "instrument/detector/module/slow_pixel_direction": "",
}


@dataclass(frozen=True, slots=True)
class ImageIdStatistics:
    """Statistics of the image ids in a file.

    Attributes
    ----------
    first, last
        Ids of the first and last row; None if there are no images.
    n_duplicates
        Number of rows whose id occurs in an earlier row.
    is_ascending
        Whether each id is larger than the id before.
    """

    first: int | None = None
    last: int | None = None
    n_duplicates: int = 0
    is_ascending: bool = True


@dataclass(slots=True)
class ValidationReport(HasProblems):
    """Result of `validate`.

    Attributes
    ----------
    path
        Path of the file.
    n_images
        Number of images in the file.
    n_images_read
        Number of images whose pixels were read.
    verdict, reason
        Verdict of the run and its reason; empty if the file has none.
    n_requested, n_incomplete, n_lost
        Counts of the run; None if unknown. n_requested is also None if the run was to continue until killed.
    lost_image_ids
        Ids of images of the run that are in no file, as far as they are known.
    image_ids
        Statistics of the image ids.
    status_counts
        Number of good images, and number of images with each status flag.
    missing_packets
        Number of missing packets of each module, summed over all images.
    faults
        What is wrong with the images that are not good, in words.
    data_files
        Names of the data files of a master.
    problems
        Problems that were found.
    """

    path: str
    n_images: int = 0
    n_images_read: int = 0
    verdict: str = ""
    reason: str = ""
    n_requested: int | None = None
    n_incomplete: int | None = None
    n_lost: int | None = None
    lost_image_ids: list[int] = field(default_factory=list)
    image_ids: ImageIdStatistics = field(default_factory=ImageIdStatistics)
    status_counts: dict[str, int] = field(default_factory=dict)
    missing_packets: list[int] = field(default_factory=list)
    faults: str = ""
    data_files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as an object that can be written as JSON."""
        return {"is_valid": self.is_valid, **asdict(self)}


def validate(
    path: Path, *, max_images_read: int | None = None, after_each: Callable[[], None] = lambda: None
) -> ValidationReport:
    """Check a file, or a master with its data files.

    Parameters
    ----------
    path
        Path of the file.
    max_images_read
        Largest number of images of each file whose pixels are read. They are evenly spread, and the first and the last
        image are among them. By default the pixels of all images are read.
    after_each
        Called after each step, such as an image that was read.

    Returns
    -------
    ValidationReport
        The report, which contains all problems; no error is raised.
    """
    report = ValidationReport(str(path))
    if not path.exists():
        if path.parent.is_dir() and layout.find_data_files(path):
            report.error("the master file is missing, but its data files exist", f"std-daq recover {path}")
        else:
            report.error("no such file", "look for the name that the report of the run gives")
        return report
    try:
        is_open = _check_superblock(path, report)
        _check_locks(path, report)
    except UNREADABLE as error:
        report.error(f"cannot be read: {error}")
        return report
    try:
        with open_growing(path) if is_open else open_hdf5(path, "r") as file:
            check_layout(file)
            _check_contents(file, report, max_images_read, after_each)
    except UNREADABLE as error:
        report.error(f"cannot be read: {error}", "" if report.problems else f"std-daq recover {path}")
    return report


def _check_superblock(path: Path, report: ValidationReport) -> bool:
    """Check the superblock; return whether the file must be read in SWMR mode."""
    superblock = read_superblock(path)
    if superblock.is_open:
        report.error(
            "marked as open: it is being written, or its writer was killed",
            f"when no writer is running: std-daq recover {path}",
        )
    elif superblock.end_of_file > path.stat().st_size:
        report.error(f"cut off: it has only {path.stat().st_size} of {superblock.end_of_file} bytes", "copy it again")
    return superblock.can_be_followed


def _check_locks(path: Path, report: ValidationReport) -> None:
    with path.open("rb") as file:
        if not can_lock(file.fileno()):
            report.warn(
                "its file system has no locks, and HDF5 opens the file only without them",
                "set HDF5_USE_FILE_LOCKING=FALSE for the programs that read it",
            )


def _check_contents(
    file: h5py.File, report: ValidationReport, max_images_read: int | None, after_each: Callable[[], None]
) -> None:
    columns = read_columns(file)
    report.n_images = file[layout.PIXELS].shape[0]
    for path, column in columns.items():
        if len(column) != report.n_images:
            report.error(
                f"{path} has {len(column)} rows, but there are pixels of {report.n_images} images",
                f"std-daq recover {report.path}",
            )
    _read_run(file, report)
    _check_ids(columns[layout.IMAGE_ID], columns[layout.TIMESTAMP_NS], report)
    _check_statuses(columns, report)
    _check_verdict(report)
    _check_nexus(file, report)
    check_checksums(file, columns, report.error)
    after_each()
    if layout.DATA_FILES in file:
        _check_data_files(file, report, max_images_read, after_each)
    else:
        report.n_images_read = _check_pixels(file[layout.PIXELS], columns, report.error, max_images_read, after_each)


def _read_run(file: h5py.File, report: ValidationReport) -> None:
    def count(path: str) -> int | None:
        value = int(file[path][()])
        return None if value == layout.UNKNOWN_COUNT else value

    report.verdict = read_text(file, layout.VERDICT)
    report.reason = read_text(file, layout.REASON)
    report.n_requested = count(layout.N_REQUESTED)
    report.n_incomplete = count(layout.N_INCOMPLETE)
    report.n_lost = count(layout.N_LOST)
    report.lost_image_ids = file[layout.LOST_IMAGE_IDS][:].tolist()
    n_unnamed = (report.n_lost or 0) - len(report.lost_image_ids)
    if n_unnamed > 0:
        report.warn(f"the ids of {n_unnamed} of the {report.n_lost} lost images are not known")
    if report.verdict and int(file[layout.N_IMAGES][()]) != report.n_images:
        report.error(f"{layout.N_IMAGES} says {file[layout.N_IMAGES][()]} images, but the file has {report.n_images}")


def _check_ids(ids: npt.NDArray[np.uint64], times_ns: npt.NDArray[np.uint64], report: ValidationReport) -> None:
    if not len(ids):
        return
    is_ascending = bool((ids[1:] > ids[:-1]).all())
    n_duplicates = len(ids) - len(np.unique(ids))
    report.image_ids = ImageIdStatistics(int(ids[0]), int(ids[-1]), n_duplicates, is_ascending)
    if n_duplicates:
        # Each series of a detector may begin with 1. So images with the same id came at different times.
        order = np.lexsort((times_ns, ids))
        n_twice = int(((np.diff(ids[order]) == 0) & (np.diff(times_ns[order]) == 0)).sum())
        if n_twice:
            report.error(f"{n_twice} images have the id and the time of another image")
        if n_duplicates > n_twice:
            n_again = n_duplicates - n_twice
            report.warn(f"{n_again} images have the id of another image: the detector began to count anew")
    elif not is_ascending:
        report.warn("image ids do not ascend", "perhaps the detector was restarted during the run")
    both = np.intersect1d(ids, np.array(report.lost_image_ids, np.uint64))
    if len(both):
        report.error(f"{len(both)} images are listed as lost but are in the file; the first of them is {both[0]}")


def _check_statuses(columns: Columns, report: ValidationReport) -> None:
    status, missing = columns[layout.STATUS], columns[layout.MISSING_PACKETS]
    report.status_counts = {"good": int(np.count_nonzero(status == 0))} | {
        name: int(np.count_nonzero(status & mask)) for mask, name in layout.STATUS_FLAGS.items()
    }
    if len(status) == len(missing):
        report.faults = describe_faults(count_faults(columns).faults)
    report.missing_packets = missing.sum(axis=0, dtype=np.int64).tolist()
    n = min(len(status), len(missing))
    n_hidden = int(np.count_nonzero(missing[:n].any(axis=1) & (status[:n] == 0)))
    if n_hidden:
        report.error(f"{n_hidden} images lack packets but have the status of a good image")


def _check_verdict(report: ValidationReport) -> None:
    if not report.verdict:
        report.error("no verdict: the run has not ended, or its writer was killed", f"std-daq recover {report.path}")
        return
    if report.verdict != Verdict.COMPLETE:
        report.warn(f"the run ended as {report.verdict}: {report.reason}")
        return
    n_lost = max(report.n_lost or 0, len(report.lost_image_ids))
    lost = [f"{n_lost} images are lost"] if n_lost else []
    if why := "; ".join(filter(None, [report.faults, *lost])):
        report.error(f"the verdict is complete, but: {why}")


def _check_nexus(file: h5py.File, report: ValidationReport) -> None:
    definition = f"{layout.ENTRY}/definition"
    if definition not in file or read_text(file, definition) != "NXmx":
        report.error(f"{definition} is not NXmx")
    missing = [name for name in _NXMX_FIELDS if f"{layout.ENTRY}/{name}" not in file]
    if missing:
        report.warn(
            f"fields that NXmx readers may need are missing in {layout.ENTRY}: {', '.join(missing)}",
            _how_to_give(missing),
        )
    for path in moving_axes(file):
        n_unknown = int(np.count_nonzero(np.isnan(file[path][:])))
        if n_unknown:
            report.warn(f"{path} is not known for {n_unknown} images", "the request gave fewer values than images came")


def _how_to_give(missing: list[str]) -> str:
    """Return where the values of missing fields can be given."""
    keys = [*dict.fromkeys(_NXMX_FIELDS[name] for name in missing if _NXMX_FIELDS[name])]
    by_request = ", ".join(key for key in keys if "." not in key)
    by_configuration = ", ".join(key for key in keys if "." in key)
    ways = []
    if by_request:
        ways.append(f"give {by_request} in section experiment of the request, or in section nexus of the configuration")
    if by_configuration:
        ways.append(f"give {by_configuration} in the configuration")
    return "; ".join(ways)


def _check_data_files(
    file: h5py.File, report: ValidationReport, max_images_read: int | None, after_each: Callable[[], None]
) -> None:
    """Check the sources of a virtual dataset; HDF5 raises no error for those that are missing or short."""
    pixels = file[layout.PIXELS]
    report.data_files = [name.decode() for name in file[layout.DATA_FILES][:].tolist()]
    if not pixels.is_virtual:
        report.error(f"{layout.PIXELS} is not a virtual dataset, although the file names data files")
        return
    fill = absent_pixel(pixels.dtype)
    if len(report.data_files) > MANY_DATA_FILES:
        report.warn(
            f"{len(report.data_files)} data files: a program whose limit of open files is lower shows {fill} for the "
            "pixels of those that it cannot open, without an error",
            f"ulimit -n {len(report.data_files) + 200} before the program starts, or read the data files one by one",
        )
    names = {virtual_name(Path(name)): name for name in report.data_files}
    n_rows_used: dict[str, int] = dict.fromkeys(report.data_files, 0)
    for source in pixels.virtual_sources():
        end = source.src_space.get_select_bounds()[1][0] + 1
        name = names.get(source.file_name, source.file_name)
        n_rows_used[name] = max(n_rows_used.get(name, 0), end)
    for name, n_used in n_rows_used.items():
        report.n_images_read += _check_data_file(
            Path(report.path).with_name(name), n_used, pixels, report, max_images_read, after_each
        )


def _check_data_file(
    path: Path,
    n_used: int,
    pixels: h5py.Dataset,
    report: ValidationReport,
    max_images_read: int | None,
    after_each: Callable[[], None],
) -> int:
    """Check one data file of a master; return how many images were read."""

    def error(text: str, remedy: str = "") -> None:
        report.error(f"data file {path.name}: {text}", remedy)

    if not path.exists():
        fill = absent_pixel(pixels.dtype)
        error(f"missing; the master shows {fill} for its {n_used} images", "put it into the folder of the master")
        return 0
    try:
        if read_superblock(path).is_open:
            error("marked as open", f"when no writer is running: std-daq recover {path}")
            return 0
        with open_hdf5(path, "r") as file:
            check_layout(file)
            source = file[layout.PIXELS]
            if (source.dtype, source.shape[1:]) != (pixels.dtype, pixels.shape[1:]):
                error(
                    f"images {source.shape[1:]} of {source.dtype}; the master has {pixels.shape[1:]} of {pixels.dtype}"
                )
            if source.shape[0] < n_used:
                error(f"has {source.shape[0]} images, the master shows {n_used}")
            columns = read_columns(file)
            check_checksums(file, columns, error)
            return _check_pixels(source, columns, error, max_images_read, after_each)
    except UNREADABLE as failure:
        error(f"cannot be read: {failure}", f"std-daq recover {path}")
        return 0


def _check_pixels(
    pixels: h5py.Dataset,
    columns: Columns,
    error: Callable[[str, str], None],
    max_images_read: int | None,
    after_each: Callable[[], None],
) -> int:
    """Check that every image is stored, and read some or all of them; return how many were read."""
    n_images = pixels.shape[0]
    n_stored = count_stored_rows(pixels)
    if n_stored < n_images:
        error(f"pixels of image {n_stored} (counted from 0) were never written, or are behind the end of the file", "")
    return read_pixels(pixels, _rows_to_read(n_stored, max_images_read), columns, error, after_each)


def _rows_to_read(n_rows: int, limit: int | None) -> Iterator[int]:
    if limit is None or limit >= n_rows:
        yield from range(n_rows)
    else:
        yield from np.unique(np.linspace(0, n_rows - 1, limit).astype(int)).tolist()
