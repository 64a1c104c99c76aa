"""LongRun: the images of one run through the ring, its journal, and the writer agent's account of them."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from std_benchmarks.scaling.image_ring import ImageWriter
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.recording import IMAGES
from std_daq.recording.requests import WriteRequest
from std_daq.recording.store_stream import EndRun, ReportKind, WriterReport, encode_entries
from std_writer_agent.effects import Effect, SendImages, SendMessage
from std_writer_agent.image_source import ImageSource
from std_writer_agent.plan import RunPlan
from std_writer_agent.roster import WriterRoster
from std_writer_agent.run import AgentRun

_SHAPE = (8, 8)
_N_SLOTS = 4096
_AT_ONCE = 512
_IMAGES_PER_S = 10_000
_OUTPUT_FILE = "/data/run.h5"


class LongRun:
    """A run of tiny images with one writer that takes all it is given, at 10 kHz of a clock of its own.

    Parameters
    ----------
    path
        File of the ring.
    n_images
        Images of the run.
    """

    def __init__(self, path: Path, n_images: int) -> None:
        self._writer = ImageWriter(path, _SHAPE, _N_SLOTS)
        self._source = ImageSource(partial(ImageBuffer.attach, path))
        self._source.read()
        self._now = 0.0
        self._roster = WriterRoster()
        self._roster.feed(self._report(ReportKind.ALIVE, 0), self._now)
        plan = RunPlan(
            recorded=IMAGES,
            run_id=1,
            request_id="long",
            request=WriteRequest(output_file=_OUTPUT_FILE, n_images=n_images),
            output_file=_OUTPUT_FILE,
            images_per_file=None,
            n_writers=1,
            first_image_timeout_s=60.0,
            image_timeout_s=60.0,
            writer_timeout_s=60.0,
            max_data_files=900,
        )
        self._run = AgentRun(plan, self._roster, self._now, datetime.now(UTC))
        self._apply_effects(self._run.poll(self._now))
        self.n_sent = 0
        self.is_ended = False

    def take(self, n_images: int) -> None:
        """Have so many more images come; a multiple of 512."""
        for _ in range(n_images // _AT_ONCE):
            self._writer.write(_AT_ONCE)
            self._now += _AT_ONCE / _IMAGES_PER_S
            part = self._source.read()
            if part is None or part.n_lost:
                raise AssertionError("images are lost in the ring")
            self._apply_effects(self._run.feed_images(part.entries, part.n_lost, self._now))
            self._apply_effects(self._run.feed_report(self._report(ReportKind.PROGRESS, self.n_sent), self._now))
            self._apply_effects(self._run.poll(self._now))

    def close(self) -> None:
        """Let go of the ring."""
        self._source.close()
        self._writer.close()

    def _apply_effects(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendImages(images=images):
                    self.n_sent += len(encode_entries(images))
                case SendMessage(message=EndRun()):
                    self.is_ended = True

    def _report(self, kind: ReportKind, n_written: int) -> WriterReport:
        return WriterReport(kind=kind, writer=0, instance="one", run_id=1, n_written=n_written, n_flushed=n_written)
