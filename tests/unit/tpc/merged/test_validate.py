"""Validation of merged files: what is sound, and what is told about files that are not."""

import random
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.recording.requests import RunReport, Verdict
from std_daq.tpc.merged.description import MergedFileDescription
from std_daq.tpc.merged.event_log import LoggedEvent
from std_daq.tpc.merged.layout import Layout
from std_daq.tpc.merged.validate import MergedReport, validate_merged
from std_daq.tpc.merged.writer import MergedFileWriter
from std_test_kit.merged_files import WRITERS, make_traces, write_1_0


def write(path: Path, verdict: Verdict = Verdict.COMPLETE, missing: bytes = b"", **report: object) -> None:
    writer = MergedFileWriter.create(path, MergedFileDescription(layout=Layout.V1_0))
    for n in range(3):
        event = LoggedEvent(100 + n, 0, 1000 + n, 0, not (missing and n == 1), (), missing if n == 1 else b"")
        writer.append(event, [make_traces(n, 6)])
    writer.finish(RunReport(request_id="7", verdict=verdict, **{"n_written": 3, **report}))  # type: ignore[arg-type]


def texts(report: MergedReport) -> list[str]:
    return [f"{problem.severity}: {problem.text}" for problem in report.problems]


def test_a_complete_run_is_sound_and_described(tmp_path: Path) -> None:
    write(tmp_path / "f.h5", n_requested=3)
    report = validate_merged(tmp_path / "f.h5")
    assert report.problems == []
    assert [*report.lines()] == [
        "layout    1.0, libattpc_merger:1.0",
        "run       complete",
        "events    3 of 3, traces of 3 read: 18",
        "ids       100 to 102",
    ]
    assert report.to_json()["is_valid"] is True


def test_a_run_with_missing_boards_is_sound_if_its_verdict_says_so(tmp_path: Path) -> None:
    write(tmp_path / "f.h5", Verdict.INCOMPLETE, b"\3\1\3\2", reason="1 event with missing boards", n_incomplete=1)
    report = validate_merged(tmp_path / "f.h5")
    assert report.is_valid
    assert texts(report) == ["warning: the run ended as incomplete: 1 event with missing boards"]
    assert (report.n_incomplete, report.missing_boards) == (1, {"[3, 1]": 1, "[3, 2]": 1})


@pytest.mark.parametrize("kind", WRITERS)
def test_files_of_other_programs_are_sound(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](tmp_path / "f.h5")
    report = validate_merged(tmp_path / "f.h5")
    assert report.is_valid, report.problems
    assert report.n_events_read == report.n_events
    assert texts(report) == (
        ["warning: 1 numbers between the first event and the last have no event"] if kind == "harmonizer" else []
    )


def _set(path: str, name: str, value: object) -> Callable[[h5py.File], None]:
    def damage(file: h5py.File) -> None:
        file[path].attrs[name] = value

    return damage


def _trace(row: int, column: int, value: int) -> Callable[[h5py.File], None]:
    def damage(file: h5py.File) -> None:
        file["events/event_1/get_traces"][row, column] = value

    return damage


def _delete(path: str) -> Callable[[h5py.File], None]:
    def damage(file: h5py.File) -> None:
        del file[path]

    return damage


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_set("events", "max_event", np.uint64(3)), "error: max_event is 3 instead of 2"),
        (_set("events", "version", "2.0"), "error: one of the attributes request_id, request, configuration"),
        (_set("events", "incomplete_events", np.array([1], "u8")), "error: incomplete_events does not name"),
        (_set("events/event_1", "complete", np.uint8(0)), "error: event_1: complete and missing_boards disagree"),
        (_set("events/event_1/get_traces", "id", np.uint32(100)), "error: 1 events have run and id of another event"),
        (_set("/", "report", ""), "error: no verdict"),
        (_set("/", "report", "{"), "error: the attribute report is damaged"),
        (_set("/", "lost_event_ids", np.array([101], "u8")), "error: 1 events are listed as lost but are in the file"),
        (_trace(2, 3, 68), "error: event_1: traces of channels that the electronics do not have"),
        (_trace(2, 1, -1), "error: event_1: traces of channels that the electronics do not have"),
        (_trace(2, 3, 1), "error: event_1: two traces of a channel"),
        (_trace(0, 4, 20000), "error: event_1: rows do not ascend in column 4"),
        (_trace(5, 516, 4096), "error: event_1: samples beyond 12 bits"),
        (_delete("events/event_1/get_traces"), "error: event_1: it has data neither of the chamber nor"),
        (_delete("events/event_1"), "error: the report says 3 events, but the file has 2"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, damage: Callable[[h5py.File], None], problem: str
) -> None:
    path = tmp_path / "f.h5"
    write(path)
    with h5py.File(path, "r+") as file:
        damage(file)
    report = validate_merged(path)
    assert any(text.startswith(problem) for text in texts(report)), texts(report)
    assert report.is_valid == problem.startswith("warning")


def test_a_version_that_nobody_knows_is_a_warning(tmp_path: Path) -> None:
    write_1_0(tmp_path / "f.h5", version="2.0")
    report = validate_merged(tmp_path / "f.h5")
    assert "warning: the version '2.0' is none that programs of the field know" in texts(report)


def test_a_verdict_that_hides_losses_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "f.h5", n_lost=2)
    assert "error: the verdict is complete, but 2 events are lost and 0 not complete" in texts(
        validate_merged(tmp_path / "f.h5")
    )


def test_a_file_whose_writer_was_killed_is_no_sound_file(tmp_path: Path) -> None:
    writer = MergedFileWriter.create(tmp_path / "f.h5", MergedFileDescription(layout=Layout.V1_0))
    writer.abandon()
    (problem,) = validate_merged(tmp_path / "f.h5").problems
    assert problem.text == "it is being written, or its writer was killed: its event log is there"
    assert problem.remedy.endswith(f"std-daq recover {tmp_path / 'f.h5'}")


def test_a_file_that_is_cut_off_is_told_to_be_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    write(path)
    path.write_bytes(path.read_bytes()[:3000])
    (text,) = texts(validate_merged(path))
    assert text.startswith("error: cannot be read: ")


def test_a_limit_reads_the_first_the_last_and_some_between(tmp_path: Path) -> None:
    WRITERS["1.0"](tmp_path / "f.h5")
    report = validate_merged(tmp_path / "f.h5", max_events_read=2)
    assert (report.n_events, report.n_events_read, report.first_id, report.last_id) == (3, 2, 100, 102)


def test_no_flipped_bit_in_the_data_of_a_file_stays_unknown(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    write(path)
    sound, choose = path.read_bytes(), random.Random(6)
    with h5py.File(path) as file:
        traces: list[h5py.Dataset] = []
        file.visititems(lambda _, item: traces.append(item) if isinstance(item, h5py.Dataset) else None)
        places = [(one.id.get_offset(), one.nbytes) for one in traces if one.nbytes]
    places += [(sound.find(text), len(text)) for text in (b"libattpc_merger", b'"n_written"')]
    for offset, n_bytes in choose.choices(places, k=15):
        data = bytearray(sound)
        data[offset + choose.randrange(n_bytes)] ^= 1 << choose.randrange(8)
        path.write_bytes(data)
        assert not validate_merged(path).is_valid
    path.write_bytes(sound)
    assert validate_merged(path).is_valid
