"""The PFF files of a run, with images in memory."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from std_daq.errors import FileFormatError
from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, ImageStatus, decode_image_metadata
from std_daq.imaging.protocols.image_metadata import encode_image_metadata as encode
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY
from std_daq.recording.file_access import FileAccess
from std_daq.recording.requests import RunReport, Verdict, WriteRequest
from std_daq.recording.store_stream import StartRun
from std_daq.telescope.pff import PRODUCTS, PffFile
from std_daq.telescope.pff.index import validate_index
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.pff_files import PffFiles, PffForm
from std_h5_writer.ring_reader import RunImage
from std_test_kit.small_disk import SmallDisk
from std_test_kit.telescope_boards import board_pixels

PH256 = PRODUCTS["ph256"]
NOW = datetime(2025, 8, 1, 10, 22, 13, tzinfo=UTC)
REPORT = RunReport(request_id="1", verdict=Verdict.COMPLETE, n_written=3)
FRAME_BYTES = 636


def image_of(number: int, module: int = 1, status: int = 0) -> RunImage[Image, ImageBuffer]:
    """Return an image of one board."""
    entries = np.zeros(1, MODULE_ENTRY)
    entries["module_id"], entries["daq_rec"] = module << 2 | 3, number << 16
    entries["first_arrival_ns"] = 1_754_043_733_000_000_000 + number * 1000
    nothing = decode_image_metadata(bytes(IMAGE_METADATA.itemsize))
    metadata = nothing._replace(id=number, frame_index=number, source_id=module, status=status)
    image = Image(board_pixels("ph256", number), number, encode(metadata), entries.tobytes())
    return RunImage(number, number, image, cast("ImageBuffer", None))


def files_of(index: Path, max_file_bytes: int = 10**9, owner: FileOwner | None = None, **request: Any) -> PffFiles:
    start = StartRun(
        run_id=1,
        request_id="1",
        request=WriteRequest(output_file=str(index), format="pff", **request),
        output_file=str(index),
        images_per_file=None,
    )
    return PffFiles(start, PffForm(PH256, max_file_bytes), owner or FileOwner(None), clock=lambda: NOW)


def append(files: PffFiles, run_image: RunImage) -> None:
    files.append(run_image, run_image.image.pixels, past_page_cache=False)


def numbers_in(path: Path) -> list[int]:
    with PffFile(path) as file:
        for frame in file:
            assert np.array_equal(frame.pixels, board_pixels("ph256", frame.header["pkt_num"]))
        return [frame.header["pkt_num"] for frame in file]


def run_of(folder: Path, module: int) -> Path:
    return folder / f"module_{module}" / "obs_night.start_2025-08-01T10:22:13Z.runtype_sci-data.pffd"


def test_each_module_has_its_run_directory_and_the_index_names_all(tmp_path: Path) -> None:
    files = files_of(tmp_path / "night.json", user_metadata={"target": "NGC 7331"})
    for number, module in ((1, 1), (2, 254), (3, 1)):
        append(files, image_of(number, module))
    files.finish(REPORT, lambda: None)
    name = "start_2025-08-01T10:22:13Z.dp_ph256.bpp_2.module_{}.seqno_0.pff"
    assert numbers_in(run_of(tmp_path, 1) / name.format(1)) == [1, 3]
    assert numbers_in(run_of(tmp_path, 254) / name.format(254)) == [2]
    assert (run_of(tmp_path, 1) / "recording_ended").read_text() == "2025-08-01T10:22:13Z\n"
    index = json.loads((tmp_path / "night.json").read_text())
    assert [tmp_path / path for path in index["files"]] == files.paths[1:]
    assert files.paths[0] == tmp_path / "night.json"
    assert index["report"]["verdict"] == "complete"
    assert index["request"]["user_metadata"] == {"target": "NGC 7331"}
    assert (files.n_written, files.n_flushed, files.n_bytes) == (3, 3, 3 * 512)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []


@pytest.mark.parametrize("limits", [{"images_per_file": 2}, {"max_file_bytes": 2 * FRAME_BYTES + 1}])
def test_files_have_a_limit_and_are_numbered(limits: dict[str, int], tmp_path: Path) -> None:
    files = files_of(tmp_path / "night.json", **limits)
    for number in range(5):
        append(files, image_of(number))
    files.finish(REPORT, lambda: None)
    assert [numbers_in(path) for path in files.paths[1:]] == [[0, 1], [2, 3], [4]]
    assert [path.name.split(".")[-2] for path in files.paths[1:]] == ["seqno_0", "seqno_1", "seqno_2"]


def test_image_that_was_overwritten_meanwhile_is_in_no_file(tmp_path: Path) -> None:
    files = files_of(tmp_path / "night.json")
    append(files, image_of(1))
    append(files, image_of(2, status=ImageStatus.MISSING_MODULES))
    files.drop_last(image_of(2, status=ImageStatus.MISSING_MODULES))
    append(files, image_of(3))
    assert files.unflushed_ids == [1, 3]
    files.flush()
    assert numbers_in(files.paths[1]) == [1, 3]
    assert (files.n_written, files.n_flushed, files.faults.n_images, files.unflushed_ids) == (2, 2, 0, [])
    files.finish(REPORT, lambda: None)


def test_what_is_flushed_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    files = files_of(tmp_path / "night.json")
    append(files, image_of(1))
    assert files.n_flushed == 0
    files.flush()
    append(files, image_of(2))
    assert files.n_flushed == 1
    assert numbers_in(files.paths[1]) == [1]
    assert json.loads((tmp_path / "night.json").read_text())["report"] is None
    files.finish(REPORT, lambda: None)


def test_index_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "night.json").write_text("mine")
    files = files_of(tmp_path / "night.json")
    with pytest.raises(FileExistsError):
        append(files, image_of(1))
    files.finish(REPORT, lambda: None)
    assert (tmp_path / "night.json").read_text() == "mine"
    assert files.paths == []


def test_run_directory_that_somebody_removes_is_told_with_its_images(tmp_path: Path) -> None:
    files = files_of(tmp_path / "night.json")
    for number, module in ((1, 1), (2, 254), (3, 1)):
        append(files, image_of(number, module))
    files.flush()
    shutil.rmtree(run_of(tmp_path, 1))
    assert files.find_vanished() == [1, 3]
    assert files.find_vanished() == []
    assert (files.n_vanished, files.n_flushed) == (2, 1)
    assert str(run_of(tmp_path, 1)) in files.explain_vanished()
    files.finish(REPORT, lambda: None)
    assert not run_of(tmp_path, 1).exists()


def test_images_of_another_detector_are_refused(tmp_path: Path) -> None:
    files = files_of(tmp_path / "night.json")
    with pytest.raises(FileFormatError, match="ph256"):
        files.append(image_of(1), np.zeros((16, 16), np.uint8), past_page_cache=False)
    files.finish(REPORT, lambda: None)
    with pytest.raises(FileFormatError, match="closed"):
        append(files, image_of(1))


def test_files_and_folders_have_the_modes_of_the_configuration(tmp_path: Path) -> None:
    owner = FileOwner(None, FileAccess(file_mode=0o640, folder_mode=0o750))
    files = files_of(tmp_path / "sub" / "night.json", images_per_file=1, owner=owner)
    append(files, image_of(1))
    append(files, image_of(2))
    files.finish(REPORT, lambda: None)
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "sub").rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o640}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o750}


def append_until_full(files: PffFiles) -> None:
    for number in range(1, 2000):
        append(files, image_of(number))
        files.flush()


def test_full_disk_is_an_error_and_what_was_flushed_stays(mount_folder: Path) -> None:
    disk = SmallDisk.in_memory(mount_folder, 256 * 1024)
    files = files_of(disk.folder / "night.json")
    append(files, image_of(0))
    with pytest.raises(OSError, match="No space left"):
        append_until_full(files)
    n_flushed = files.n_flushed
    files.salvage()
    assert files.n_flushed == n_flushed > 100
    with PffFile(files.paths[1]) as file:
        assert len(file) >= n_flushed
    with pytest.raises(OSError, match="No space left"):
        files.finish(REPORT, lambda: None)
    assert numbers_in(files.paths[1])[:n_flushed] == list(range(n_flushed))


def test_files_stay_in_the_folder_in_which_they_were_begun(tmp_path: Path) -> None:
    run, outside = tmp_path / "root" / "run", tmp_path / "outside"
    run.mkdir(parents=True)
    outside.mkdir()
    owner = FileOwner(None, roots=[run.parent])
    files = files_of(run / "a.json", 2 * FRAME_BYTES, owner)
    files.append(image_of(1), image_of(1).image.pixels, past_page_cache=False)
    run.rename(run.with_name("moved"))
    run.symlink_to(outside)
    for number in (2, 3):
        files.append(image_of(number), image_of(number).image.pixels, past_page_cache=False)
    files.append(image_of(4, module=1), image_of(4).image.pixels, past_page_cache=False)
    with pytest.raises(PermissionError, match="outside the allowed folders"):
        files.append(image_of(5, module=2), image_of(5).image.pixels, past_page_cache=False)
    with pytest.raises(PermissionError, match="outside the allowed folders"):
        files.finish(REPORT, lambda: None)
    assert list(outside.iterdir()) == []
    folder = next((run.parent / "moved" / "module_1").iterdir())
    assert len([path for path in folder.iterdir() if path.suffix == ".pff"]) > 1


def test_a_flipped_bit_in_a_pff_file_is_found_by_the_index(tmp_path: Path) -> None:
    index = tmp_path / "night.json"
    files = files_of(index, max_file_bytes=2 * FRAME_BYTES)
    files.append(image_of(1), image_of(1).image.pixels, past_page_cache=False)
    assert validate_index(index).problems[0].text.startswith("no verdict")
    for number in range(2, 6):
        append(files, image_of(number))
    files.finish(REPORT, lambda: None)
    report = validate_index(index)
    assert report.problems == []
    assert len(report.files) == 3
    path = tmp_path / report.files[1]
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    [problem] = validate_index(index).problems
    assert problem.text == f"{path} changed after it was written: wrong checksum"
    path.unlink()
    assert "there is no such file" in validate_index(index).problems[0].text
    index.write_text('{"files": 5}')
    assert "cannot be read as an index" in validate_index(index).problems[0].text
