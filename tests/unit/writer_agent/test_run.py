"""Which images and files a run has, and how it ends."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.recording.requests import Action, Verdict
from std_daq.recording.store_stream import ReportKind, WriteMaster, WriterReport
from std_test_kit.run_stage import FILE, RUN_ID, Stage, plan_of
from std_test_kit.store_writer import FakeStoreWriter
from std_writer_agent.effects import KeepReport
from std_writer_agent.part import WriterPart


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
