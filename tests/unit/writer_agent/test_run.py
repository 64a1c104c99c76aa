from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.imaging.protocols.store_image import STORE_IMAGE
from std_daq.recording.requests import Action, FaultCount, RunReport, Verdict, WriteRequest, new_request_id
from std_daq.recording.store_stream import (
    EndRun,
    FinishRun,
    ReportKind,
    StartRun,
    WriteMaster,
    WriterReport,
    decode,
    encode_entries,
    encode_run_message,
)
from std_test_kit.store_writer import FakeStoreWriter
from std_writer_agent.effects import Announce, DropUnsent, Effect, End, KeepReport, SendImages, SendMessage
from std_writer_agent.part import WriterPart
from std_writer_agent.plan import RunPlan, images_per_file
from std_writer_agent.roster import WriterRoster
from std_writer_agent.run import AgentRun, RunState

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN_ID = 7
FILE = "/data/run.h5"


def images(frames: Iterable[int], *, epoch: int = 0) -> NDArray[Any]:
    frames = list(frames)
    entries = np.zeros(len(frames), IMAGE_METADATA)
    entries["frame_index"] = entries["id"] = frames
    entries["epoch"] = epoch
    return entries


def plan_of(n_writers: int = 1, **fields: Any) -> RunPlan:
    request = WriteRequest(output_file=FILE, **fields)
    return RunPlan(
        run_id=RUN_ID,
        request_id=new_request_id(),
        request=request,
        output_file=FILE,
        images_per_file=images_per_file(request),
        n_writers=n_writers,
        first_image_timeout_s=request.first_image_timeout_s or 60.0,
        image_timeout_s=request.image_timeout_s or 10.0,
        writer_timeout_s=30.0,
        max_data_files=900,
    )


class Stage:
    """A run with its writers, a clock, and queues from the run to each writer; a paused writer takes nothing."""

    def __init__(self, plan: RunPlan, *writers: FakeStoreWriter, found: RunReport | None = None) -> None:
        self.now = 1000.0
        self.writers = {writer.writer: writer for writer in writers}
        self.paused: set[int] = set()
        self.queues: dict[int, list[bytes]] = {writer: [] for writer in range(plan.n_writers)}
        self.roster = WriterRoster()
        self.effects: list[Effect] = []
        self.seen = ""
        self.run = AgentRun(plan, self.roster, self.now, START, found=found, see=lambda: self.seen)
        self.tick(0)

    def feed(self, frames: Iterable[int], *, epoch: int = 0, n_unread: int = 0) -> None:
        self.do(self.run.feed_images(images(frames, epoch=epoch), n_unread, self.now))

    def tell(self, report: WriterReport) -> None:
        self.roster.feed(report, self.now)
        self.do(self.run.feed_report(report, self.now))

    def tick(self, seconds: float) -> None:
        """Let time go by: once a second writers report and the run is polled."""
        end = self.now + seconds
        while True:
            for writer in list(self.writers.values()):
                if writer.writer not in self.paused:
                    self.tell(writer.alive())
            self.do(self.run.poll(self.now))
            if self.now >= end:
                return
            self.now = min(self.now + 1.0, end)

    def do(self, effects: list[Effect]) -> None:
        self.effects += effects
        for effect in effects:
            match effect:
                case SendImages(writer=writer, images=sent):
                    self.queues[writer] += encode_entries(sent)
                case SendMessage(writer=writer, message=message):
                    self.queues[writer].append(encode_run_message(message))
                case DropUnsent(writer=writer):
                    self.queues[writer].clear()
        self.deliver()

    def deliver(self) -> None:
        for index, writer in list(self.writers.items()):
            while index not in self.paused and self.queues[index]:
                for report in writer.handle(self.queues[index].pop(0)):
                    self.tell(report)

    def replace(self, writer: FakeStoreWriter) -> None:
        """Another process takes the place of a writer; what waited for the old one is gone with it."""
        self.queues[writer.writer].clear()
        self.writers[writer.writer] = writer
        self.tell(writer.alive())

    def sent(self, kind: type) -> list[Any]:
        messages = [effect.message for effect in self.effects if isinstance(effect, SendMessage)]
        return [message for message in messages if isinstance(message, kind)]

    def actions(self) -> list[Action]:
        return [effect.action for effect in self.effects if isinstance(effect, Announce)]

    @property
    def report(self) -> RunReport:
        (end,) = [effect for effect in self.effects if isinstance(effect, End)]
        assert self.run.state is RunState.ENDED
        return end.report


WRONG_LENGTH = "5120 packets of 1072 bytes came, 4144 were expected: is the detector set to 1 Gb?"


def progress_of(stage: Stage) -> list[str]:
    announced = [effect for effect in stage.effects if isinstance(effect, Announce)]
    return [effect.message for effect in announced if effect.action is Action.PROGRESS]


def test_who_waits_for_the_first_image_is_told_within_seconds_what_the_receivers_see() -> None:
    stage = Stage(plan_of(n_images=5, first_image_timeout_s=60.0), FakeStoreWriter())
    stage.tick(1)
    assert progress_of(stage) == ["waiting for the first image"]
    stage.seen = WRONG_LENGTH
    stage.tick(2)
    assert progress_of(stage)[1:] == [f"waiting for the first image; {WRONG_LENGTH}"]
    stage.tick(20)
    assert len(progress_of(stage)) == 2  # nothing has changed
    for n in range(20):
        stage.seen = f"{n} packets came late"
        stage.tick(1)
    assert 4 <= len(progress_of(stage)) - 2 <= 6  # a line every few seconds, although it changes all the time
    stage.tick(60)
    assert stage.report.reason == "no image came within 60 s; 19 packets came late"


def test_reason_of_a_shortfall_says_what_the_receivers_see() -> None:
    stage = Stage(plan_of(n_images=5, image_timeout_s=4.0), FakeStoreWriter())
    stage.feed(range(2))
    stage.seen = "no packet came on UDP port 52600 (module 0)"
    stage.tick(6)
    assert stage.report.reason == ("no image for 4 s; 3 of 5 did not come; no packet came on UDP port 52600 (module 0)")


def test_reason_of_images_that_are_not_good_says_which_faults_they_have_and_what_the_receivers_see() -> None:
    writer = FakeStoreWriter()
    writer.faults = {"out_of_step": FaultCount(n_images=2, modules=(1,)), "missing_packets": FaultCount(n_images=1)}
    stage = Stage(plan_of(n_images=5), writer)
    stage.seen = WRONG_LENGTH
    stage.feed(range(5))
    words = "2 images with modules out of step (module 1), 1 image with missing packets"
    assert (stage.report.verdict, stage.report.reason) == (Verdict.INCOMPLETE, f"{words}; {WRONG_LENGTH}")
    assert stage.report.faults == writer.faults
    assert stage.sent(FinishRun)[0].report.reason == stage.report.reason


def test_run_without_a_fault_is_complete_whatever_the_receivers_see() -> None:
    stage = Stage(plan_of(n_images=5), FakeStoreWriter())
    stage.seen = WRONG_LENGTH
    stage.feed(range(5))
    assert (stage.report.verdict, stage.report.reason) == (Verdict.COMPLETE, "")


def test_run_of_one_file_is_complete() -> None:
    writer = FakeStoreWriter()
    stage = Stage(plan_of(n_images=5), writer)
    stage.feed(range(3))
    stage.feed(range(3, 9))
    assert stage.report.verdict is Verdict.COMPLETE
    assert stage.report.reason == ""
    assert (stage.report.n_written, stage.report.n_lost) == (5, 0)
    assert stage.report.files == (FILE,)
    assert writer.written[RUN_ID] == {FILE: [0, 1, 2, 3, 4]}
    assert stage.actions() == [Action.PROGRESS, Action.START]
    assert stage.sent(WriteMaster) == []
    assert writer.reports[0].verdict is Verdict.COMPLETE


def test_decision_is_kept_before_the_files_are_closed() -> None:
    stage = Stage(plan_of(n_images=1), FakeStoreWriter())
    stage.feed([0])
    kinds = [type(effect).__name__ for effect in stage.effects]
    assert kinds.index("KeepReport") < len(kinds) - kinds[::-1].index("SendMessage") - 1
    assert [e.report.n_written for e in stage.effects if isinstance(e, KeepReport)] == [1]


def test_files_go_round_the_writers_and_a_master_is_written() -> None:
    first, second = FakeStoreWriter(0), FakeStoreWriter(1)
    stage = Stage(plan_of(2, n_images=7, images_per_file=2), first, second)
    stage.feed(range(7))
    assert list(first.written[RUN_ID].values()) == [[0, 1], [4, 5]]
    assert list(second.written[RUN_ID].values()) == [[2, 3], [6]]
    (master,) = stage.sent(WriteMaster)
    assert master.data_files == [f"/data/run_{index:06d}.h5" for index in range(4)]
    assert stage.report.files == (FILE, *master.data_files)
    assert master.report == stage.report.model_copy(update={"ended_at": master.report.ended_at})
    assert stage.report.verdict is Verdict.COMPLETE


@pytest.mark.parametrize("fail_at", [None, 3])
def test_a_master_that_cannot_be_written_ends_the_run_at_once(fail_at: int | None) -> None:
    """Also that of a writer whose part had failed before, as on a full disk."""
    first = FakeStoreWriter(0, fail_at=fail_at, master_failure="the master file cannot be written: No space left")
    stage = Stage(plan_of(2, n_images=7, images_per_file=2), first, FakeStoreWriter(1))
    stage.feed(range(7))
    stage.tick(0)
    assert stage.report.verdict is Verdict.FAILED
    assert "h5_writer 0: the master file cannot be written: No space left" in stage.report.reason
    assert "there is no master file" in stage.report.reason


def test_images_whose_files_somebody_removed_are_lost_although_they_were_written() -> None:
    part = WriterPart(0, "a", 0.0)
    part.assign(range(6), 0.0)
    fields = {"writer": 0, "instance": "a", "run_id": RUN_ID}
    part.feed(WriterReport(kind=ReportKind.PROGRESS, n_written=6, n_flushed=6, **fields), 1.0)
    part.feed(WriterReport(kind=ReportKind.FAILED, lost_image_ids=[0, 1], n_written=4, n_flushed=4, **fields), 2.0)
    part.feed(WriterReport(kind=ReportKind.DRAINED, n_lost_before=2, n_written=4, n_flushed=4, **fields), 2.0)
    assert (part.n_in_files, part.n_lost) == (4, 2)
    assert part.known_lost_ids() == [0, 1]


def test_more_data_files_than_readers_can_open_are_told_if_nobody_knew_their_number_before() -> None:
    plan = replace(plan_of(images_per_file=1), max_data_files=3)
    stage = Stage(plan, FakeStoreWriter())
    stage.feed(range(3))
    assert "data files" not in stage.run.report(stage.now).reason
    stage.feed([3])
    stage.do(stage.run.kill(stage.now))
    assert "4 data files are more than writer.max_data_files, 3: raise the limit of open files" in stage.report.reason


def test_images_that_never_came_make_the_run_incomplete() -> None:
    stage = Stage(plan_of(n_images=6), FakeStoreWriter())
    stage.feed([0, 1, 4, 5, 6])
    assert stage.report.verdict is Verdict.INCOMPLETE
    assert stage.report.lost_image_ids == (2, 3)
    assert (stage.report.n_written, stage.report.n_lost) == (4, 2)
    assert "2 images lost" in stage.report.reason


def test_images_overwritten_under_a_paused_writer_are_listed() -> None:
    stage = Stage(plan_of(n_images=20), FakeStoreWriter(overwritten=range(3, 9)))
    stage.feed(range(3))
    stage.paused = {0}
    stage.tick(8)
    stage.feed(range(3, 20))
    stage.paused = set()
    stage.tick(1)
    assert stage.report.verdict is Verdict.INCOMPLETE
    assert stage.report.lost_image_ids == tuple(range(3, 9))
    assert stage.report.n_written == 14


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
    report = stage.report
    assert report.verdict is Verdict.FAILED
    assert "h5_writer 0 was restarted during the run" in report.reason
    assert "std-daq recover /data/run_000000.h5" in report.reason
    assert "no master file" in report.reason
    assert report.n_written == 5 + 5
    assert report.lost_image_ids == tuple(range(5, 10))
    assert second.reports[0].verdict is Verdict.FAILED


def test_unflushed_ids_leave_out_what_was_reported_as_overwritten() -> None:
    writer = FakeStoreWriter(overwritten={1, 5})
    stage = Stage(plan_of(n_images=100), writer)
    stage.feed(range(4))
    stage.tell(writer.flush())
    stage.feed(range(4, 8))
    stage.tell(writer.alive())
    stage.replace(FakeStoreWriter())
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


def test_no_first_image_fails_the_run() -> None:
    stage = Stage(plan_of(n_images=5, first_image_timeout_s=3), FakeStoreWriter())
    stage.tick(4)
    assert stage.report.verdict is Verdict.FAILED
    assert stage.report.reason == "no image came within 3 s"
    assert stage.report.files == ()
    assert Action.START not in stage.actions()


def test_images_that_stop_make_the_run_incomplete() -> None:
    stage = Stage(plan_of(n_images=100), FakeStoreWriter())
    stage.feed(range(80))
    stage.tick(11)
    assert stage.report.verdict is Verdict.INCOMPLETE
    assert stage.report.reason == "no image for 10 s; 20 of 100 did not come"
    assert (stage.report.n_written, stage.report.n_lost) == (80, 0)


def test_open_run_that_gets_no_more_images_is_complete_and_says_why_it_ended() -> None:
    stage = Stage(plan_of(), FakeStoreWriter())
    stage.feed(range(80))
    stage.tick(11)
    assert stage.report.verdict is Verdict.COMPLETE
    assert stage.report.reason == "no image for 10 s"


def test_kill_drains_what_came() -> None:
    writer = FakeStoreWriter()
    stage = Stage(plan_of(n_images=100), writer)
    stage.feed(range(17))
    stage.do(stage.run.kill(stage.now))
    assert stage.report.verdict is Verdict.KILLED
    assert stage.report.n_written == 17
    assert writer.reports[0].verdict is Verdict.KILLED


def test_kill_before_the_first_image_leaves_no_file() -> None:
    stage = Stage(plan_of(n_images=100), FakeStoreWriter())
    stage.do(stage.run.kill(stage.now))
    assert stage.report.verdict is Verdict.KILLED
    assert stage.report.files == ()


def test_kill_before_the_writers_are_there() -> None:
    stage = Stage(plan_of(n_images=100))
    stage.do(stage.run.kill(stage.now))
    assert stage.report.verdict is Verdict.KILLED


def test_kill_of_a_run_that_is_complete_changes_nothing() -> None:
    writer = FakeStoreWriter()
    stage = Stage(plan_of(n_images=2), writer)
    stage.paused = {0}
    stage.feed([0, 1])
    stage.do(stage.run.kill(stage.now))
    stage.paused = set()
    stage.tick(1)
    assert stage.report.verdict is Verdict.COMPLETE


def test_stopped_agent_fails_the_run_after_draining() -> None:
    stage = Stage(plan_of(n_images=100), FakeStoreWriter())
    stage.feed(range(3))
    stage.do(stage.run.fail("writer agent was stopped", stage.now))
    assert stage.report.verdict is Verdict.FAILED
    assert stage.report.n_written == 3


def test_run_that_is_given_up_counts_what_is_surely_on_disk() -> None:
    writer = FakeStoreWriter()
    stage = Stage(plan_of(n_images=100), writer)
    stage.feed(range(3))
    stage.tell(writer.flush())
    stage.paused = {0}
    stage.feed(range(3, 5))
    stage.do(stage.run.give_up("writer agent was stopped", stage.now))
    assert stage.report.verdict is Verdict.FAILED
    assert stage.report.lost_image_ids == (3, 4)


def test_progress_is_told_about_once_a_second() -> None:
    stage = Stage(plan_of(n_images=100), FakeStoreWriter())
    stage.feed([0, 1, 4])
    stage.tick(5)
    progress = [e for e in stage.effects if isinstance(e, Announce) and e.details]
    assert len(progress) == 5
    assert progress[-1].details == {"n_written": 3, "n_sent": 3, "n_lost": 2, "n_requested": 100}
    assert progress[-1].message == "3 of 100 images written, 2 lost"


def test_reports_of_another_run_are_only_a_sign_of_life() -> None:
    writer = FakeStoreWriter()
    stage = Stage(plan_of(n_images=2), writer)
    stage.feed([0])
    stage.tell(writer.alive().model_copy(update={"run_id": 1, "n_written": 50, "kind": "failed"}))
    stage.feed([1])
    assert stage.report.verdict is Verdict.COMPLETE


STUB = RunReport(request_id="x", verdict=Verdict.FAILED, started_at=START)


def test_run_found_after_a_restart_is_closed_as_failed_with_its_numbers() -> None:
    writer = FakeStoreWriter()
    before = Stage(plan_of(n_images=100), writer)
    before.feed(range(30))
    stage = Stage(before.run.plan, writer, found=STUB)
    assert stage.report.verdict is Verdict.FAILED
    assert "writer agent was restarted during the run" in stage.report.reason
    assert (stage.report.n_written, stage.report.files) == (30, (FILE,))
    assert [message.n_sent for message in stage.sent(EndRun)] == [None]
    assert writer.reports[0].verdict is Verdict.FAILED


def test_run_found_after_a_restart_lists_what_was_lost_before_and_after() -> None:
    writer = FakeStoreWriter(overwritten=[4, 7])
    before = Stage(plan_of(n_images=100), writer)
    before.feed([1, 2, 4, 5])
    before.tick(2)
    before.feed([7, 8])
    before.tick(2)
    kept = [effect.report for effect in before.effects if isinstance(effect, KeepReport)]
    assert [report.lost_image_ids for report in kept] == [(3,), (3, 6)]
    stage = Stage(before.run.plan, writer, found=RunReport.from_wire(kept[-1].to_wire()))
    assert stage.report.verdict is Verdict.FAILED
    assert (stage.report.n_written, stage.report.n_lost) == (4, 4)
    assert stage.report.lost_image_ids == (3, 4, 6, 7)
    assert stage.report.started_at == START


def test_run_found_after_a_restart_of_everything_tells_what_to_do() -> None:
    stage = Stage(plan_of(n_images=100), FakeStoreWriter(), found=STUB)
    assert stage.report.verdict is Verdict.FAILED
    assert f"std-daq recover {FILE}" in stage.report.reason


def test_run_found_after_a_restart_waits_for_writers_only_for_a_while() -> None:
    stage = Stage(plan_of(n_images=100), found=STUB)
    stage.tick(6)
    assert "h5_writer 0 does not report: is it running?" in stage.report.reason


def test_run_found_after_its_decision_has_the_numbers_decided_on() -> None:
    decided = STUB.model_copy(update={"n_written": 8, "n_lost": 2, "lost_image_ids": (3, 4), "ended_at": START})
    stage = Stage(plan_of(n_images=10), FakeStoreWriter(), found=decided)
    assert (stage.report.n_written, stage.report.lost_image_ids) == (8, (3, 4))
    assert "recover" not in stage.report.reason


@settings(max_examples=200, deadline=None)
@given(
    n_writers=st.integers(1, 3),
    n_images=st.none() | st.integers(1, 60),
    per_file=st.none() | st.integers(1, 7),
    events=st.lists(
        st.one_of(
            st.tuples(st.just("images"), st.integers(0, 3), st.integers(1, 9)),
            st.tuples(st.just("restart of the detector"), st.integers(0, 0), st.integers(1, 9)),
            st.tuples(st.just("flush"), st.integers(0, 2), st.just(0)),
            st.tuples(st.just("pause"), st.integers(0, 2), st.just(0)),
            st.tuples(st.just("resume"), st.integers(0, 2), st.just(0)),
            st.tuples(st.just("kill writer"), st.integers(0, 2), st.just(0)),
            st.tuples(st.just("time"), st.integers(1, 12), st.just(0)),
        ),
        max_size=30,
    ),
    overwritten=st.sets(st.integers(0, 80), max_size=20),
    ends_by_kill=st.booleans(),
)
def test_written_and_lost_are_what_was_seen_and_each_run_ends_once(
    n_writers: int,
    n_images: int | None,
    per_file: int | None,
    events: list[tuple[str, int, int]],
    overwritten: set[int],
    ends_by_kill: bool,
) -> None:
    plan = plan_of(n_writers if per_file else 1, n_images=n_images, images_per_file=per_file)
    stage = Stage(plan, *(FakeStoreWriter(i, overwritten=overwritten) for i in range(plan.n_writers)))
    epoch, frame, seen = 0, 0, 0
    for kind, number, more in events:
        index = number % plan.n_writers
        is_taking = stage.run.is_taking_images
        match kind:
            case "images":
                gap = number if seen else 0
                frames = range(frame + gap, frame + gap + more)
                stage.feed(frames, epoch=epoch)
                frame = frames.stop
                seen += (gap + more) if is_taking else 0
            case "restart of the detector":
                epoch += 1
                stage.feed(range(more), epoch=epoch)
                frame = more
                seen += more if is_taking else 0
            case "flush" if index not in stage.paused:
                stage.tell(stage.writers[index].flush())
            case "pause":
                stage.paused.add(index)
            case "resume":
                stage.paused.discard(index)
                stage.deliver()
            case "kill writer":
                stage.paused.discard(index)
                stage.replace(FakeStoreWriter(index, overwritten=overwritten))
            case "time":
                stage.tick(number)
    if ends_by_kill:
        stage.do(stage.run.kill(stage.now))
    stage.tick(200)
    report = stage.report
    assert report.n_written + report.n_lost == (seen if n_images is None else min(seen, n_images))
    assert len(report.lost_image_ids) == report.n_lost
    assert (report.verdict is Verdict.COMPLETE) == (
        report.n_lost == 0
        and (n_images is None or report.n_written == n_images)
        and not any(text in report.reason for text in ("h5_writer", "killed", "no image came"))
    )
