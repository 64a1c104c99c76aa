"""Errors that nobody foresaw end a run, with the reason, and not the writer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from std_daq.folders.new_file import NewFile
from std_daq.imaging.files import image_file
from std_daq.imaging.files.image_file import ImageFile
from std_daq.recording.store_stream import ReportKind
from std_h5_writer import image_file_maker
from std_h5_writer.run_files import RunFiles

# Kinds and texts, not errors: an error keeps the frames in which it was raised, and with them the ring.
ERRORS = [
    (RuntimeError, "Unable to create group (wrong fractal heap header signature)"),
    (ValueError, "Not a location id (invalid object ID)"),
    (KeyError, "Unable to open object (object 'data' does not exist)"),
    (TypeError, "Object dtype dtype('O') has no native HDF5 equivalent"),
    (OverflowError, "value too large"),
    (MemoryError, "no memory"),
    (ZeroDivisionError, "nobody thought of it"),
]


def failing(kind: type[Exception], text: str) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise kind(text)

    return fail


def write_one(bench: Any, path: Path, first_id: int) -> Any:
    bench.agent.start(path)
    bench.agent.send(bench.publisher.publish(first_id), 0)
    bench.agent.end(1)
    bench.step_until(ReportKind.DRAINED)
    bench.agent.finish()
    return bench.step_until(ReportKind.FINISHED)


@pytest.mark.parametrize(("kind", "text"), ERRORS)
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (image_file, "write_structure"),
        (NewFile, "appear"),
        (ImageFile, "append"),
        (ImageFile, "flush"),
        (ImageFile, "finish"),
        (ImageFile, "add_calibration"),
        (RunFiles, "append"),
        (RunFiles, "finish"),
    ],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
def test_run_fails_with_the_reason_and_the_next_one_is_written(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, kind: type[Exception], text: str
) -> None:
    bench.make_ring()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing(kind, text))
        write_one(bench, tmp_path / "bad.h5", 1)
    failures = [report.message for report in bench.agent.reports if report.kind is ReportKind.FAILED]
    assert len(failures) == 1
    assert text.split("(")[0].split("'")[0] in failures[0]
    bench.agent.reports.clear()
    report = write_one(bench, tmp_path / "good.h5", 2)
    assert (report.n_written, report.message) == (1, "")


def test_master_that_cannot_be_written_for_any_reason_is_reported(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_file_maker, "write_master", failing(RuntimeError, "some HDF5 error"))
    bench.make_ring()
    bench.agent.master(tmp_path / "run.h5", [])
    assert "cannot be written: RuntimeError('some HDF5 error')" in bench.step_until(ReportKind.FAILED).message
    assert write_one(bench, tmp_path / "good.h5", 1).n_written == 1


def test_message_that_cannot_be_handled_is_counted_and_the_next_one_is_handled(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.make_ring()
    with monkeypatch.context() as patch:
        patch.setattr(image_file_maker, "RunFiles", failing(RuntimeError, "?"))
        bench.agent.start(tmp_path / "bad.h5")
        while not bench.value("daq_writer_messages_ignored_total"):
            bench.writer.step()
    assert write_one(bench, tmp_path / "good.h5", 1).n_written == 1
