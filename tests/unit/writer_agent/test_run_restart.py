"""Runs that an agent finds when it starts again."""

from std_daq.recording.requests import RunReport, Verdict
from std_daq.recording.store_stream import EndRun
from std_test_kit.run_stage import FILE, START, Stage, plan_of
from std_test_kit.store_writer import FakeStoreWriter
from std_writer_agent.effects import KeepReport

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
