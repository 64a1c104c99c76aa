"""What a writer makes of what the agent tells it, step by step."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import pytest

from std_daq.imaging.files import layout
from std_daq.imaging.files.validate import validate
from std_daq.recording.store_stream import ReportKind
from std_test_kit.store_driver import REQUEST_ID
from std_test_kit.written_run import assert_holds, write_run

DTYPES = ["u1", "u2", "u4", "i2", "i4", "f4", "f8"]


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
    assert bench.value("daq_writer_state", state="idle") == 1


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


@pytest.mark.long
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


def test_a_writer_that_is_done_says_so_again_to_an_agent_that_was_started_again(bench: Any, tmp_path: Path) -> None:
    """Without that the new agent would wait for a writer that waits for it, and give it up after writer_timeout_s."""
    ring = bench.make_ring()
    bench.agent.start(tmp_path / "a.h5")
    for i in range(3):
        bench.agent.send(ring.publish(i), i)
    bench.agent.end(3)
    first = bench.step_until(ReportKind.DRAINED)
    bench.agent.end(None)
    again = bench.step_until(ReportKind.DRAINED)
    assert again == first
    assert again.n_written == 3
    bench.agent.finish()
    assert bench.step_until(ReportKind.FINISHED).files == [str(tmp_path / "a.h5")]


def test_a_writer_that_failed_says_so_again_to_an_agent_that_was_started_again(bench: Any, tmp_path: Path) -> None:
    ring = bench.make_ring()
    (tmp_path / "a.h5").write_bytes(b"was here before")
    bench.agent.start(tmp_path / "a.h5")
    bench.agent.send(ring.publish(0), 0)
    failed = bench.step_until(ReportKind.FAILED)
    bench.agent.end(None)
    assert bench.step_until(ReportKind.FAILED).message == failed.message != ""
    assert bench.step_until(ReportKind.DRAINED).lost_image_ids == []
    assert bench.agent.lost_image_ids == [0, 0]


def test_a_run_without_images_makes_no_file(bench: Any, tmp_path: Path) -> None:
    assert write_run(bench, tmp_path / "a.h5", range(0)) == []
    assert not (tmp_path / "a.h5").exists()


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


def test_garbage_is_counted_and_harmless(bench: Any, tmp_path: Path) -> None:
    bench.make_ring()
    for message in (b"", b"I", b"I" + bytes(143), b"J{}", b"J{", b"X" * 1000):
        bench.writer._handle_message(message)
    assert bench.value("daq_writer_messages_ignored_total") == 6
    write_run(bench, tmp_path / "a.h5", range(3))


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
