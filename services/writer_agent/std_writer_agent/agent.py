"""WriterAgent: the service that carries out write requests with the h5_writers, one run at a time."""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import zmq
from pydantic import ValidationError

from std_daq.errors import RequestRefusedError
from std_daq.recording.config import RecordingConfig
from std_daq.recording.fence import Fence
from std_daq.recording.recorded import Recorded
from std_daq.recording.requests import Action, RunReport, Verdict
from std_daq.recording.store_stream import WriterReport, encode_entries, encode_run_message
from std_daq.streams.queue import PullQueue
from std_daq.telemetry.documents import Document
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_writer_agent.accepted_request import AcceptedRequest
from std_writer_agent.desk import RequestDesk
from std_writer_agent.disk_watch import DiskWatch
from std_writer_agent.effects import Announce, DropUnsent, Effect, End, GiveUp, KeepReport, SendImages, SendMessage
from std_writer_agent.image_source import ImageSource
from std_writer_agent.metrics import AgentMetrics
from std_writer_agent.outbox import Outbox
from std_writer_agent.plan import RunPlan
from std_writer_agent.reception_watch import ReceptionWatch
from std_writer_agent.roster import WriterRoster
from std_writer_agent.run import AgentRun
from std_writer_agent.run_values import RunValues
from std_writer_agent.status_sender import StatusSender

WAIT_S = 0.05
# A wake-up costs more than the handling of ten images. During a run the agent therefore reads the journal at this
# period, and is not woken up for each image.
BATCH_S = 0.01
READS_A_STEP = 16
REPORTS_A_STEP = 1000
DRAIN_DEADLINE_S = 5.0


class Broker(Protocol):
    """State of the connections to the broker, such as `std_daq.amqp.connection.BrokerConnection`."""

    @property
    def why_away(self) -> str | None:
        """Why the broker is not reachable; None while it is connected."""

    @property
    def why_blocked(self) -> str | None:
        """Why the broker takes no messages although it is connected; None while it takes them."""

    @property
    def n_waiting(self) -> int:
        """Messages that wait to be published."""

    def close(self) -> None:
        """Send what waits, if possible, and close the connections."""


class WriterAgent:
    """The service: passes images, reports and messages between the current run and the other parts.

    Parameters
    ----------
    config
        Configuration of the system.
    recorded
        What is recorded: images or events.
    desk
        Takes requests and kills from the broker.
    statuses
        Publishes the statuses of requests; the agent calls its `step`.
    images
        Follows the published images.
    values
        Keeps what other programs measure.
    reception
        Tells what the receivers see.
    reports
        Queue of the writers' reports.
    outboxes
        Messages to the writers, one outbox for each writer.
    fences
        Tell writers that were given up, one fence for each writer.
    metrics
        Metrics of the agent.
    disks
        Watches the room on the disks of the output roots.
    documents
        What the endpoint offers beside metrics and health.
    broker
        Connections to the broker. They are closed with the agent, after waiting statuses have been sent if possible.
    clock
        Returns the monotonic time in seconds.
    """

    def __init__(
        self,
        *,
        config: RecordingConfig,
        recorded: Recorded,
        desk: RequestDesk,
        statuses: StatusSender,
        images: ImageSource,
        values: RunValues,
        reception: ReceptionWatch,
        reports: PullQueue,
        outboxes: Sequence[Outbox],
        fences: Sequence[Fence],
        metrics: AgentMetrics,
        disks: DiskWatch,
        documents: Mapping[str, Document],
        broker: Broker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._recorded = recorded
        self._desk = desk
        self._statuses = statuses
        self._images = images
        self._values = values
        self._reception = reception
        self._reports = reports
        self._outboxes = outboxes
        self._fences = fences
        self._metrics = metrics
        self._disks = disks
        self.documents = documents
        self._broker = broker
        self._clock = clock
        self._log = get_logger()
        self._conditions = ConditionLog()
        self._roster = WriterRoster()
        self._run: AgentRun | None = None
        self._poller = zmq.Poller()
        self._poller.register(reports.socket, zmq.POLLIN)
        self._images.look()
        self._desk.restore()

    @property
    def is_ready(self) -> bool:
        """Whether the agent takes requests, or carries one out."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """Reason why the agent is not ready, in a few words; None if it is ready.

        The agent is not ready while no request can come, because the broker is away or takes no messages, or while none
        is accepted, because the journal has no room. During a run
        it is always ready. A run goes on without the broker, and an orchestrator that restarts
        services that are not ready would end it.
        """
        if self._run is not None:
            return None
        return self._broker.why_away or self._broker.why_blocked or self._desk.why_full

    def step(self) -> None:
        """Handle new images, reports and messages; wait at most 0.05 s for them."""
        self._wait()
        # The order matters. Images that are published already belong to the run, so they come before a kill. Reports
        # come before the check for silent writers: if this process was stopped for a while, the reports are in its
        # queue, and no writer counts as silent.
        self._guard_run(self._feed_images)
        self._guard_run(self._handle_reports)
        if self._desk.handle_messages():
            self._guard_run(self._kill_run)
        self._begin_next_run()
        self._guard_run(self._poll_run)
        self._step_queues()

    def close(self) -> None:
        """End the run as failed, within 5 s; requests that have not started stay in the journal for the next start."""
        if self._run is not None and self._desk.has_started:
            self._apply_effects(self._run.fail("the writer agent was stopped", self._clock()))
            deadline = self._clock() + DRAIN_DEADLINE_S
            while self._run is not None and self._clock() < deadline:
                self._wait()
                self._handle_reports()
                self._poll_run()
                self._step_queues()
            if self._run is not None:
                self._apply_effects(self._run.give_up("the writers did not finish in time", self._clock()))
        self._statuses.step()
        self._broker.close()
        self._statuses.step()
        for outbox in self._outboxes:
            outbox.close()
        for fence in self._fences:
            fence.close()
        self._reports.close()
        self._images.close()
        self._desk.close()
        self._disks.close()

    def _wait(self) -> None:
        """Wait for something to do; images count only while a run takes them."""
        if self._run is None or not self._run.has_writers:
            self._poller.poll(int(WAIT_S * 1000))
            return
        deadline = self._clock() + WAIT_S
        time.sleep(BATCH_S)
        while not self._images.lag and self._clock() < deadline:
            time.sleep(BATCH_S)

    def _feed_images(self) -> None:
        if self._run is None or not self._run.has_writers:
            self._images.look()
            return
        run = self._run
        for _ in range(READS_A_STEP):
            part = self._images.read() if run.is_taking_images else None
            if part is None:
                break
            effects = run.feed_images(part.entries, part.n_lost, self._clock(), self._images.frame_index_step)
            self._images.put_back(run.counter.n_left_over)
            self._apply_effects(effects)

    def _handle_reports(self) -> None:
        for _ in range(REPORTS_A_STEP):
            message = self._reports.pull()
            if message is None:
                break
            try:
                report = WriterReport.model_validate_json(message)
            except ValidationError as error:
                self._conditions.warning("report_not_understood", error=str(error.errors()[0]["msg"]))
                continue
            now = self._clock()
            self._roster.feed(report, now)
            if self._run is not None:
                self._apply_effects(self._run.feed_report(report, now))

    def _begin_next_run(self) -> None:
        if self._run is not None:
            return
        accepted = self._desk.begin_next()
        if accepted is None:
            return
        try:
            self._images.begin(accepted.asked_at, accepted.request.start_image_id)
            self._run = self._make_run(accepted)
        except RequestRefusedError as error:
            self._desk.fail(str(error))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it must not end the next process as well
            self._log.exception("run_not_begun", request_id=accepted.entry.request_id)
            self._desk.fail(f"the writer agent cannot begin this run: {error!r}")
        else:
            self._desk.note_begun()

    def _make_run(self, accepted: AcceptedRequest) -> AgentRun:
        entry = accepted.entry
        plan = RunPlan.of_request(
            self._config,
            self._recorded,
            run_id=entry.run_id,
            request_id=entry.request_id,
            request=accepted.request,
            output_file=entry.output_file,
        )
        found = None
        if accepted.has_begun:
            began_at = datetime.fromtimestamp(entry.accepted_at, UTC)
            nothing = RunReport(request_id=entry.request_id, verdict=Verdict.FAILED, started_at=began_at)
            found = entry.report or nothing
        self._reception.begin()
        return AgentRun(
            plan,
            self._roster,
            self._clock(),
            datetime.now(UTC),
            found=found,
            see=self._reception.describe,
            measured=self._values.hand_over,
        )

    def _guard_run(self, work: Callable[[], None]) -> None:
        """Do a part of a step; an error that nobody foresaw ends the run, and not the agent.

        If it ended the agent, a run that waits for its first image would begin again with the next process, and would
        end that one, too.
        """
        try:
            work()
        except sqlite3.Error:
            raise  # nothing can be promised any more without the journal
        except Exception as error:
            if self._run is None:
                raise
            self._log.exception("run_disturbed", request_id=self._run.plan.request_id)
            reason = f"the writer agent cannot go on with this run: {error!r}"
            end = self._run.fail if self._run.is_taking_images else self._run.give_up
            self._apply_effects(end(reason, self._clock()))

    def _kill_run(self) -> None:
        if self._run is not None:
            self._apply_effects(self._run.kill(self._clock()))

    def _poll_run(self) -> None:
        if self._run is not None:
            self._apply_effects(self._run.poll(self._clock()))

    def _step_queues(self) -> None:
        """Send what waits for a writer or for the broker, and update the metrics."""
        for outbox in self._outboxes:
            outbox.flush()
        self._statuses.step()
        self._metrics.show(self._run)
        self._metrics.queued.set(self._desk.n_queued)
        self._metrics.backlog.set(sum(len(outbox) for outbox in self._outboxes))
        is_taking = self._run is not None and self._run.is_taking_images
        self._metrics.ring.show(self._images.lag if is_taking else 0, self._images.n_slots)
        self._metrics.show_broker(
            is_connected=self._broker.why_away is None,
            why_blocked=self._broker.why_blocked,
            n_waiting=self._broker.n_waiting,
        )

    def _apply_effects(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendImages(writer=writer, images=images):
                    self._outboxes[writer].put(*encode_entries(images))
                    self._metrics.sent.inc(len(images))
                case SendMessage(writer=writer, message=message):
                    self._outboxes[writer].put(encode_run_message(message))
                case GiveUp(writer=writer, instance=instance, run_id=run_id):
                    self._fences[writer].give_up(instance, run_id)
                case DropUnsent(writer=writer):
                    self._outboxes[writer].clear()
                case Announce(action=action):
                    if action is Action.START:
                        self._desk.start()
                        self._values.open()
                    self._desk.announce(self._with_reason(effect))
                case KeepReport(report=report):
                    self._desk.keep_report(report)
                case End(report=report):
                    self._run = None
                    self._values.end()
                    self._desk.end(report)

    def _with_reason(self, what: Announce) -> Announce:
        if what.action is Action.PROGRESS and not self._images.has_ring:
            return Announce(what.action, f"{what.message}; {self._recorded.no_ring}")
        return what
