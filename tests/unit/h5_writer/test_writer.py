"""What a writer makes of what the agent tells it, step by step."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import numpy as np
import pytest

from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.validate import validate
from std_daq.imaging.protocols.image_metadata import ImageMetadata
from std_daq.imaging.protocols.store_image import STORE_IMAGE
from std_daq.recording.requests import Verdict
from std_daq.recording.store_stream import ReportKind
from std_h5_writer.ring_reader import RunImage
from std_test_kit.store_driver import REQUEST_ID, missing_packets_of, pixels_of

SHAPE = (64, 128)
DTYPES = ["u1", "u2", "u4", "i2", "i4", "f4", "f8"]


def assert_holds(path: Path, image_ids: list[int], dtype: str = "u2", shape: tuple[int, int] = SHAPE) -> None:
    """Check pixels and everything that is known of each image of a file."""
    with h5py.File(path) as file:
        assert file[layout.IMAGE_ID][:].tolist() == image_ids
        assert file[layout.PIXELS].shape == (len(image_ids), *shape)
        assert file[layout.PIXELS].dtype == np.dtype(dtype)
        for row, image_id in enumerate(image_ids):
            assert (file[layout.PIXELS][row] == pixels_of(image_id, shape, dtype)).all(), image_id
        assert file[layout.PULSE_ID][:].tolist() == [i + 1000 for i in image_ids]
        assert file[layout.FRAME_INDEX][:].tolist() == [i + 2000 for i in image_ids]
        assert file[layout.TIMESTAMP_NS][:].tolist() == [i + 3000 for i in image_ids]
        assert file[layout.MISSING_PACKETS][:].tolist() == [missing_packets_of(i) for i in image_ids]
        assert file[layout.STATUS][:].tolist() == [int(any(missing_packets_of(i))) for i in image_ids]


def write_run(bench: Any, path: Path, image_ids: range, **options: Any) -> list[str]:
    """Write a run whose images are sent one step at a time; returns its files."""
    bench.agent.start(path, **options)
    n_before = bench.n_handled
    for i, image_id in enumerate(image_ids):
        bench.agent.send(bench.publisher.publish(image_id), i)
        while bench.n_handled <= n_before + i:
            bench.writer.step()
    bench.agent.end(len(image_ids))
    bench.step_until(ReportKind.DRAINED)
    bench.agent.finish()
    return bench.step_until(ReportKind.FINISHED).files


@pytest.mark.parametrize("compression", ["none", "bslz4"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_images_of_every_type_are_in_the_file_to_the_byte(
    bench: Any, tmp_path: Path, dtype: str, compression: str
) -> None:
    bench.make_ring(dtype=dtype)
    path = tmp_path / "new" / "folder" / "a.h5"
    files = write_run(bench, path, range(100, 140), compression=compression)
    assert files == [str(path)]
    assert_holds(path, list(range(100, 140)), dtype)
    report = bench.agent.reports[-1]
    assert (report.n_written, report.n_flushed, report.n_incomplete) == (40, 40, 6)
    assert bench.agent.lost_image_ids == []
    assert bench.value("daq_writer_images_written_total") == 40
    assert bench.value("daq_writer_image_write_seconds_count") == 40
    assert bench.value("daq_writer_written_bytes_total") == report.n_bytes > 0
    assert bench.value("daq_run_state", state="idle") == 1


def test_the_file_tells_request_configuration_calibration_mask_and_verdict(bench: Any, tmp_path: Path) -> None:
    ring = bench.make_ring().ring
    ring.write_notes({"calibration": [{"index": 0, "files": [{"role": "gain", "path": "/g.h5", "sha256": "ab"}]}]})
    path = tmp_path / "a.h5"
    write_run(bench, path, range(3), n_images=3, user_metadata={"sample": "salt"})
    with h5py.File(path) as file:
        assert json.loads(file[layout.CONFIGURATION][()])["detector_name"] == "writer-test"
        assert json.loads(file[layout.REQUEST][()])["user_metadata"] == {"sample": "salt"}
        assert json.loads(file[layout.CALIBRATIONS][0]) == {"index": 0, "files": {"/g.h5": "ab"}}
        assert set(json.loads(file[layout.VERSIONS][()])) == {"std-daq", "python", "h5py", "hdf5"}
        assert file[layout.REQUEST_ID].asstr()[()] == REQUEST_ID
        assert file[layout.VERDICT].asstr()[()] == "complete"
        assert file[f"{layout.DETECTOR}/pixel_mask"][3, 5] == 1
        assert file[f"{layout.DETECTOR}/pixel_mask_applied"][()] == 1
        assert file[f"{layout.DETECTOR}/bit_depth_readout"][()] == 32
        assert file[f"{layout.DETECTOR_SPECIFIC}/bit_depth"][()] == 16
        assert file[f"{layout.DETECTOR}/x_pixel_size"][()] == 75e-6


def test_experiment_of_the_request_is_in_the_file_with_a_gap_for_a_lost_image(bench: Any, tmp_path: Path) -> None:
    bench.make_ring()
    path = tmp_path / "a.h5"
    axis = {"name": "omega", "vector": [-1, 0, 0], "start_deg": 10, "increment_deg": 0.5}
    bench.agent.start(path, n_images=5, experiment={"distance_m": 0.15, "goniometer": [axis]})
    for i, exposure in enumerate((0, 1, 3, 4)):
        bench.agent.send(bench.publisher.publish(exposure), i, i_exposure=exposure)
    while bench.n_handled < 4:
        bench.writer.step()
    bench.agent.end(4)
    bench.step_until(ReportKind.DRAINED)
    bench.agent.finish()
    bench.step_until(ReportKind.FINISHED)
    with h5py.File(path) as file:
        assert file[f"{layout.SAMPLE_TRANSFORMATIONS}/omega"][:].tolist() == [10, 10.5, 11.5, 12]
        assert file[f"{layout.TRANSFORMATIONS}/distance"][()] == 0.15
        assert json.loads(file[layout.REQUEST][()])["experiment"]["distance_m"] == 0.15


def test_files_folders_and_master_have_the_mode_of_the_configuration(make_bench: Any, tmp_path: Path) -> None:
    bench = make_bench(writer={"file_mode": "0640", "folder_mode": "2750", "group": str(os.getegid())})
    bench.make_ring()
    path = tmp_path / "new" / "run.h5"
    files = write_run(bench, path, range(4), images_per_file=2)
    bench.agent.master(path, files)
    bench.step_until(ReportKind.MASTER_WRITTEN)
    made = [path.parent, path, *map(Path, files)]
    assert [one.stat().st_mode & 0o7777 for one in made] == [0o2750, 0o640, 0o640, 0o640]


def test_files_tell_every_calibration_that_was_applied_and_to_which_images(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring()
    sets = [
        {"index": index, "files": [{"role": "gain", "path": "/g.h5", "sha256": f"sum {index}"}]} for index in (6, 7, 8)
    ]
    publisher.ring.write_notes({"calibration": sets})
    bench.agent.start(tmp_path / "a.h5", images_per_file=4)
    for i, calibration in enumerate([6, 6, 6, 7, 7, 8, 8]):
        bench.agent.send(publisher.publish(i, calibration), i)
    bench.agent.end(7)
    files = bench.step_until(ReportKind.DRAINED).files
    bench.agent.finish()
    bench.step_until(ReportKind.FINISHED)
    bench.agent.master(tmp_path / "a.h5", files)
    bench.step_until(ReportKind.MASTER_WRITTEN)
    for path, applied, told in [
        (Path(files[0]), [6, 6, 6, 7], [6, 7]),
        (Path(files[1]), [7, 8, 8], [7, 8]),
        (tmp_path / "a.h5", [6, 6, 6, 7, 7, 8, 8], [6, 7, 8]),
    ]:
        with h5py.File(path) as file:
            assert file[layout.CALIBRATION][:].tolist() == applied
            calibrations = [json.loads(text) for text in file[layout.CALIBRATIONS]]
            assert calibrations == [{"index": i, "files": {"/g.h5": f"sum {i}"}} for i in told]


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_images_that_were_overwritten_before_they_were_written_are_lost_by_id(
    bench: Any, tmp_path: Path, compression: str
) -> None:
    publisher = bench.make_ring(n_slots=8)
    path = tmp_path / "a.h5"
    bench.agent.start(path, compression=compression)
    for i in range(20):
        bench.agent.send(publisher.publish(i), i)
    bench.agent.end(20)
    drained = bench.step_until(ReportKind.DRAINED)
    bench.agent.finish()
    bench.step_until(ReportKind.FINISHED)
    assert drained.n_written == 8
    assert bench.agent.lost_image_ids == list(range(12))
    assert_holds(path, list(range(12, 20)))
    with h5py.File(path) as file:
        assert file[layout.LOST_IMAGE_IDS][:].tolist() == list(range(12))
    assert bench.value("daq_writer_images_lost_total") == 12


class OverwriteDuringWrite:
    """Lets images be overwritten in the ring while they are being written."""

    def __init__(self, bench: Any, monkeypatch: pytest.MonkeyPatch, image_ids: set[int]) -> None:
        append = ImageFile.append

        def append_and_overwrite(
            file: ImageFile, chunk: Any, metadata: ImageMetadata, *rest: Any, **flags: Any
        ) -> None:
            if metadata.id in image_ids:
                for _ in range(bench.publisher.ring.n_slots):
                    bench.publisher.publish(10_000)
            append(file, chunk, metadata, *rest, **flags)

        monkeypatch.setattr(ImageFile, "append", append_and_overwrite)


@pytest.mark.parametrize("overwritten", [{0}, {3}, {3, 4, 5}, {9}, set(range(10))])
def test_an_image_that_is_overwritten_while_it_is_written_leaves_no_row(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwritten: set[int]
) -> None:
    publisher = bench.make_ring()
    OverwriteDuringWrite(bench, monkeypatch, overwritten)
    path = tmp_path / "a.h5"
    bench.agent.start(path)
    for i in range(10):
        bench.agent.send(publisher.publish(i), i)
        while bench.n_handled <= i:
            bench.writer.step()
    bench.agent.end(10)
    bench.step_until(ReportKind.DRAINED)
    bench.agent.finish()
    bench.step_until(ReportKind.FINISHED)
    assert bench.agent.lost_image_ids == sorted(overwritten)
    assert_holds(path, [i for i in range(10) if i not in overwritten])


def test_runs_with_many_files_keep_one_open_and_give_the_verdict_to_all(bench: Any, tmp_path: Path) -> None:
    bench.make_ring()
    path = tmp_path / "a.h5"
    n_open = []
    step = bench.writer.step

    def step_and_count() -> None:
        step()
        targets = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
        n_open.append(len({target for target in targets if target.startswith(str(tmp_path))}))

    bench.writer.step = step_and_count
    files = write_run(bench, path, range(60), images_per_file=2, n_images=60)
    assert files == [str(layout.data_file_path(path, number)) for number in range(1, 31)]
    assert max(n_open) == 1
    for number, name in enumerate(files):
        assert_holds(Path(name), [2 * number, 2 * number + 1])
        with h5py.File(name) as file:
            assert file[layout.MASTER_FILE].asstr()[()] == "a.h5"
            assert file[layout.VERDICT].asstr()[()] == "incomplete"
    bench.agent.master(path, files)
    bench.step_until(ReportKind.MASTER_WRITTEN)
    assert_holds(path, list(range(60)))
    assert [problem.text for problem in validate(path).problems if problem.severity == "error"] == []


def test_a_data_file_whose_images_were_all_overwritten_does_not_spoil_the_master(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.make_ring()
    OverwriteDuringWrite(bench, monkeypatch, {2, 3})
    path = tmp_path / "a.h5"
    files = write_run(bench, path, range(6), images_per_file=2)
    bench.agent.master(path, files)
    bench.step_until(ReportKind.MASTER_WRITTEN)
    assert_holds(path, [0, 1, 4, 5])


def test_a_master_that_exists_already_is_left_alone(bench: Any, tmp_path: Path) -> None:
    bench.make_ring()
    path = tmp_path / "a.h5"
    files = write_run(bench, path, range(4), images_per_file=2)
    path.write_bytes(b"mine")
    bench.agent.master(path, files)
    failed = bench.step_until(ReportKind.FAILED)
    assert "never overwritten" in failed.message
    assert path.read_bytes() == b"mine"
    assert bench.writer.is_ready


def test_a_file_that_appeared_meanwhile_fails_the_run_and_the_next_one_is_written(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring()
    path = tmp_path / "a.h5"
    path.write_bytes(b"mine")
    bench.agent.start(path)
    for i in range(3):
        bench.agent.send(publisher.publish(i), i)
    failed = bench.step_until(ReportKind.FAILED)
    assert failed.message == f"{path}: the file exists, and image files are never overwritten"
    assert not bench.writer.is_ready
    bench.agent.end(3)
    assert bench.step_until(ReportKind.DRAINED).n_written == 0
    assert bench.agent.lost_image_ids == [0, 1, 2]
    bench.agent.finish(Verdict.FAILED)
    assert bench.step_until(ReportKind.FINISHED).files == []
    assert path.read_bytes() == b"mine"
    assert bench.writer.is_ready
    write_run(bench, tmp_path / "b.h5", range(5))
    assert_holds(tmp_path / "b.h5", list(range(5)))


def test_a_folder_that_cannot_be_made_is_named(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring()
    (tmp_path / "file").write_bytes(b"")
    bench.agent.start(tmp_path / "file" / "below" / "a.h5")
    bench.agent.send(publisher.publish(1), 0)
    failed = bench.step_until(ReportKind.FAILED)
    assert failed.message == f"{tmp_path / 'file' / 'below'}: Not a directory"


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_a_write_error_fails_the_run_and_saves_what_was_written(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    publisher = bench.make_ring()
    path = tmp_path / "a.h5"
    append = ImageFile.append

    def fail_at_five(file: ImageFile, chunk: Any, metadata: ImageMetadata, *rest: Any, **flags: Any) -> None:
        if metadata.id == 5:
            raise OSError(errno.ENOSPC, "cannot write image 5: No space left on device", str(file.path))
        append(file, chunk, metadata, *rest, **flags)

    monkeypatch.setattr(ImageFile, "append", fail_at_five)
    bench.agent.start(path, compression=compression)
    for i in range(10):
        bench.agent.send(publisher.publish(i), i)
    bench.agent.end(10)
    drained = bench.step_until(ReportKind.DRAINED)
    [failed] = [report for report in bench.agent.reports if report.kind is ReportKind.FAILED]
    assert "No space left on device" in failed.message
    assert (drained.n_written, drained.n_flushed) == (5, 5)
    assert bench.agent.lost_image_ids == [5, 6, 7, 8, 9]
    bench.agent.finish(Verdict.FAILED, reason=failed.message)
    bench.step_until(ReportKind.FINISHED)
    assert_holds(path, [0, 1, 2, 3, 4])
    with h5py.File(path) as file:
        assert file[layout.VERDICT].asstr()[()] == "failed"


def test_images_that_could_not_be_saved_at_the_end_are_lost(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = bench.make_ring()

    def fail(file: ImageFile, report: Any) -> None:
        file._has_failed = True  # as ImageFile leaves it
        file.close()
        raise OSError(errno.EIO, "Input/output error", str(file.path))

    bench.agent.start(tmp_path / "a.h5")
    for i in range(3):
        bench.agent.send(publisher.publish(i), i)
    bench.step_until(ReportKind.PROGRESS)
    monkeypatch.setattr(ImageFile, "finish", fail)
    bench.agent.finish()
    finished = bench.step_until(ReportKind.FINISHED)
    assert "Input/output error" in finished.message
    assert (finished.n_written, bench.agent.lost_image_ids) == (0, [0, 1, 2])


def test_lost_images_are_told_again_to_an_agent_that_was_restarted(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring(n_slots=8)
    bench.agent.start(tmp_path / "a.h5")
    for i in range(20):
        bench.agent.send(publisher.publish(i), i)
    bench.step_until(ReportKind.PROGRESS)
    while not bench.agent.lost_image_ids:
        bench.step_until(ReportKind.PROGRESS)
    told = list(bench.agent.lost_image_ids)
    n_before = len(bench.agent.reports)
    bench.agent.end(None)
    bench.step_until(ReportKind.DRAINED)
    again = [report for report in bench.agent.reports[n_before:] if report.lost_image_ids]
    assert again[0].n_lost_before == 0
    assert told == list(range(len(told)))
    assert [image_id for report in again for image_id in report.lost_image_ids] == list(range(12))


def test_a_new_run_closes_the_files_of_an_abandoned_one_as_failed(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring()
    bench.agent.start(tmp_path / "a.h5", compression="bslz4")
    for i in range(5):
        bench.agent.send(publisher.publish(i), i)
    bench.agent.start(tmp_path / "b.h5", run_id=42)
    assert bench.step_until(ReportKind.FINISHED).run_id == 41
    assert_holds(tmp_path / "a.h5", list(range(5)))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file[layout.VERDICT].asstr()[()] == "failed"
        assert "began another run" in file[layout.REASON].asstr()[()]
    bench.agent.send(publisher.publish(7), 0, run_id=42)
    bench.agent.end(1, run_id=42)
    assert bench.step_until(ReportKind.DRAINED).n_written == 1


def test_a_run_that_is_started_twice_is_one_run(bench: Any, tmp_path: Path) -> None:
    bench.make_ring()
    bench.agent.start(tmp_path / "a.h5")
    write_run(bench, tmp_path / "a.h5", range(3))
    assert_holds(tmp_path / "a.h5", [0, 1, 2])


def test_messages_of_an_unknown_run_are_left_aside_and_counted(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring()
    bench.agent.send(publisher.publish(1), 0, run_id=5)
    bench.agent.end(1, run_id=5)
    bench.agent.finish(run_id=5)
    bench.writer.step()
    while bench.value("daq_writer_messages_ignored_total") < 3:
        bench.writer.step()
    write_run(bench, tmp_path / "a.h5", range(3))
    assert {report.run_id for report in bench.agent.reports} <= {None, 41}


def test_images_that_never_arrived_end_the_run_after_a_time_and_are_told(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("std_h5_writer.writer.MISSING_IMAGES_TIMEOUT_S", 0.1)
    publisher = bench.make_ring()
    bench.agent.start(tmp_path / "a.h5")
    bench.agent.send(publisher.publish(1), 0)
    bench.agent.end(3)
    drained = bench.step_until(ReportKind.DRAINED)
    assert drained.n_written == 1
    assert drained.message == "2 images were sent but never arrived"


def test_an_end_without_a_number_waits_a_little_for_images(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("std_h5_writer.writer.MISSING_IMAGES_TIMEOUT_S", 0.1)
    publisher = bench.make_ring()
    bench.agent.start(tmp_path / "a.h5")
    bench.agent.end(None)
    bench.agent.send(publisher.publish(1), 0)
    drained = bench.step_until(ReportKind.DRAINED)
    assert (drained.n_written, drained.message) == (1, "")


def test_a_run_without_images_makes_no_file(bench: Any, tmp_path: Path) -> None:
    assert write_run(bench, tmp_path / "a.h5", range(0)) == []
    assert not (tmp_path / "a.h5").exists()


def test_a_ring_that_comes_later_is_attached(bench: Any, tmp_path: Path) -> None:
    bench.agent.start(tmp_path / "a.h5")
    bench.writer.step()
    publisher = bench.make_ring()
    bench.agent.send(publisher.publish(1), 0)
    bench.agent.end(1)
    assert bench.step_until(ReportKind.DRAINED).n_written == 1


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_a_replaced_ring_is_attached_and_images_of_the_old_one_are_not_taken_from_it(
    bench: Any, tmp_path: Path, compression: str
) -> None:
    old = bench.make_ring(n_slots=8)
    bench.agent.start(tmp_path / "a.h5", compression=compression)
    bench.agent.send(old.publish(1), 0)
    bench.agent.send(old.publish(2), 1)
    bench.step_until(ReportKind.PROGRESS)
    unread = old.publish(3)
    unread["sequence"] = 0  # as if it had been read too late
    old.close()
    new = bench.make_ring(n_slots=9)
    bench.agent.send(new.publish(4), 2)
    bench.agent.send(unread, 3)
    bench.agent.end(4)
    assert bench.step_until(ReportKind.DRAINED).n_written == 3
    assert bench.agent.lost_image_ids == [3]
    bench.agent.finish()
    bench.step_until(ReportKind.FINISHED)
    assert_holds(tmp_path / "a.h5", [1, 2, 4])


def test_images_that_change_their_type_in_a_run_fail_it(bench: Any, tmp_path: Path) -> None:
    old = bench.make_ring(dtype="u2")
    bench.agent.start(tmp_path / "a.h5", compression="bslz4")
    bench.agent.send(old.publish(1), 0)
    bench.step_until(ReportKind.PROGRESS)
    old.close()
    new = bench.make_ring(dtype="u4")
    bench.agent.send(new.publish(2), 1)
    assert "changed from uint16 64x128 to uint32 64x128" in bench.step_until(ReportKind.FAILED).message


def test_a_ring_that_does_not_fit_the_pixel_mask_fails_the_run(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring(shape=(8, 8))
    bench.agent.start(tmp_path / "a.h5")
    bench.agent.send(publisher.publish(1), 0)
    assert "pixel mask of shape (64, 128) does not fit" in bench.step_until(ReportKind.FAILED).message


def test_a_stopped_writer_writes_what_it_was_sent_and_closes_the_file_as_failed(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring()
    path = tmp_path / "a.h5"
    bench.agent.start(path, compression="bslz4")
    bench.writer.step()
    for i in range(6):
        bench.agent.send(publisher.publish(i), i)
    bench.step_until(ReportKind.PROGRESS)
    bench.close_writer()
    assert_holds(path, list(range(6)))
    with h5py.File(path) as file:
        assert file[layout.VERDICT].asstr()[()] == "failed"
        assert file[layout.REASON].asstr()[()] == "the writer was stopped"
    assert bench.agent.wait_for(ReportKind.FAILED).message == "the writer was stopped"


def test_readers_see_images_after_the_flush_interval(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring()
    path = tmp_path / "a.h5"
    bench.agent.start(path)
    bench.agent.send(publisher.publish(1), 0)
    while bench.step_until(ReportKind.PROGRESS).n_flushed < 1:
        pass
    script = "import h5py, sys; print(h5py.File(sys.argv[1], 'r', swmr=True)[sys.argv[2]].shape[0])"
    seen = subprocess.check_output([sys.executable, "-c", script, path, layout.IMAGE_ID], timeout=60)
    assert int(seen) == 1


def test_the_writer_says_that_it_is_alive_without_taking_a_step(bench: Any) -> None:
    first = bench.agent.wait_for(ReportKind.ALIVE, timeout_s=1.5)
    assert bench.agent.wait_for(ReportKind.ALIVE, timeout_s=1.5).instance == first.instance


def test_more_lost_images_than_fit_into_a_report_are_all_told(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("std_h5_writer.run.MAX_LOST_IDS_A_REPORT", 5)
    monkeypatch.setattr("std_h5_writer.writer.MAX_LOST_IDS_A_REPORT", 5)
    publisher = bench.make_ring(n_slots=4)
    bench.agent.start(tmp_path / "a.h5")
    for i in range(37):
        bench.agent.send(publisher.publish(i), i)
    bench.agent.end(37)
    bench.step_until(ReportKind.DRAINED)
    assert bench.agent.lost_image_ids == list(range(33))
    assert max(len(report.lost_image_ids) for report in bench.agent.reports) == 5


def test_garbage_is_counted_and_harmless(bench: Any, tmp_path: Path) -> None:
    bench.make_ring()
    for message in (b"", b"I", b"I" + bytes(143), b"J{}", b"J{", b"X" * 1000):
        bench.writer._handle_message(message)
    assert bench.value("daq_writer_messages_ignored_total") == 6
    write_run(bench, tmp_path / "a.h5", range(3))


def test_the_lag_behind_the_ring_is_told(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring()
    first = publisher.publish(0)
    for i in range(1, 6):
        publisher.publish(i)
    bench.agent.start(tmp_path / "a.h5")
    bench.agent.send(first, 0)
    bench.step_until(ReportKind.PROGRESS)
    while bench.value("daq_ring_lag_images", reader="h5-writer-0") != 5:
        bench.writer.step()


def test_an_image_knows_when_it_is_no_longer_intact(bench: Any) -> None:
    publisher = bench.make_ring(n_slots=4)
    assert bench.ring.attach()
    publisher.publish(1)
    store_image = np.zeros(1, STORE_IMAGE)
    store_image["metadata"]["id"] = 1
    found = bench.ring.find(store_image)
    assert isinstance(found, RunImage)
    assert found.image.is_intact()
    for i in range(4):
        publisher.publish(i)
    assert not found.image.is_intact()
    assert bench.ring.find(store_image) is None


def test_reports_of_progress_tell_the_files_once(bench: Any, tmp_path: Path) -> None:
    bench.make_ring()
    write_run(bench, tmp_path / "a.h5", range(8), images_per_file=2)
    told = [report.files for report in bench.agent.reports if report.kind is ReportKind.PROGRESS and report.files]
    assert told == sorted(told, key=len)
    assert len({len(files) for files in told}) == len(told)
    assert len(bench.agent.reports[-1].files) == 4


@pytest.mark.parametrize("compression", ["none", "bslz4"])
@pytest.mark.parametrize("is_direct", [True, False])
def test_large_images_go_past_the_page_cache_if_that_is_wanted(
    make_bench: Callable[..., Any], tmp_path: Path, is_direct: bool, compression: str
) -> None:
    shape = (514, 1030)
    bench = make_bench(image_pixel_height=shape[0], image_pixel_width=shape[1], writer={"direct_io": is_direct})
    bench.make_ring(shape=shape)
    path = tmp_path / "a.h5"
    write_run(bench, path, range(10), compression=compression)
    assert_holds(path, list(range(10)), shape=shape)
    n_direct = bench.value("daq_writer_images_written_directly_total")
    assert n_direct >= 8 if is_direct and compression == "none" else n_direct == 0


def test_a_large_image_that_is_overwritten_while_it_is_written_leaves_no_row(
    make_bench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (514, 1030)
    bench = make_bench(image_pixel_height=shape[0], image_pixel_width=shape[1])
    bench.make_ring(shape=shape)
    overwritten = {2, 3, 8}
    OverwriteDuringWrite(bench, monkeypatch, overwritten)
    path = tmp_path / "a.h5"
    write_run(bench, path, range(10))
    assert bench.agent.lost_image_ids == sorted(overwritten)
    assert_holds(path, [i for i in range(10) if i not in overwritten], shape=shape)
    assert 5 <= bench.value("daq_writer_images_written_directly_total") <= 7
