"""What a run leaves behind when its disk is full, read-only or gone, or when somebody removes its files."""

import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import pytest

from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.requests import Verdict
from std_daq.recording.store_stream import ReportKind, WriterReport
from std_test_kit.small_disk import SmallDisk
from std_test_kit.store_driver import pixels_of

SHAPE = (64, 128)
IMAGE_BYTES = 2 * SHAPE[0] * SHAPE[1]
PER_FILE = 5
# A disk on which some files of five images fit, and the room that a file holds for its end.
DISK_BYTES = 20 * IMAGE_BYTES + 1536 * 1024
ENDS = (*layout.END_VALUES, layout.END_CHECKSUM)


class Run:
    """A run of one writer with several files, whose images are sent one step at a time."""

    def __init__(self, bench: Any, path: Path, compression: str = "none") -> None:
        self.bench = bench
        self.path = path
        self.n_sent = 0
        bench.agent.start(path, images_per_file=PER_FILE, compression=compression, n_images=60)

    def send(self, n_images: int) -> None:
        """Send images, and wait until each is written or lost."""
        for _ in range(n_images):
            metadata = self.bench.publisher.publish(self.n_sent)
            self.bench.agent.send(metadata, self.n_sent)
            self.n_sent += 1
            while self.bench.n_handled < self.n_sent:
                self.bench.writer.step()

    def send_until_it_fails(self) -> None:
        while self.bench.writer.is_ready:
            assert self.n_sent < 600
            self.send(1)

    def end(self) -> WriterReport:
        """End the run as the agent does, and return the last report; it must come within seconds."""
        start = time.monotonic()
        self.bench.agent.end(self.n_sent)
        self.bench.step_until(ReportKind.DRAINED)
        self.bench.agent.finish(Verdict.FAILED, reason="because")
        report = self.bench.step_until(ReportKind.FINISHED)
        assert time.monotonic() - start < 5.0
        return report

    @property
    def reason(self) -> str:
        """What the writer has told about its failure; it must tell it once."""
        failed = [report.message for report in self.bench.agent.reports if report.kind is ReportKind.FAILED]
        [message] = failed or [self.bench.agent.wait_for(ReportKind.FAILED).message]
        return message

    @property
    def data_files(self) -> list[Path]:
        return layout.find_data_files(self.path)

    def assert_told_right(self, report: WriterReport) -> list[int]:
        """Check that each image is either in a file that is readable or told as lost; returns those in files."""
        ids: list[int] = []
        for path in self.data_files:
            ids += ids_in(path)
        assert sorted([*ids, *self.bench.agent.lost_image_ids]) == list(range(self.n_sent))
        assert report.n_written == report.n_flushed == len(ids)
        return ids


def ids_in(path: Path) -> list[int]:
    """Check the pixels of a file, and return the ids of its images."""
    with h5py.File(path) as file:
        ids: list[int] = file[layout.IMAGE_ID][:].tolist()
        assert file[layout.PIXELS].shape[0] == len(ids)
        for row, image_id in enumerate(ids):
            assert (file[layout.PIXELS][row] == pixels_of(image_id, SHAPE, "u2")).all()
    return ids


def bytes_but_the_end(path: Path) -> bytes:
    """Return the bytes of a file without those places that are kept for the end of the run."""
    data = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        for name in ENDS:
            dataset = file[name]
            offset = dataset.id.get_offset()
            data[offset : offset + dataset.dtype.itemsize] = bytes(dataset.dtype.itemsize)
    return bytes(data)


def verdict_of(path: Path) -> str:
    with h5py.File(path) as file:
        return str(file[layout.VERDICT].asstr()[()])


@pytest.fixture
def run(bench: Any, mount_folder: Path) -> Callable[..., tuple[Run, SmallDisk]]:
    def begin(make_disk: Callable[..., SmallDisk], *limits: int, **options: Any) -> tuple[Run, SmallDisk]:
        disk = make_disk(mount_folder, *limits)
        bench.make_ring(n_slots=64)
        return Run(bench, disk.folder / "a.h5", **options), disk

    return begin


Begin = Callable[..., tuple[Run, SmallDisk]]


@pytest.mark.parametrize("compression", ["none", "bslz4"])
@pytest.mark.parametrize("is_filled_by_others", [False, True])
def test_a_disk_that_gets_full_leaves_every_file_whole(run: Begin, compression: str, is_filled_by_others: bool) -> None:
    run_, disk = run(SmallDisk.in_memory, DISK_BYTES, compression=compression)
    run_.send(2 * PER_FILE + 2)
    closed = {path: bytes_but_the_end(path) for path in run_.data_files[:2]}
    if is_filled_by_others or compression == "bslz4":
        disk.fill()
    run_.send_until_it_fails()
    assert "No space left on device" in run_.reason
    run_.send(3)
    if is_filled_by_others:
        (disk.folder / "filler").touch()
        disk.fill()
    report = run_.end()
    run_.assert_told_right(report)
    if is_filled_by_others:  # else the ids of the lost images are added to the files
        assert {path: bytes_but_the_end(path) for path in closed} == closed
    for path in run_.data_files:
        assert validate(path).is_valid
        assert verdict_of(path) == "failed"


def test_ids_of_lost_images_that_do_not_fit_are_absent_and_never_zero(run: Begin) -> None:
    run_, disk = run(SmallDisk.in_memory, DISK_BYTES)
    run_.send(2 * PER_FILE + 2)
    disk.fill()
    run_.send_until_it_fails()
    run_.send(3)
    (disk.folder / "filler").touch()
    disk.fill()
    run_.end()
    n_lost = len(run_.bench.agent.lost_image_ids)
    assert n_lost > 3
    first, *_, last = run_.data_files
    with h5py.File(first) as file:
        assert file[layout.N_LOST][()] == n_lost
        assert file[layout.LOST_IMAGE_IDS].shape == (0,)
    with h5py.File(last) as file:  # the file that was open holds room for them
        assert file[layout.LOST_IMAGE_IDS][:].tolist() == run_.bench.agent.lost_image_ids
    assert any(f"{n_lost} of the {n_lost} lost images are not known" in p.text for p in validate(first).problems)


def test_ids_of_lost_images_are_in_every_file_if_they_fit(run: Begin) -> None:
    run_, disk = run(SmallDisk.in_memory, 4 * DISK_BYTES)
    run_.send(2 * PER_FILE + 2)
    disk.fill()
    run_.send_until_it_fails()
    disk.free()
    run_.end()
    for path in run_.data_files:
        with h5py.File(path) as file:
            assert file[layout.LOST_IMAGE_IDS][:].tolist() == run_.bench.agent.lost_image_ids


@pytest.mark.parametrize("n_files", [1, 2, 5])
def test_a_disk_that_can_hold_no_further_file_fails_the_run_at_that_file(run: Begin, n_files: int) -> None:
    run_, _ = run(SmallDisk.in_memory, 64 * DISK_BYTES, n_files)  # the folder itself counts as a file
    run_.send_until_it_fails()
    assert "No space left on device" in run_.reason
    report = run_.end()
    assert len(run_.data_files) == n_files - 1 == len(list(run_.path.parent.iterdir()))
    assert run_.assert_told_right(report) == list(range(PER_FILE * (n_files - 1)))
    assert all(validate(path).is_valid for path in run_.data_files)


def test_a_master_that_does_not_fit_leaves_nothing_and_is_written_later(run: Begin) -> None:
    run_, disk = run(SmallDisk.in_memory, 64 * DISK_BYTES)
    run_.send(2 * PER_FILE)
    run_.end()
    disk.fill()
    run_.bench.agent.master(run_.path, [str(path) for path in run_.data_files])
    assert "No space left on device" in run_.bench.step_until(ReportKind.FAILED).message
    disk.free()
    assert sorted(disk.folder.iterdir()) == run_.data_files
    assert recover(run_.path)[-1].n_images == 2 * PER_FILE
    assert validate(run_.path).is_valid
    assert ids_in(run_.path) == list(range(2 * PER_FILE))


@pytest.mark.parametrize("fault", ["make_read_only", "pull_out"])
def test_a_disk_that_takes_no_more_writes_leaves_closed_files_whole(run: Begin, fault: str) -> None:
    run_, disk = run(SmallDisk.on_device, 64 << 20)
    run_.send(2 * PER_FILE + 2)
    run_.bench.writer._flush_files(run_.bench.writer._run)
    closed = {path: path.read_bytes() for path in run_.data_files[:2]}
    getattr(disk, fault)()
    run_.send_until_it_fails()
    run_.send(3)
    report = run_.end()
    assert report.n_written == 2 * PER_FILE + 2
    assert run_.bench.agent.lost_image_ids == list(range(report.n_written, run_.n_sent))
    if fault == "make_read_only":
        assert {path: path.read_bytes() for path in closed} == closed
        assert all("no verdict" in validate(path).problems[0].text for path in closed)
        kept = run_.path.parents[1] / "kept"  # as on another disk, where they can be mended
        shutil.copytree(disk.folder, kept, ignore=shutil.ignore_patterns("lost+found"))
        n_images = recover(kept / run_.path.name)[-1].n_images
        assert ids_in(kept / run_.path.name) == list(range(n_images))
        assert n_images >= report.n_written


def test_a_file_is_refused_on_a_read_only_disk_and_leaves_nothing(run: Begin) -> None:
    run_, disk = run(SmallDisk.on_device, 64 << 20)
    disk.make_read_only()
    run_.send_until_it_fails()
    assert "Read-only file system" in run_.reason
    assert run_.end().n_written == 0
    assert run_.data_files == []


@pytest.fixture
def begun(bench: Any, tmp_path: Path) -> Run:
    """A run with two closed files and an open one."""
    bench.make_ring(n_slots=64)
    run_ = Run(bench, tmp_path / "data" / "a.h5")
    run_.send(2 * PER_FILE + 2)
    return run_


def assert_ends_with_lost(begun: Run, lost: list[int], reason: str) -> None:
    report = begun.end()
    assert reason in begun.reason
    assert begun.assert_told_right(report)
    assert sorted(begun.bench.agent.lost_image_ids) == lost


def test_images_of_a_closed_file_that_somebody_removed_are_lost(begun: Run) -> None:
    begun.data_files[0].unlink()
    assert_ends_with_lost(begun, list(range(PER_FILE)), "a_data_000001.h5: the file was removed or moved during the")
    assert {verdict_of(path) for path in begun.data_files} == {"failed"}


def test_images_of_an_open_file_that_somebody_removed_are_lost(begun: Run) -> None:
    begun.data_files[2].unlink()
    begun.send(1)
    assert_ends_with_lost(begun, [10, 11, 12], "a_data_000003.h5: the file was removed during the run")


def test_a_removed_file_fails_the_run_at_the_next_flush_and_not_at_its_end(begun: Run) -> None:
    begun.data_files[2].unlink()
    while begun.bench.writer.is_ready:
        begun.bench.writer.step()
    assert "removed during the run" in begun.reason


def test_a_removed_folder_loses_all_images_and_the_next_run_is_written(begun: Run) -> None:
    shutil.rmtree(begun.path.parent)
    begun.send(1)
    report = begun.end()
    assert report.n_written == 0
    assert sorted(begun.bench.agent.lost_image_ids) == list(range(begun.n_sent))


def test_a_renamed_folder_is_told_with_its_new_place_where_the_open_file_is_whole(begun: Run) -> None:
    there = begun.path.parent.rename(begun.path.parents[1] / "moved")
    begun.send(1)
    begun.end()
    assert f"moved to {there}/a_data_000003.h5" in begun.reason
    assert ids_in(there / "a_data_000003.h5") == [10, 11, 12]
    assert verdict_of(there / "a_data_000003.h5") == "failed"
    assert all(len(ids_in(path)) for path in there.iterdir())


def test_a_file_that_somebody_put_in_the_place_of_a_closed_one_is_left_alone(begun: Run) -> None:
    begun.data_files[0].write_bytes(b"mine")
    begun.end()
    assert "not an HDF5 file" in begun.reason
    assert begun.data_files[0].read_bytes() == b"mine"
    assert [verdict_of(path) for path in begun.data_files[1:]] == ["failed", "failed"]


def test_a_write_that_fails_while_a_data_file_is_closed_ends_neither_the_writer_nor_the_file(
    begun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = ImageFile.close

    def fail(file: ImageFile) -> None:
        monkeypatch.setattr(ImageFile, "close", close)
        file.close()
        raise OSError(errno.EIO, "Input/output error", str(file.path))

    begun.send(3)
    monkeypatch.setattr(ImageFile, "close", fail)
    begun.send(1)
    assert_ends_with_lost(begun, [15], "Input/output error")
