"""What a run tells of images that do not come or are not good, and of its progress."""

from std_daq.recording.requests import Action, FaultCount, Verdict
from std_daq.recording.store_stream import FinishRun
from std_test_kit.run_stage import Stage, plan_of
from std_test_kit.store_writer import FakeStoreWriter
from std_writer_agent.effects import Announce

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


def test_progress_is_told_about_once_a_second() -> None:
    stage = Stage(plan_of(n_images=100), FakeStoreWriter())
    stage.feed([0, 1, 4])
    stage.tick(5)
    progress = [e for e in stage.effects if isinstance(e, Announce) and e.details]
    assert len(progress) == 5
    assert progress[-1].details == {"n_written": 3, "n_sent": 3, "n_lost": 2, "n_requested": 100}
    assert progress[-1].message == "3 of 100 images written, 2 lost"
