"""What the agent holds in memory does not grow with the images of a run."""

from datetime import UTC, datetime

import numpy as np
import pytest

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.imaging.recording import IMAGES
from std_daq.recording.requests import WriteRequest
from std_daq.recording.store_stream import ReportKind, WriterReport
from std_test_kit.memory import growth_bytes
from std_writer_agent.plan import RunPlan
from std_writer_agent.roster import WriterRoster
from std_writer_agent.run import AgentRun, RunState

AT_ONCE = 100
FILE = "/data/run.h5"


class LongRun:
    """A run without an end, whose writer flushes at once what it gets, but for every ``lost_step``-th image."""

    def __init__(self, lost_step: int | None) -> None:
        self.lost_step = lost_step
        self.n_images = self.n_lost = 0
        self.now = 0.0
        roster = WriterRoster()
        roster.feed(self.report(ReportKind.ALIVE, []), self.now)
        plan = RunPlan(
            recorded=IMAGES,
            run_id=1,
            request_id="long",
            request=WriteRequest(output_file=FILE, n_images=None),
            output_file=FILE,
            images_per_file=None,
            n_writers=1,
            first_image_timeout_s=60.0,
            image_timeout_s=60.0,
            writer_timeout_s=60.0,
            max_data_files=900,
        )
        self.run = AgentRun(plan, roster, self.now, datetime(2026, 3, 1, tzinfo=UTC))
        self.run.poll(self.now)

    def report(self, kind: ReportKind, lost_ids: list[int]) -> WriterReport:
        n_written = self.n_images - self.n_lost - len(lost_ids)
        return WriterReport(
            kind=kind,
            writer=0,
            instance="one",
            run_id=1,
            n_written=n_written,
            n_flushed=n_written,
            lost_image_ids=lost_ids,
            n_lost_before=self.n_lost,
        )

    def take(self, n_images: int) -> None:
        entries = np.zeros(AT_ONCE, IMAGE_METADATA)
        for _ in range(n_images // AT_ONCE):
            ids = range(self.n_images, self.n_images + AT_ONCE)
            entries["id"] = entries["frame_index"] = ids
            self.now += 0.1
            self.run.feed_images(entries, 0, self.now)
            self.n_images += AT_ONCE
            lost_ids = [] if self.lost_step is None else [i for i in ids if i % self.lost_step == 0]
            self.run.feed_report(self.report(ReportKind.PROGRESS, lost_ids), self.now)
            self.n_lost += len(lost_ids)
            self.run.poll(self.now)


@pytest.mark.long
@pytest.mark.parametrize(("lost_step", "bytes_of_a_lost_image"), [(None, 0), (10, 60)])
def test_only_the_ids_of_lost_images_are_kept(lost_step: int | None, bytes_of_a_lost_image: int) -> None:
    long = LongRun(lost_step)
    growth = growth_bytes(lambda: long.take(50_000))
    assert long.run.state is RunState.RUNNING
    assert long.run.report(long.now).n_lost == long.n_lost
    n_lost = 0 if lost_step is None else 50_000 // lost_step
    assert growth < 20_000 + bytes_of_a_lost_image * n_lost
