"""RunDirectorySource: frames of PFF files that an acquisition is writing."""

import asyncio
import os
import select
from contextlib import suppress
from pathlib import Path

from std_daq.telemetry.logs import ConditionLog, get_logger
from std_daq.telescope.pff.run_directory import PffRun
from std_daq.telescope.pff.run_follower import FollowedFrame, RunFollower
from std_live_view.call_thread import CallThread
from std_live_view.sources.source import Publish, SourceState, telescope_frame

PIPE_NAME = "read_status_2"
ENDED_NAME = "recording_ended"
_MIN_PERIOD_S, _MAX_PERIOD_S = 0.002, 0.1


class RunDirectorySource:
    """Follows the runs of all modules; a folder that answers slowly holds up nothing else.

    Parameters
    ----------
    data_dir
        The folder of the modules.
    module_ids
        Modules that are wanted; none stands for all.
    interval_s
        How often clients want images: the files are looked at as often, at least 10 times a second.
    with_pipes
        Whether to listen at the pipe of each run too, by which an acquisition tells that it has written a frame.
    publish
        Takes the frames.
    """

    def __init__(
        self, data_dir: Path, module_ids: list[int], interval_s: float, *, with_pipes: bool, publish: Publish
    ) -> None:
        self._publish = publish
        self._period_s = min(max(interval_s, _MIN_PERIOD_S), _MAX_PERIOD_S)
        self._follower = RunFollower(data_dir, module_ids)
        self._pipes = RunPipes() if with_pipes else None
        self._thread = CallThread("run-directory")
        self._conditions = ConditionLog()
        self._data_dir = data_dir
        self._is_there = True
        self._ended: list[str] = []
        self._n_runs = 0
        self.name = f"run_directory {data_dir}"
        self.state = SourceState()

    async def open(self) -> None:
        """Deliver the newest frames that are there."""
        self._deliver(await self._thread.run(self._step))

    async def run(self) -> None:
        """Deliver frames as they are written."""
        while True:
            if self._pipes is None:
                await asyncio.sleep(self._period_s)
            self._deliver(await self._thread.run(self._step))

    async def close(self) -> None:
        """End the thread, and close the pipes."""
        await self._thread.close()
        if self._pipes is not None:
            self._pipes.close()

    def _step(self) -> list[FollowedFrame]:
        if self._pipes is not None:
            self._pipes.wait(self._follower.runs, self._period_s)
        self._is_there = self._data_dir.is_dir()
        frames = self._follower.step()
        runs = self._follower.runs
        self._n_runs = len(runs)
        self._ended = [run.path.name for run in runs if (run.path / ENDED_NAME).exists()]
        return frames

    def _deliver(self, frames: list[FollowedFrame]) -> None:
        for frame in frames:
            self._publish(
                telescope_frame(
                    frame.product, frame.module_id, frame.header, frame.pixels, frame.file, frame.frame_number
                )
            )
        counters, state = self._follower.counters, self.state
        state.n_frames = counters.n_frames
        state.n_refused = counters.n_damaged
        damage = "; ".join(f"{path}: {why}" for path, why in counters.refused.items())
        if damage and damage != state.damage:
            get_logger().warning("files_damaged", files=dict(counters.refused))
        state.damage = damage
        if self._n_runs and len(self._ended) == self._n_runs:
            state.producer = f"the recording has ended: {', '.join(sorted(set(self._ended)))}"
        else:
            state.producer = f"runs that are being recorded: {self._n_runs - len(self._ended)}"
        state.problem = "" if self._is_there else f"{self._data_dir} is gone"
        if state.problem:
            self._conditions.warning("run_directory_gone", problem=state.problem)


class RunPipes:
    """The pipes of the runs that are followed; one that is missing is made, so that the acquisition finds it."""

    def __init__(self) -> None:
        self._open: dict[Path, int] = {}

    def wait(self, runs: list[PffRun], timeout_s: float) -> None:
        """Wait until an acquisition tells of a frame, at most ``timeout_s`` seconds."""
        wanted = {run.path / PIPE_NAME for run in runs}
        for path in set(self._open) - wanted:
            os.close(self._open.pop(path))
        for path in wanted - set(self._open):
            with suppress(OSError):  # a folder in which nothing may be made is looked at without a pipe
                if not path.exists():
                    os.mkfifo(path)
                if path.is_fifo():
                    # Opened for writing too, a pipe does not end when its writer ends.
                    self._open[path] = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        poller = select.poll()
        for pipe in self._open.values():
            poller.register(pipe, select.POLLIN)
        for pipe, _ in poller.poll(timeout_s * 1000):
            with suppress(BlockingIOError):
                os.read(pipe, 1 << 16)

    def close(self) -> None:
        """Close all pipes; they stay where they are, for they belong to their runs."""
        for pipe in self._open.values():
            os.close(pipe)
        self._open.clear()
