"""Runs that fail, and what is saved and told of them."""

import errno
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import pytest

from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.protocols.image_metadata import ImageMetadata
from std_daq.recording.requests import Verdict
from std_daq.recording.store_stream import ReportKind
from std_h5_writer import file_owner
from std_test_kit.written_run import assert_holds, write_run


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
    assert failed.message == f"{path}: the file exists, and is never overwritten"
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
    assert failed.message == f"{tmp_path / 'file'}: Not a directory"


def test_a_run_for_a_user_whom_the_writer_cannot_be_fails_before_its_first_image(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_owner, "may_act_as_others", lambda: False)
    bench.make_ring()
    bench.agent.start(tmp_path / "a.h5", user_id=12345)
    failed = bench.step_until(ReportKind.FAILED)
    assert "cannot make files for user 12345; leave user out of the request" in failed.message
    assert bench.value("daq_writer_state", state="failed") == 1


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

    def fail(file: ImageFile, *_: Any) -> None:
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
