"""An AgentRun on a stage: with its writers, a clock, and queues between them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.imaging.recording import IMAGES
from std_daq.recording.measured_values import ValueLog, ValueLogs
from std_daq.recording.requests import Action, RunReport, WriteRequest, new_request_id
from std_daq.recording.store_stream import WriterReport, encode_entries, encode_run_message
from std_test_kit.store_writer import FakeStoreWriter
from std_writer_agent.effects import Announce, DropUnsent, Effect, End, SendImages, SendMessage
from std_writer_agent.plan import RunPlan, images_per_file
from std_writer_agent.roster import WriterRoster
from std_writer_agent.run import AgentRun, RunState

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN_ID = 7
FILE = "/data/run.h5"


def images(frames: Iterable[int], *, epoch: int = 0) -> NDArray[Any]:
    """Return the metadata of images of these frame numbers, as the ring has them."""
    frames = list(frames)
    entries = np.zeros(len(frames), IMAGE_METADATA)
    entries["frame_index"] = entries["id"] = frames
    entries["epoch"] = epoch
    return entries


def plan_of(n_writers: int = 1, **fields: Any) -> RunPlan:
    """Return the plan of a run; ``fields`` are those of its request."""
    request = WriteRequest(output_file=FILE, **fields)
    return RunPlan(
        recorded=IMAGES,
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
        self.n_handed_over = 0
        self.run = AgentRun(
            plan, self.roster, self.now, START, found=found, see=lambda: self.seen, measured=self._hand_over
        )
        self.tick(0)

    def _hand_over(self) -> ValueLogs:
        self.n_handed_over += 1
        return {"x": ValueLog(unit="mm", times_ns=[1], values=[2.0])}

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
