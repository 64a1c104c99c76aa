"""Writing an image file: what is in it, while it grows, at its end, and when the disk is full."""

import errno
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import numpy as np
import pytest

from std_daq.errors import FileFormatError
from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import (
    N_MODULES,
    SHAPE,
    append_images,
    describe,
    image_of,
    metadata_of,
    missing_packets_of,
    modules_of,
    report_of,
    write_image_file,
)

PER_IMAGE_ROWS = "import h5py, sys; f = h5py.File(sys.argv[1], 'r', swmr=True); print(f['{path}'].shape[0])"

# Writes images of 1 MB into a file until no more than so many bytes fit, as on a full disk.
WRITE_UNTIL_FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from std_daq.imaging.files.image_file import ImageFile
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import describe, metadata_of, modules_of, report_of

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = ImageFile.create(Path(sys.argv[1]), describe(shape=(512, 1024)))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    for i in range(100):
        file.append(np.full((512, 1024), i, "u2"), metadata_of(i), modules_of(i))
        if i % 5 == 4:
            file.flush()
except OSError as error:
    print(error.errno, error)
if sys.argv[3] == "more room":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
try:
    file.finish(report_of(Verdict.FAILED, reason="disk full"))
except OSError as error:
    print(error.errno, error)
"""

# Fills a file until not even its end can be written, and writes another one in the same process.
WRITE_ANOTHER_AFTER_A_FULL_ONE = """
import gc, resource, sys
from contextlib import suppress
from pathlib import Path
from std_daq.imaging.files.image_file import ImageFile
from std_test_kit.image_files import append_images, describe, report_of

description = describe(compression="bslz4")
file = ImageFile.create(Path(sys.argv[1]), description)
n_bytes = Path(sys.argv[1]).stat().st_size + 5000
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
with suppress(OSError):
    append_images(file, range(1000), description)
try:
    file.finish(report_of())
except OSError as error:
    print(error)
del file
gc.collect()
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
with ImageFile.create(Path(sys.argv[2]), description) as file:
    append_images(file, range(3), description)
"""


def seen_by_another_process(path: Path, dataset: str = layout.PIXELS) -> int:
    script = PER_IMAGE_ROWS.format(path=dataset)
    return int(subprocess.check_output([sys.executable, "-c", script, path], timeout=60))


@pytest.mark.parametrize("compression", ["none", "bslz4"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "f4"])
def test_pixels_and_what_is_known_of_each_image_are_read_back(tmp_path: Path, dtype: str, compression: str) -> None:
    path = write_image_file(tmp_path / "a.h5", range(1, 11), report_of(), dtype=dtype, compression=compression)
    with h5py.File(path) as file:
        assert file[layout.PIXELS].dtype == np.dtype(dtype)
        assert file[layout.PIXELS].shape == (10, *SHAPE)
        for row, image_id in enumerate(range(1, 11)):
            assert (file[layout.PIXELS][row] == image_of(image_id, dtype)).all()
        assert file[layout.IMAGE_ID][:].tolist() == list(range(1, 11))
        assert file[layout.PULSE_ID][:].tolist() == list(range(1001, 1011))
        assert file[layout.FRAME_INDEX][:].tolist() == list(range(1, 11))
        assert file[layout.TIMESTAMP_NS][:].tolist() == [1_000_000 * i for i in range(1, 11)]
        assert file[layout.STATUS][:].tolist() == [int(i % 5 == 4) for i in range(1, 11)]
        assert file[layout.MISSING_PACKETS].shape == (10, N_MODULES)
        assert file[layout.MISSING_PACKETS][:].tolist() == [missing_packets_of(i) for i in range(1, 11)]


def test_fields_of_the_packets_are_read_back_for_each_image_and_each_module(tmp_path: Path) -> None:
    ids = range(1, 11)
    path = write_image_file(tmp_path / "a.h5", ids, report_of())
    with h5py.File(path) as file:
        assert file[layout.DETECTOR_TIMESTAMP][:].tolist() == [i + 2000 for i in ids]
        assert file[layout.EXPOSURE_LENGTH][:].tolist() == [i + 3000 for i in ids]
        assert file[layout.DAQ_REC][:].tolist() == [i << 8 for i in ids]
        assert file[layout.STORAGE_CELL][:].tolist() == list(ids)
        for name, field in layout.PER_MODULE.items():
            assert file[name].shape == (10, N_MODULES)
            assert file[name][:].tolist() == [modules_of(i)[field].tolist() for i in ids]
        assert file[layout.MODULE_STATUS].attrs["flag_meanings"] == file[layout.STATUS].attrs["flag_meanings"]


def test_more_images_than_are_collected_at_once_have_all_their_values(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", range(2500), report_of())
    with h5py.File(path) as file:
        assert file[layout.IMAGE_ID][:].tolist() == list(range(2500))
        assert file[layout.MISSING_PACKETS][:].tolist() == [missing_packets_of(i) for i in range(2500)]


def test_links_under_the_detectors_name_lead_to_the_datasets(tmp_path: Path) -> None:
    with h5py.File(write_image_file(tmp_path / "a.h5", report=report_of())) as file:
        for path, target in layout.detector_links("JF-test").items():
            assert file[path] == file[target]
        assert file[f"{layout.DETECTOR}/data"] == file[layout.PIXELS]


def test_the_file_tells_how_the_run_was_asked_for_and_how_it_ended(tmp_path: Path) -> None:
    report = report_of(
        Verdict.INCOMPLETE,
        reason="2 images lost — übergelaufen",
        n_requested=12,
        n_incomplete=2,
        n_lost=2,
        lost_image_ids=(4, 2**63),
    )
    path = write_image_file(tmp_path / "a.h5", report=report)
    with h5py.File(path) as file:
        assert file[layout.VERDICT].asstr()[()] == "incomplete"
        assert file[layout.REASON].asstr()[()] == r"2 images lost \u2014 \xfcbergelaufen"
        assert file[layout.N_REQUESTED][()] == 12
        assert file[layout.N_INCOMPLETE][()] == 2
        assert file[layout.N_LOST][()] == 2
        assert file[layout.N_IMAGES][()] == 10
        assert file[layout.LOST_IMAGE_IDS][:].tolist() == [4, 2**63]
        assert json.loads(file[layout.REQUEST][()])["user_metadata"] == {"sample": "Lysozym, Zürich"}
        assert json.loads(file[layout.CONFIGURATION][()]) == {"detector_name": "JF-test"}
        assert json.loads(file[layout.CALIBRATIONS][0]) == {"index": 0, "files": {"pedestal.h5": "00"}}
        assert json.loads(file[layout.VERSIONS][()]) == {"std-daq": "0.1.0"}
        assert file[layout.START_TIME].asstr()[()] == "2026-03-01T12:00:00.000000Z"
        assert file[layout.END_TIME].asstr()[()] == "2026-03-01T12:00:00.000000Z"


def test_names_of_the_status_flags_stand_beside_the_numbers(tmp_path: Path) -> None:
    with h5py.File(write_image_file(tmp_path / "a.h5")) as file:
        attributes = file[layout.STATUS].attrs
        assert attributes["flag_masks"].tolist() == [1, 2, 4, 8, 16, 32, 64, 128]
        assert attributes["flag_meanings"] == (
            b"missing_packets id_mismatch missing_modules overwritten refused_packets out_of_step not_calibrated "
            b"renumbered"
        )


def test_the_pixel_mask_is_stored(tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, np.uint32)
    mask[3, 5] = 1 << 31
    path = write_image_file(tmp_path / "a.h5", pixel_mask=mask, is_pixel_mask_applied=True)
    with h5py.File(path) as file:
        assert (file[f"{layout.DETECTOR}/pixel_mask"][:] == mask).all()
        assert file[f"{layout.DETECTOR}/pixel_mask_applied"][()] == 1


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="never overwritten") as caught:
        ImageFile.create(path, describe())
    assert caught.value.errno == errno.EEXIST
    assert path.read_bytes() == b"mine"


def test_an_existing_link_is_never_followed(tmp_path: Path) -> None:
    target = tmp_path / "target.h5"
    (tmp_path / "a.h5").symlink_to(target)
    with pytest.raises(FileExistsError):
        ImageFile.create(tmp_path / "a.h5", describe())
    assert not target.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere/a\.h5"):
        ImageFile.create(tmp_path / "nowhere" / "a.h5", describe())


def test_nothing_is_left_of_a_file_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("std_daq.imaging.files.image_file.write_structure", fail)
    with pytest.raises(OSError, match="cannot create the file: No space left"):
        ImageFile.create(tmp_path / "a.h5", describe())
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "entry", "a/b"])
def test_a_detector_name_that_cannot_name_a_group_is_refused(name: str) -> None:
    with pytest.raises(FileFormatError, match="detector name"):
        describe(detector_name=name)


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(FileFormatError, match="mask"):
        describe(pixel_mask=np.zeros((2, 2), np.uint32))


def test_a_chunk_of_the_wrong_size_is_refused_and_leaves_no_row(tmp_path: Path) -> None:
    with ImageFile.create(tmp_path / "a.h5", describe()) as file:
        append_images(file, [1], describe())
        with pytest.raises(FileFormatError, match="image 2 has 6 bytes"):
            file.append(b"short!", metadata_of(2), modules_of(2))
        assert file.n_images == 1
    with h5py.File(tmp_path / "a.h5") as file:
        assert file[layout.PIXELS].shape[0] == 1


def test_appending_copies_no_pixels(tmp_path: Path) -> None:
    description = describe(shape=(1024, 1024))
    image = np.ones(description.shape, "u2")
    metadata, modules = metadata_of(1), modules_of(1)
    with ImageFile.create(tmp_path / "a.h5", description) as file:
        file.append(image, metadata, modules)
        tracemalloc.start()
        file.append(image, metadata, modules)
        file.append(memoryview(image), metadata, modules)
        file.append(memoryview(image).cast("B"), metadata, modules)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < image.nbytes / 10


def test_readers_see_the_flushed_images_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    description = describe()
    with ImageFile.create(path, description) as file:
        assert seen_by_another_process(path) == 0
        append_images(file, range(1300), description)
        assert file.n_flushed == 0
        assert seen_by_another_process(path) == 0
        file.flush()
        append_images(file, range(1300, 1400), description)
        assert file.n_flushed == 1300
        assert seen_by_another_process(path) == 1300
        assert seen_by_another_process(path, layout.IMAGE_ID) == 1300
    assert seen_by_another_process(path) == 1400


@pytest.mark.parametrize("n_before", [0, 3, 1024, 1025])
def test_a_dropped_image_leaves_its_row_and_its_place_to_the_next(tmp_path: Path, n_before: int) -> None:
    path = tmp_path / "a.h5"
    with ImageFile.create(path, describe()) as file:
        append_images(file, [*range(n_before), 7777], describe())
        size = path.stat().st_size
        file.drop_last()
        append_images(file, [8888], describe())
        assert path.stat().st_size == size
        file.finish(report_of())
    with h5py.File(path) as file:
        assert file[layout.IMAGE_ID][:].tolist() == [*range(n_before), 8888]
        assert file[layout.PIXELS].shape[0] == n_before + 1
        assert (file[layout.PIXELS][n_before] == image_of(8888)).all()


@pytest.mark.parametrize("ending", ["flush", "close"])
def test_readers_never_see_a_dropped_image(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "a.h5"
    with ImageFile.create(path, describe()) as file:
        append_images(file, [1, 2], describe())
        file.drop_last()
        getattr(file, ending)()
        assert seen_by_another_process(path) == 1
        if ending == "flush":
            append_images(file, [3], describe())
    with h5py.File(path) as file:
        ids = [1, 3] if ending == "flush" else [1]
        assert file[layout.IMAGE_ID][:].tolist() == ids
        assert [int(pixels[0, 0]) for pixels in file[layout.PIXELS]] == [int(image_of(i)[0, 0]) for i in ids]


def test_a_flushed_image_cannot_be_dropped(tmp_path: Path) -> None:
    with ImageFile.create(tmp_path / "a.h5", describe()) as file:
        append_images(file, [1], describe())
        file.flush()
        with pytest.raises(FileFormatError, match="cannot be removed"):
            file.drop_last()


def test_the_end_of_the_run_is_written_into_a_closed_file_that_is_being_read(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", range(3))
    with h5py.File(path) as reader:
        assert reader[layout.IMAGE_ID].shape == (3,)
        finish = "import sys; from pathlib import Path; from std_daq.imaging.files.ending import finish_closed;"
        finish += "from std_test_kit.image_files import report_of; from std_daq.recording.requests import Verdict;"
        finish += "finish_closed(Path(sys.argv[1]), report_of(Verdict.INCOMPLETE, n_lost=1, lost_image_ids=(9,)))"
        subprocess.run([sys.executable, "-c", finish, path], check=True, timeout=60)
    with h5py.File(path) as file:
        assert file[layout.VERDICT].asstr()[()] == "incomplete"
        assert file[layout.LOST_IMAGE_IDS][:].tolist() == [9]
        assert file[layout.N_IMAGES][()] == 3


def test_a_follower_reads_right_pixels_of_every_image_it_sees(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    script = """
import sys, h5py, numpy as np
from std_daq.imaging.files import layout
from std_test_kit.image_files import image_of
file = h5py.File(sys.argv[1], "r", swmr=True)
ids, pixels = file[layout.IMAGE_ID], file[layout.PIXELS]
print("open", flush=True)
n = 0
while n < 60:
    ids.refresh(); pixels.refresh()
    end = ids.shape[0]
    for row in range(n, end):
        assert (pixels[row] == image_of(int(ids[row]))).all(), row
    n = end
"""
    description = describe()
    with ImageFile.create(path, description) as file:
        command = [sys.executable, "-c", script, path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "open\n"
            for image_id in range(60):
                append_images(file, [image_id], description)
                file.flush()
            assert follower.wait(60) == 0


def test_a_closed_file_takes_no_images_and_closing_again_does_nothing(tmp_path: Path) -> None:
    file = ImageFile.create(tmp_path / "a.h5", describe())
    file.finish(report_of())
    file.close()
    with pytest.raises(FileFormatError, match="closed"):
        file.flush()


def test_a_finished_file_keeps_no_descriptor_open(tmp_path: Path) -> None:
    write_image_file(tmp_path / "a.h5", report=report_of())
    open_files = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [name for name in open_files if name.startswith(str(tmp_path))]


def test_a_file_that_cannot_be_closed_does_not_harm_the_next_one(tmp_path: Path) -> None:
    paths = [tmp_path / "full.h5", tmp_path / "next.h5"]
    command = [sys.executable, "-c", WRITE_ANOTHER_AFTER_A_FULL_ONE, *paths]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "cannot write the end of the run" in result.stdout
    assert result.stderr == ""
    assert seen_by_another_process(paths[1]) == 3


@pytest.mark.long
@pytest.mark.parametrize("room", ["no more room", "more room"])
def test_a_full_disk_is_named_and_what_was_flushed_stays_readable(tmp_path: Path, room: str) -> None:
    path = tmp_path / "a.h5"
    command = [sys.executable, "-c", WRITE_UNTIL_FULL, path, str(20_000_000), room]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    first, *rest = result.stdout.splitlines()
    assert "cannot write image 18: File too large" in first
    assert len(rest) == (room == "no more room")
    with h5py.File(path, "r", swmr=True) as file:
        n_images = file[layout.IMAGE_ID].shape[0]
        assert n_images >= 15
        assert all((file[layout.PIXELS][row] == row).all() for row in range(n_images))
    if room == "more room":
        with h5py.File(path) as file:
            assert file[layout.PIXELS].shape[0] == 18
            assert file[layout.VERDICT].asstr()[()] == "failed"
