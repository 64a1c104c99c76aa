"""Writing of merged files: both layouts, events that are dropped, and files whose writer was killed."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.errors import FileFormatError
from std_daq.folders.open_folder import OpenFolder
from std_daq.recording.file_access import FileAccess
from std_daq.recording.repair import RECOVERED
from std_daq.recording.requests import RunReport, Verdict
from std_daq.tpc.merged.description import MergedFileDescription
from std_daq.tpc.merged.event_log import EventLog, LoggedEvent, log_path, read_log
from std_daq.tpc.merged.layout import SILICON, Layout
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.merged.recover import recover_merged
from std_daq.tpc.merged.writer import MergedFileWriter
from std_test_kit.merged_files import make_traces
from std_test_kit.small_disk import SmallDisk

REPORT = RunReport(request_id="7", verdict=Verdict.INCOMPLETE, n_written=3, n_lost=2, lost_image_ids=(103, 104))
NO_TRACES = np.zeros((0, 517), np.int16)


def describe(layout: Layout = Layout.V1_0) -> MergedFileDescription:
    return MergedFileDescription(
        layout=layout, request_id="7", request_json='{"output_file": "/f.h5", "n_images": 9}', versions={"std-daq": "1"}
    )


def logged(n: int, missing: bytes = b"", epoch: int = 0) -> LoggedEvent:
    return LoggedEvent(100 + n, epoch, 1000 + n, 2000 + n, not missing, (), missing)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def append(writer: MergedFileWriter, n: int, missing: bytes = b"", epoch: int = 0) -> None:
    writer.append(logged(n, missing, epoch), [make_traces(n, 5 + n)])


def check_events(path: Path, n_events: int) -> None:
    with MergedFile(path) as file:
        assert file.numbers == list(range(n_events))
        for event in file:
            np.testing.assert_array_equal(event.traces, make_traces(event.n, 5 + event.n))
            assert (event.id, event.timestamp, event.timestamp_other) == (100 + event.n, 1000 + event.n, 2000 + event.n)


def test_a_file_of_layout_1_has_what_the_field_reads_and_the_further_attributes(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    writer = MergedFileWriter.create(path, describe())
    append(writer, 0)
    append(writer, 1, b"\x03\x01\x03\x02", epoch=4)
    append(writer, 2, epoch=4)
    writer.finish(REPORT)
    check_events(path, 3)
    assert names(tmp_path) == ["f.h5"]
    with h5py.File(path) as file:
        events = file["events"]
        numbers = {name: events.attrs[name] for name in events.attrs if name not in {"version", "incomplete_events"}}
        assert numbers == {
            "min_event": 0, "max_event": 2, "min_get_ts": 1000, "max_get_ts": 1002,
            "frib_run": 0, "frib_start": 0, "frib_stop": 0, "frib_time": 0,
        }  # fmt: skip
        assert all(number.dtype == ("u4" if name.startswith("frib") else "u8") for name, number in numbers.items())
        assert events.attrs["version"] == "libattpc_merger:1.0"
        assert h5py.check_string_dtype(events.attrs.get_id("version").dtype) == ("utf-8", None)
        np.testing.assert_array_equal(events.attrs["incomplete_events"], np.array([1], "u8"), strict=True)
        traces, attrs = events["event_1/get_traces"], events["event_1"].attrs
        assert (traces.dtype, traces.chunks, traces.compression) == (np.int16, None, None)
        assert {name: traces.attrs[name].dtype.str for name in traces.attrs} == {
            "id": "<u4", "timestamp": "<u8", "timestamp_other": "<u8",
        }  # fmt: skip
        assert (attrs["epoch"], attrs["epoch"].dtype, attrs["complete"], attrs["complete"].dtype) == (4, "u4", 0, "u1")
        np.testing.assert_array_equal(attrs["missing_boards"], np.array([[3, 1], [3, 2]], "u1"), strict=True)
        assert events["event_0"].attrs["missing_boards"].shape == (0, 2)
        assert RunReport.model_validate_json(file.attrs["report"]).verdict is Verdict.INCOMPLETE
        assert file.attrs["lost_event_ids"].tolist() == [103, 104]


def test_a_file_of_layout_2_has_a_dataset_for_each_detector(tmp_path: Path) -> None:
    parts = [make_traces(1, 4), *[make_traces(10 + k, k) for k in range(4)]]
    writer = MergedFileWriter.create(tmp_path / "f.h5", describe(Layout.V2_0))
    writer.append(logged(0), parts)
    writer.finish(REPORT)
    with MergedFile(tmp_path / "f.h5") as file:
        event = file.read(0)
        assert (file.version, file.layout, event.id) == ("libattpc_merger:2.0", Layout.V2_0, 100)
        for name, part in zip(SILICON, parts[1:], strict=True):
            np.testing.assert_array_equal(event.silicon[name], part)
        np.testing.assert_array_equal(event.traces, parts[0])
        assert event.missing_boards is not None
        assert event.missing_boards.shape == (0, 2)


@pytest.mark.parametrize("n_traces", [0, 1])
def test_an_event_may_have_no_traces(tmp_path: Path, n_traces: int) -> None:
    writer = MergedFileWriter.create(tmp_path / "f.h5", describe())
    writer.append(logged(0), [make_traces(0, n_traces)])
    writer.finish(REPORT)
    with MergedFile(tmp_path / "f.h5") as file:
        assert file.read(0).traces.shape == (n_traces, 517)


def test_a_file_without_events_is_a_merged_file(tmp_path: Path) -> None:
    MergedFileWriter.create(tmp_path / "f.h5", describe()).finish(REPORT)
    with MergedFile(tmp_path / "f.h5") as file:
        assert (len(file), file.layout, file.attributes["max_event"]) == (0, Layout.V1_0, 0)


@pytest.mark.long
def test_more_incomplete_events_than_an_old_attribute_can_hold_are_all_named(tmp_path: Path) -> None:
    writer = MergedFileWriter.create(tmp_path / "f.h5", describe())
    for n in range(8200):
        writer.append(logged(n, b"\0\1"), [NO_TRACES])
    writer.finish(REPORT)
    with MergedFile(tmp_path / "f.h5") as file:
        assert file.attributes["incomplete_events"].tolist() == list(range(8200))


@pytest.mark.long
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12))
def test_what_is_dropped_leaves_no_trace(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("drop")
    writer = MergedFileWriter.create(folder / "f.h5", describe())
    kept: list[NDArray[np.int16]] = []
    for number, (n_traces, is_dropped) in enumerate(steps):
        traces = make_traces(number, n_traces)
        writer.append(logged(number, b"\1\1" if is_dropped else b""), [traces])
        if is_dropped:
            writer.drop_last()
        else:
            kept.append(traces)
    writer.finish(REPORT)
    with MergedFile(folder / "f.h5") as file:
        assert len(file) == len(kept)
        assert file.attributes["incomplete_events"].size == 0
        for event, traces in zip(file, kept, strict=True):
            np.testing.assert_array_equal(event.traces, traces)


def test_a_safe_event_cannot_be_dropped(tmp_path: Path) -> None:
    writer = MergedFileWriter.create(tmp_path / "f.h5", describe())
    append(writer, 0)
    assert writer.n_safe == 0
    writer.flush()
    assert writer.n_safe == 1
    with pytest.raises(FileFormatError, match="is safe"):
        writer.drop_last()
    writer.finish(REPORT)


_WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import test_writer as t
writer = t.MergedFileWriter.create(Path(sys.argv[1]), t.describe())
for n in range(6):
    t.append(writer, n, b"\\x03\\x01" if n == 4 else b"")
    if n == 4:
        writer.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_file_of_a_killed_writer_is_made_again_with_all_events_that_were_safe(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    folders = [str(Path(__file__).parent), *sys.path]
    died = subprocess.run([sys.executable, "-c", _WRITE_AND_DIE, str(path), *folders], check=False)
    assert died.returncode == -9
    path.chmod(0o640)
    with pytest.raises(FileFormatError, match=r"std-daq recover .*f\.h5"):
        MergedFile(path)
    recovery = recover_merged(path)
    assert (recovery.n_images, recovery.noun) == (5, "events")
    assert path.stat().st_mode & 0o777 == 0o640
    check_events(path, 5)
    with MergedFile(path) as file:
        report = RunReport.model_validate_json(file.run_attributes["report"])
        assert (report.verdict, report.n_written, report.n_incomplete, report.n_requested) == (Verdict.FAILED, 5, 1, 9)
        assert RECOVERED in report.reason
        assert report.faults["missing_boards"].boards == ((3, 1),)
        assert file.attributes["incomplete_events"].tolist() == [4]
    assert names(tmp_path) == ["f.h5"]
    assert recover_merged(path).actions == ()


def _abandoned(path: Path, n_events: int = 3) -> None:
    writer = MergedFileWriter.create(path, describe())
    for n in range(n_events):
        append(writer, n)
    writer.flush()
    writer.abandon()


def test_a_repair_that_is_killed_can_be_made_again(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    _abandoned(path)
    (tmp_path / ".f.h5.k3x7q2a.partial").write_bytes(b"left by an earlier repair")
    assert recover_merged(path).n_images == 3
    check_events(path, 3)


def test_a_log_without_the_end_of_its_last_record_gives_the_events_before_it(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    _abandoned(path)
    log = log_path(path)
    os.truncate(log, log.stat().st_size - 3)
    assert recover_merged(path).n_images == 2
    check_events(path, 2)


def test_a_file_that_was_cut_gives_the_events_whose_traces_are_there(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    _abandoned(path)
    _, records = read_log(log_path(path))
    os.truncate(path, [*records][2].places[0][0] + 100)
    assert recover_merged(path).n_images == 2
    check_events(path, 2)


def test_a_whole_file_whose_log_is_left_only_loses_the_log(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    writer = MergedFileWriter.create(path, describe())
    append(writer, 0)
    writer.flush()
    left = log_path(path).read_bytes()
    writer.finish(REPORT)
    log_path(path).write_bytes(left)
    before = path.read_bytes()
    assert recover_merged(path).actions == ("event log removed: the file is whole",)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["f.h5"]


def test_a_damaged_log_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    _abandoned(path)
    before = path.read_bytes()
    log_path(path).write_bytes(b"STDMLOG2\x05\0\0\0hello")
    with pytest.raises(FileFormatError, match="beginning of the event log is damaged"):
        recover_merged(path)
    assert path.read_bytes() == before


def test_a_file_that_is_being_written_is_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    writer = MergedFileWriter.create(path, describe())
    try:
        with pytest.raises(FileFormatError, match="open in another process"):
            recover_merged(path)
    finally:
        writer.finish(REPORT)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_neither_a_file_nor_the_log_of_a_killed_writer_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "f.h5").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        MergedFileWriter.create(tmp_path / "f.h5", describe())
    assert (tmp_path / "f.h5").read_bytes() == b"mine"
    _abandoned(tmp_path / "g.h5")
    (tmp_path / "g.h5").rename(tmp_path / "moved.h5")
    with pytest.raises(FileExistsError, match="std-daq recover"):
        MergedFileWriter.create(tmp_path / "g.h5", describe())
    assert names(tmp_path) == [".g.h5.eventlog", "f.h5", "moved.h5"]


def test_a_file_that_was_removed_is_told_at_the_next_flush(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    writer = MergedFileWriter.create(path, describe())
    append(writer, 0)
    path.unlink()
    assert writer.is_removed
    with pytest.raises(FileNotFoundError, match="removed during the run"):
        writer.flush()
    writer.abandon()


def test_file_and_log_get_the_mode_that_is_asked_for(tmp_path: Path) -> None:
    writer = MergedFileWriter.create(tmp_path / "f.h5", describe(), access=FileAccess(file_mode=0o640))
    assert log_path(tmp_path / "f.h5").stat().st_mode & 0o777 == 0o640
    writer.finish(REPORT)
    assert (tmp_path / "f.h5").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_refuses_an_event_and_leaves_a_whole_file(mount_folder: Path) -> None:
    path = SmallDisk.in_memory(mount_folder, 20_000_000).folder / "f.h5"
    writer = MergedFileWriter.create(path, describe())
    traces = make_traces(0, 500)

    def fill() -> None:
        while writer.n_events < 10_000:
            writer.append(logged(writer.n_events), [traces])

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        fill()
    assert caught.value.errno == errno.ENOSPC
    writer.finish(REPORT)
    with MergedFile(path) as file:
        assert len(file) == writer.n_events > 0
        for event in file:
            np.testing.assert_array_equal(event.traces, traces)


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_whatever_follows_in_a_log_the_records_before_it_are_read(
    tmp_path_factory: pytest.TempPathFactory, rubbish: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    with OpenFolder.open(path.parent) as folder:
        log = EventLog(path, folder, {"layout": "1.0"})
    events = [LoggedEvent(5, 1, 2, 3, is_complete=False, places=((8, 1), (9, 0)), missing_boards=b"\1\2"), logged(1)]
    for event in events:
        log.append(event)
    log.close(is_needed=True)
    with path.open("ab") as file:
        file.write(b"".join(rubbish))
    head, records = read_log(path)
    assert (head, [*records][:2]) == ({"layout": "1.0"}, events)
