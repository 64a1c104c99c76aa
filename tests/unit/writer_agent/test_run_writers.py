"""Writers that are not there, are silent, restart, fail or do not get on."""

import pytest

from std_daq.imaging.protocols.store_image import STORE_IMAGE
from std_daq.recording.requests import Verdict
from std_daq.recording.store_stream import (
    EndRun,
    FinishRun,
    ReportKind,
    StartRun,
    WriteMaster,
    WriterReport,
    decode,
)
from std_test_kit.run_stage import RUN_ID, Stage, plan_of
from std_test_kit.store_writer import FakeStoreWriter
from std_writer_agent.run import LAST_WORDS_S, RunState


def test_writer_that_is_not_there_is_named() -> None:
    stage = Stage(plan_of(2, n_images=10, n_files=2), FakeStoreWriter(0))
    stage.tick(6)
    assert stage.report.verdict is Verdict.FAILED
    assert stage.report.reason == "h5_writer 1 does not report: is it running?"
    assert stage.sent(StartRun) == []


def test_writer_that_comes_up_in_time_is_waited_for() -> None:
    writer = FakeStoreWriter()
    stage = Stage(plan_of(n_images=1))
    stage.tick(3)
    stage.replace(writer)
    stage.tick(1)
    stage.feed([0])
    assert stage.report.verdict is Verdict.COMPLETE


def test_writer_restarted_before_its_first_image_begins_again() -> None:
    stage = Stage(plan_of(n_images=2), FakeStoreWriter())
    stage.replace(FakeStoreWriter())
    stage.feed([0, 1])
    assert stage.report.verdict is Verdict.COMPLETE
    assert len(stage.sent(StartRun)) == 2


def test_restarted_writer_fails_the_run_and_loses_what_was_not_flushed() -> None:
    first, second = FakeStoreWriter(0), FakeStoreWriter(1)
    stage = Stage(plan_of(2, n_images=100, images_per_file=10), first, second)
    stage.feed(range(5))
    stage.tell(first.flush())
    stage.feed(range(5, 15))
    stage.replace(FakeStoreWriter(0))
    stage.tick(LAST_WORDS_S)
    report = stage.report
    assert report.verdict is Verdict.FAILED
    assert "h5_writer 0 was restarted during the run" in report.reason
    assert "std-daq recover /data/run_000000.h5" in report.reason
    assert "no master file" in report.reason
    assert report.n_written == 5 + 5
    assert report.lost_image_ids == tuple(range(5, 10))
    assert second.reports[0].verdict is Verdict.FAILED


def test_last_reports_of_a_writer_count_that_are_read_after_the_first_one_of_its_successor() -> None:
    writer = FakeStoreWriter()
    stage = Stage(plan_of(n_images=100), writer)
    stage.feed(range(31))
    stage.tell(writer.flush())
    last = writer.alive().model_copy(
        update={"run_id": RUN_ID, "n_written": 31, "n_flushed": 31, "files": ["/data/run.h5"], "message": "stopped"}
    )
    stage.tell(last.model_copy(update={"kind": ReportKind.FAILED, "n_flushed": 30}))
    stage.replace(FakeStoreWriter())
    stage.tell(last.model_copy(update={"kind": ReportKind.FINISHED}))
    report = stage.report
    assert (report.verdict, report.n_written, report.n_lost) == (Verdict.FAILED, 31, 0)
    assert report.reason == "h5_writer 0: stopped"


def test_writer_restarted_after_it_has_finished_fails_nothing() -> None:
    class LateToTell(FakeStoreWriter):
        def handle(self, message: bytes) -> list[WriterReport]:
            reports = super().handle(message)
            late.extend(report for report in reports if report.kind is ReportKind.FINISHED)
            return [report for report in reports if report.kind is not ReportKind.FINISHED]

    late: list[WriterReport] = []
    stage = Stage(plan_of(n_images=2), LateToTell())
    stage.feed([0, 1])
    stage.replace(FakeStoreWriter())
    stage.tell(late[0])
    assert stage.report.verdict is Verdict.COMPLETE


def test_unflushed_ids_leave_out_what_was_reported_as_overwritten() -> None:
    writer = FakeStoreWriter(overwritten={1, 5})
    stage = Stage(plan_of(n_images=100), writer)
    stage.feed(range(4))
    stage.tell(writer.flush())
    stage.feed(range(4, 8))
    stage.tell(writer.alive())
    stage.replace(FakeStoreWriter())
    stage.tick(LAST_WORDS_S)
    assert stage.report.n_written == 3
    assert stage.report.lost_image_ids == (1, 4, 5, 6, 7)
    assert stage.report.n_lost == 5


def test_silent_writer_is_lost_after_the_time_limit() -> None:
    stage = Stage(plan_of(n_images=100, image_timeout_s=1000), FakeStoreWriter())
    stage.feed(range(4))
    stage.paused = {0}
    stage.tick(29)
    assert stage.run.state is RunState.RUNNING
    stage.tick(2)
    assert stage.report.verdict is Verdict.FAILED
    assert "h5_writer 0 reported nothing for 30 s" in stage.report.reason
    assert stage.report.lost_image_ids == (0, 1, 2, 3)


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("images_per_file", [None, 2])
def test_measured_values_are_handed_over_once_and_only_to_writers_that_are_there(
    images_per_file: int | None, is_lost: bool
) -> None:
    stage = Stage(plan_of(n_images=4, images_per_file=images_per_file), FakeStoreWriter())
    stage.feed(range(2))
    stage.paused = {0} if is_lost else set()
    stage.feed(range(2, 4))
    stage.tick(40)
    assert stage.report.verdict is (Verdict.FAILED if is_lost else Verdict.COMPLETE)
    assert stage.n_handed_over == (not is_lost)
    sent = [*stage.sent(FinishRun), *stage.sent(WriteMaster)]
    assert sum(bool(message.logs) for message in sent) == (not is_lost)


def test_writer_without_images_may_be_silent() -> None:
    stage = Stage(plan_of(n_images=2, first_image_timeout_s=1000), FakeStoreWriter())
    stage.paused = {0}
    stage.tick(100)
    stage.feed([0, 1])
    stage.paused = set()
    stage.tick(1)
    assert stage.report.verdict is Verdict.COMPLETE


class StuckWriter(FakeStoreWriter):
    def handle(self, message: bytes) -> list[WriterReport]:
        return []


def test_writer_that_lives_but_does_not_get_on_is_given_up() -> None:
    stage = Stage(plan_of(n_images=2), StuckWriter())
    stage.feed([0, 1])
    stage.tick(32)
    assert "h5_writer 0 made no progress for 30 s" in stage.report.reason
    assert stage.report.n_lost == 2


def test_writer_may_take_longer_to_close_many_files() -> None:
    class SlowToClose(FakeStoreWriter):
        def handle(self, message: bytes) -> list[WriterReport]:
            return [] if isinstance(decode(message, STORE_IMAGE), FinishRun) else super().handle(message)

    stage = Stage(plan_of(n_images=2), SlowToClose())
    stage.feed([0, 1])
    stage.tick(200)
    assert stage.run.state is RunState.FINISHING
    stage.tick(110)
    assert "h5_writer 0 made no progress for 300 s" in stage.report.reason


def test_report_that_makes_no_sense_harms_nothing() -> None:
    writer = FakeStoreWriter()
    stage = Stage(plan_of(n_images=3), writer)
    stage.feed([0])
    absurd = {"run_id": RUN_ID, "n_written": 2**62, "n_flushed": 2**62, "n_incomplete": 5, "lost_image_ids": [99] * 10}
    stage.tell(writer.alive().model_copy(update=absurd))
    stage.tell(writer.alive().model_copy(update={"writer": 7}))
    stage.feed([1, 2])
    assert stage.report.n_lost == 0


def test_drained_writer_may_wait_for_another() -> None:
    class SlowWriter(FakeStoreWriter):
        n_reports = 0

        def alive(self) -> WriterReport:
            self.n_reports += 1
            return super().alive().model_copy(update={"n_written": self.n_reports})

    slow = SlowWriter(1)
    stage = Stage(plan_of(2, n_images=200, images_per_file=100), FakeStoreWriter(0), slow)
    original, slow.handle = slow.handle, lambda message: []  # type: ignore[method-assign]
    stage.feed(range(200))
    stage.tick(50)
    assert stage.run.state is RunState.DRAINING
    slow.handle = original  # type: ignore[method-assign]
    assert stage.run.report(stage.now).verdict is not Verdict.FAILED


def test_full_disk_ends_the_run_at_once() -> None:
    first, second = FakeStoreWriter(0, fail_at=3), FakeStoreWriter(1)
    stage = Stage(plan_of(2, n_images=100, images_per_file=2), first, second)
    stage.tell(first.flush())
    stage.feed(range(20))
    report = stage.report
    assert report.verdict is Verdict.FAILED
    assert "h5_writer 0: no space left on device" in report.reason
    assert report.n_written + report.n_lost == 20
    assert report.n_written == 10
    assert [len(stage.sent(EndRun)), len(first.reports), len(second.reports)] == [2, 2, 1]
    assert report.lost_image_ids == (0, 1, 4, 5, 8, 9, 12, 13, 16, 17)


def test_reports_of_another_run_are_only_a_sign_of_life() -> None:
    writer = FakeStoreWriter()
    stage = Stage(plan_of(n_images=2), writer)
    stage.feed([0])
    stage.tell(writer.alive().model_copy(update={"run_id": 1, "n_written": 50, "kind": "failed"}))
    stage.feed([1])
    assert stage.report.verdict is Verdict.COMPLETE
