"""AgentRun: state machine of one run, from its start to its verdict. Pure: clock and events are passed in."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.recording.measured_values import NO_LOGS, ValueLogs
from std_daq.recording.requests import Action, RunReport, Verdict
from std_daq.recording.store_stream import (
    EndRun,
    FinishRun,
    ReportKind,
    StartRun,
    WriteMaster,
    WriterReport,
)
from std_writer_agent.counter import ImageCounter
from std_writer_agent.effects import Announce, DropUnsent, Effect, End, GiveUp, KeepReport, SendImages, SendMessage
from std_writer_agent.noted_ids import NotedIds
from std_writer_agent.part import PartState, WriterPart
from std_writer_agent.plan import RunPlan
from std_writer_agent.report import Ending, data_files, make_report
from std_writer_agent.roster import WriterRoster

START_TIMEOUT_S = 5.0
PROGRESS_PERIOD_S = 1.0
WAITING_PERIOD_S = 5.0
# Closing many files takes long, so a writer may take this many times writer_timeout_s for all of them. A writer that
# hangs in a single file is noticed earlier, because it stops reporting.
CLOSING_TIMES = 10
# Each process has a connection of its own, so the last reports of a writer that has ended may be read after the first
# one of its successor, above all when the agent itself was stopped. They decide which of its images are in files.
LAST_WORDS_S = 1.0
_RESTARTED = "was restarted during the run"
_ALL_IN_ONE = 2**32


class RunState(StrEnum):
    """State of a run; a run goes through these states from top to bottom, and may skip some."""

    STARTING = "starting"
    RECOVERING = "recovering"
    WAITING = "waiting"
    RUNNING = "running"
    DRAINING = "draining"
    FINISHING = "finishing"
    WRITING_MASTER = "writing_master"
    ENDED = "ended"


class AgentRun:
    """A run as the agent sees it.

    Each method takes an event, and returns the effects that the agent must carry out, in order.

    Parameters
    ----------
    plan
        Plan of the run.
    roster
        The writers that are alive. The caller must feed each report to the roster before it feeds it to the run.
    now
        Monotonic time in seconds.
    began_at
        The same moment (UTC).
    found
        Report that an earlier process of the agent has stored about this run; None for a new run. A run of an earlier
        process takes no further images; it is only brought to its end.
    see
        Returns what the receivers see that explains why images do not come or are not good; empty if nothing is wrong.
    measured
        Called once, when the files can get it: returns what other programs have measured since the first image.
    """

    def __init__(
        self,
        plan: RunPlan,
        roster: WriterRoster,
        now: float,
        began_at: datetime,
        *,
        found: RunReport | None = None,
        see: Callable[[], str] = lambda: "",
        measured: Callable[[], ValueLogs] = lambda: NO_LOGS,
    ) -> None:
        self.plan = plan
        self.state = RunState.STARTING if found is None else RunState.RECOVERING
        self.counter = ImageCounter(plan.request.n_images, plan.request.start_image_id, plan.recorded.number_field)
        self.parts: dict[int, WriterPart] = {}
        self._noted = NotedIds()
        self._noun = plan.recorded.noun
        self._entry = plan.recorded.entry
        self._roster = roster
        self._see = see
        self._measured = measured
        self._told = ""
        self._found = found
        self._began_at = began_at if found is None or found.started_at is None else found.started_at
        self._clock_start = began_at - timedelta(seconds=now)
        self._entered = now
        self._last_image = now
        self._next_progress = now + PROGRESS_PERIOD_S
        self._kept = (0, 0)
        self._ending = Ending(failures=[] if found is None else ["writer agent was restarted during the run"])
        self._effects: list[Effect] = []

    @property
    def is_taking_images(self) -> bool:
        """Whether further images may still belong to the run."""
        return self.state in {RunState.STARTING, RunState.WAITING, RunState.RUNNING}

    @property
    def has_writers(self) -> bool:
        """Whether the writers have been told of the run, so that images can be sent to them."""
        return self.state in {RunState.WAITING, RunState.RUNNING}

    def report(self, now: float) -> RunReport:
        """Return the report of the run as it would be if the run ended now."""
        return make_report(
            self.plan,
            list(self.parts.values()),
            self.counter,
            self._ending,
            self._found,
            self._began_at,
            self._clock_start + timedelta(seconds=now),
            self._noted,
        )

    def feed_images(self, entries: NDArray[Any], n_unread: int, now: float, frame_index_step: int = 1) -> list[Effect]:
        """Take published images: entries of the journal in order, and the number of unreadable entries before them."""
        if self.state in {RunState.WAITING, RunState.RUNNING}:
            taken = self.counter.feed(entries, n_unread, frame_index_step)
            if self.counter.n_left_over < len(entries):
                self._last_image = now
            if self.counter.has_begun and self.state is RunState.WAITING:
                self._enter_state(RunState.RUNNING, now)
                self._effects.append(Announce(Action.START, f"the first {self._noun} came"))
            self._noted.feed(taken)
            self._distribute(taken, now)
            if self.counter.is_full:
                self._end_images(now)
        return self._advance_state(now)

    def feed_report(self, report: WriterReport, now: float) -> list[Effect]:
        """Take a report of a writer."""
        part = self.parts.get(report.writer)
        if part is not None and part.state is not PartState.LOST:
            if report.instance != part.instance:
                self._handle_successor(part, report.instance, now)
            else:
                part.seen_at = now
                if report.run_id == self.plan.run_id:
                    self._apply_report(part, report, now)
        return self._advance_state(now)

    def kill(self, now: float) -> list[Effect]:
        """End the run as killed; the images that came before are written."""
        if self.is_taking_images:
            self._ending.is_killed = True
            self._end_images(now)
        return self._advance_state(now)

    def fail(self, reason: str, now: float) -> list[Effect]:
        """End the run as failed; the images that came before are written."""
        self._fail_run(reason, now)
        return self._advance_state(now)

    def give_up(self, reason: str, now: float) -> list[Effect]:
        """End the run as failed at once, without waiting for the writers any longer."""
        self._ending.failures.append(reason)
        for part in self.parts.values():
            if part.state in {PartState.OPEN, PartState.DRAINED}:
                self._give_up_part(part)
                part.state = PartState.LOST
        self._end_run(now)
        return self._pop_effects()

    def poll(self, now: float) -> list[Effect]:
        """Check everything that depends on the time: time limits, silent writers, progress statuses."""
        match self.state:
            case RunState.STARTING:
                self._start_parts(now)
            case RunState.RECOVERING:
                self._recover_parts(now)
            case RunState.WAITING if now - self._entered >= self.plan.first_image_timeout_s:
                self._ending.seen = self._see()
                self._fail_run(f"no {self._noun} came within {self.plan.first_image_timeout_s:g} s", now)
            case RunState.RUNNING if now - self._last_image >= self.plan.image_timeout_s:
                self.counter.settle()
                self._ending.seen = self._see()
                if not self.counter.is_full:
                    n_left = self.counter.n_left
                    rest = "" if n_left is None else f"; {n_left} of {self._n_images} did not come"
                    self._ending.shortfall = f"no {self._noun} for {self.plan.image_timeout_s:g} s{rest}"
                self._end_images(now)
        self._check_writers(now)
        if now >= self._next_progress and self.state is RunState.WAITING:
            self._announce_waiting(now)
        if now >= self._next_progress and self.state in {RunState.RUNNING, RunState.DRAINING}:
            self._next_progress = now + PROGRESS_PERIOD_S
            self._announce_progress(now)
            self._save_missed()
        return self._advance_state(now)

    @property
    def _n_images(self) -> int | None:
        return self.plan.request.n_images

    @property
    def _wanted(self) -> str:
        start = self.plan.request.start_image_id
        return f"the first {self._noun}" if start is None else f"{self._noun} {start}"

    def _start_parts(self, now: float) -> None:
        instances = {writer: self._roster.instance(writer, now) for writer in range(self.plan.n_writers)}
        missing = [writer for writer, instance in instances.items() if instance is None]
        if not missing:
            for writer, instance in instances.items():
                self._open_part(writer, instance or "", now)
            self._enter_state(RunState.WAITING, now)
            self._effects.append(Announce(Action.PROGRESS, f"waiting for {self._wanted}"))
        elif now - self._entered >= START_TIMEOUT_S:
            self._fail_run("; ".join(f"h5_writer {writer} does not report: is it running?" for writer in missing), now)

    def _recover_parts(self, now: float) -> None:
        """Find out which writers still have the run open, and end the run there."""
        is_late = now - self._entered >= START_TIMEOUT_S
        for writer in range(self.plan.n_writers):
            instance = self._roster.instance(writer, now)
            if writer in self.parts or (instance is None and not is_late):
                continue
            part = self.parts[writer] = WriterPart(writer, instance or "", now)
            if self._roster.run_id(writer, now) == self.plan.run_id:
                self._effects.append(SendMessage(writer, EndRun(run_id=self.plan.run_id, n_sent=None)))
            elif self._found is not None and self._found.ended_at is not None:
                part.state = PartState.FINISHED  # the earlier process had sent it the verdict
            else:
                self._lose_part(
                    part, "does not know the run any more" if instance else "does not report: is it running?", now
                )
        if len(self.parts) == self.plan.n_writers:
            self._enter_state(RunState.DRAINING, now)

    def _open_part(self, writer: int, instance: str, now: float) -> None:
        self.parts[writer] = WriterPart(writer, instance, now)
        message = StartRun(
            run_id=self.plan.run_id,
            request_id=self.plan.request_id,
            request=self.plan.request,
            output_file=self.plan.output_file,
            user_id=self.plan.user_id,
            images_per_file=self.plan.images_per_file,
        )
        self._effects.append(SendMessage(writer, message))

    def _distribute(self, taken: NDArray[Any], now: float) -> None:
        if not len(taken):
            return
        images = np.zeros(len(taken), self._entry)
        images["metadata"] = taken
        images["run_id"] = self.plan.run_id
        images["n_images"] = self._n_images or 0
        numbers = np.arange(self.counter.n_taken - len(taken), self.counter.n_taken)
        images["i_image"] = numbers
        images["i_exposure"] = self.counter.exposures
        files = numbers // (self.plan.images_per_file or _ALL_IN_ONE)
        if files[0] == files[-1]:
            self._assign_images(int(files[0]) % self.plan.n_writers, images, now)
            return
        writers = files % self.plan.n_writers
        for writer in np.unique(writers).tolist():
            self._assign_images(writer, images[writers == writer], now)

    def _assign_images(self, writer: int, images: NDArray[Any], now: float) -> None:
        self.parts[writer].assign(images["metadata"]["id"].tolist(), now)
        self._effects.append(SendImages(writer, images))

    def _apply_report(self, part: WriterPart, report: WriterReport, now: float) -> None:
        if self.state is RunState.WRITING_MASTER and report.kind is ReportKind.FAILED:
            # The writer has finished its part, so this is about the master, also if the part had failed before.
            self._fail_run(f"{part.name}: {report.message or 'it cannot go on'}", now)
            return
        if report.kind is ReportKind.MASTER_WRITTEN:
            if self.state is RunState.WRITING_MASTER:
                self._ending.has_master = True
                self._end_run(now)
            return
        had_failed = part.has_failed
        part.feed(report, now)
        if self._found is not None:
            part.n_sent = max(part.n_sent, part.n_written + len(part.lost_ids))
        if report.kind is ReportKind.FAILED and not had_failed:
            self._fail_run(f"{part.name}: {report.message or 'it cannot go on'}", now)

    def _handle_successor(self, part: WriterPart, instance: str, now: float) -> None:
        """Handle a report of a restarted writer: it can take over a part without images, but not continue one."""
        if part.n_sent == 0 and self._found is None:
            self._effects.append(DropUnsent(part.writer))
            if self.is_taking_images:
                self._open_part(part.writer, instance, now)
            else:
                part.instance, part.state = instance, PartState.FINISHED
        elif part in self._awaited_parts() and part.succeeded_at is None:
            part.succeeded_at = now
            if self.is_taking_images:
                self._effects.append(DropUnsent(part.writer))
                self._fail_run(f"{part.name} {_RESTARTED}", now)

    def _check_writers(self, now: float) -> None:
        limit = self.plan.writer_timeout_s
        for part in self._awaited_parts():
            if part.succeeded_at is not None:
                if now - part.succeeded_at >= LAST_WORDS_S:
                    self._lose_part(part, _RESTARTED, now)
                continue
            # Writers without images are not watched while the run takes images. They may have been silent before the
            # end, so their time counts from the end.
            seen_at = part.seen_at if self.is_taking_images else max(part.seen_at, self._entered)
            if now - seen_at >= limit:
                self._lose_part(part, f"reported nothing for {limit:g} s", now)
            elif now - max(part.moved_at, self._entered) >= self._patience_s(part):
                self._lose_part(part, f"made no progress for {self._patience_s(part):g} s", now)

    def _patience_s(self, part: WriterPart) -> float:
        """Return how long a writer that is alive may show no progress, in seconds."""
        if self.state is RunState.DRAINING and part.state is PartState.OPEN:
            return self.plan.writer_timeout_s
        if self.state in {RunState.FINISHING, RunState.WRITING_MASTER}:
            return CLOSING_TIMES * self.plan.writer_timeout_s
        return math.inf

    def _awaited_parts(self) -> list[WriterPart]:
        """Return the parts whose writers have work to do in the present state."""
        parts = list(self.parts.values())
        match self.state:
            case RunState.RUNNING:
                return [part for part in parts if part.n_sent and part.state is PartState.OPEN]
            case RunState.RECOVERING | RunState.DRAINING:
                return [part for part in parts if part.state in {PartState.OPEN, PartState.DRAINED}]
            case RunState.FINISHING:
                return [part for part in parts if part.state is PartState.DRAINED]
            case RunState.WRITING_MASTER:
                return [self.parts[0]]
        return []

    def _lose_part(self, part: WriterPart, what: str, now: float) -> None:
        self._give_up_part(part)
        self._effects.append(DropUnsent(part.writer))
        if self.state is RunState.WRITING_MASTER:
            what += " and has not written the master file"
        else:
            part.state = PartState.LOST
        failure = f"{part.name} {what}"
        if failure not in self._ending.failures:
            self._fail_run(failure, now)

    def _give_up_part(self, part: WriterPart) -> None:
        self._effects.append(GiveUp(part.writer, part.instance, self.plan.run_id))

    def _fail_run(self, reason: str, now: float) -> None:
        self._ending.failures.append(reason)
        if self.is_taking_images:
            self._end_images(now)
        elif self.state is RunState.WRITING_MASTER:
            self._end_run(now)

    def _end_images(self, now: float) -> None:
        """Close the run to further images, and tell the writers."""
        for part in self.parts.values():
            if part.state is PartState.OPEN:
                message = EndRun(run_id=self.plan.run_id, n_sent=part.n_sent)
                self._effects.append(SendMessage(part.writer, message))
        self._enter_state(RunState.DRAINING, now)

    def _advance_state(self, now: float) -> list[Effect]:
        """Enter the next state if all writers have finished the present one; return the collected effects."""
        states = {part.state for part in self.parts.values()}
        if self.state is RunState.DRAINING and PartState.OPEN not in states:
            self._enter_state(RunState.FINISHING, now)
            self._finish_parts(now)
        if self.state is RunState.FINISHING and PartState.DRAINED not in states:
            if states == {PartState.FINISHED} and self.plan.images_per_file and data_files([*self.parts.values()]):
                self._enter_state(RunState.WRITING_MASTER, now)
                report = self.report(now)
                files = list(report.files)
                master = report.model_copy(update={"files": (self.plan.output_file, *files)})
                message = WriteMaster(
                    run_id=self.plan.run_id,
                    output_file=self.plan.output_file,
                    report=master,
                    data_files=files,
                    user_id=self.plan.user_id,
                    logs=dict(self._measured()),
                )
                self._effects.append(SendMessage(0, message))
            else:
                self._end_run(now)
        return self._pop_effects()

    def _finish_parts(self, now: float) -> None:
        report = self.report(now)
        if (report.faults or report.n_lost) and not self._ending.seen:
            self._ending.seen = self._see()
            report = self.report(now)
        self._effects.append(KeepReport(report))
        drained = [part for part in self.parts.values() if part.state is PartState.DRAINED]
        has_logs = drained and not self.plan.images_per_file
        message = FinishRun(run_id=self.plan.run_id, report=report, logs=dict(self._measured()) if has_logs else {})
        self._effects += [SendMessage(part.writer, message) for part in drained]

    def _announce_waiting(self, now: float) -> None:
        """Tell why the first image may not come, when that has changed; after the first time less often."""
        self._next_progress = now + PROGRESS_PERIOD_S
        seen = self._see()
        if seen and seen != self._told:
            self._told = seen
            self._next_progress = now + WAITING_PERIOD_S
            self._effects.append(Announce(Action.PROGRESS, f"waiting for {self._wanted}; {seen}"))

    def _announce_progress(self, now: float) -> None:
        report = self.report(now)
        wanted = "" if self._n_images is None else f" of {self._n_images}"
        # Unlike the report, a progress status does not count images that are still on their way as lost.
        n_lost = self.counter.n_missed + sum(len(part.lost_ids) for part in self.parts.values())
        lost = f", {n_lost} lost" if n_lost else ""
        details = {"n_written": report.n_written, "n_sent": self.counter.n_taken, "n_lost": n_lost}
        if self._n_images is not None:
            details["n_requested"] = self._n_images
        faults = f", {self.plan.recorded.describe_faults(report.faults)}" if report.faults else ""
        message = f"{report.n_written}{wanted} {self.plan.recorded.nouns} written{lost}{faults}"
        self._effects.append(Announce(Action.PROGRESS, message, details))

    def _save_missed(self) -> None:
        """Have the images that never came, and the ids of those that are not good, stored in the journal.

        After a restart of the agent the writers report all other images; those that never came only the agent knows.
        """
        known = (self.counter.n_missed, self._noted.n_incomplete)
        if known == self._kept or self._found is not None:
            return
        self._kept = known
        report = RunReport(
            request_id=self.plan.request_id,
            verdict=Verdict.FAILED,
            n_lost=self.counter.n_missed,
            lost_image_ids=tuple(self.counter.missed_ids()),
            incomplete_image_ids=tuple(self._noted.incomplete),
            incomplete_image_ids_truncated=self._noted.n_more,
            first_image_id=self._noted.first,
            last_image_id=self._noted.last,
            started_at=self._began_at,
        )
        self._effects.append(KeepReport(report))

    def _end_run(self, now: float) -> None:
        if self.plan.images_per_file and not self._ending.has_master and self.report(now).files:
            self._ending.failures.append("there is no master file")
        self._enter_state(RunState.ENDED, now)
        self._effects.append(End(self.report(now)))

    def _enter_state(self, state: RunState, now: float) -> None:
        self.state = state
        self._entered = now

    def _pop_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
