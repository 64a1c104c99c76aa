"""The command ``std-writer-agent``."""

import sys
from collections.abc import Sequence

from std_daq.recording.config import RecordingConfig
from std_daq.service import Service, ServiceContext, run_service
from std_writer_agent.service import SERVICE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


# A broker that starts beside the agent, as with std-daq up, takes some seconds.
BROKER_STARTS_S = 15.0


def start(context: ServiceContext[RecordingConfig]) -> Service:
    """Build the parts of the service and put them together."""
    from std_daq.amqp.broker_lookup import broker_address_of
    from std_daq.amqp.connection import BrokerConnection
    from std_daq.amqp.topology import WriterQueues
    from std_daq.config.paths import runtime_dir
    from std_daq.recording.addresses import fence_path, store_address, store_reports_address
    from std_daq.recording.fence import Fence
    from std_daq.recording.journal_copy import journal_path
    from std_daq.recording.request_channel import RequestConsumer
    from std_daq.recording.status_channel import StatusPublisher
    from std_daq.streams.queue import PullQueue, PushQueue
    from std_writer_agent import request_preview, run_history
    from std_writer_agent.admission import Admission
    from std_writer_agent.agent import WriterAgent
    from std_writer_agent.content import content_of
    from std_writer_agent.desk import RequestDesk
    from std_writer_agent.disk_watch import DiskWatch
    from std_writer_agent.file_claims import FOLDER, FileClaims
    from std_writer_agent.image_source import ImageSource
    from std_writer_agent.journal import RequestJournal
    from std_writer_agent.metrics import AgentMetrics
    from std_writer_agent.outbox import Outbox
    from std_writer_agent.run_values import RunValues
    from std_writer_agent.status_sender import StatusSender

    config = context.config
    content = content_of(config)
    claims = FileClaims(runtime_dir(config).parent / FOLDER, config.name)
    admission = Admission(config, content.rules, claims.find_claimant)
    journal = RequestJournal(journal_path(config))
    address = broker_address_of(config, context.arguments.broker_url)
    topology = WriterQueues(config.tag, config.broker.queue_type, takes_values=bool(config.value_units))
    connection = BrokerConnection(
        address, topology, name=f"{config.tag} writer-agent", publishes=True, patience_s=BROKER_STARTS_S
    )
    images = ImageSource(content.attach, content.recorded.noun)
    metrics = AgentMetrics(context.registry)
    values = RunValues(config.value_units, metrics.count_values)
    statuses = StatusSender(StatusPublisher(connection), journal, source=config.tag)
    desk = RequestDesk(
        consumer=RequestConsumer(connection, config.tag),
        journal=journal,
        statuses=statuses,
        admission=admission,
        claims=claims,
        images=images,
        max_queued=config.writer.max_queued_requests,
        on_end=metrics.count_end,
        take_values=values.take,
    )
    agent = WriterAgent(
        config=config,
        recorded=content.recorded,
        desk=desk,
        statuses=statuses,
        images=images,
        values=values,
        reception=content.reception,
        reports=PullQueue(store_reports_address(config), bind=True),
        outboxes=[
            Outbox(PushQueue(store_address(config, writer), bind=True)) for writer in range(config.number_of_writers)
        ],
        fences=[Fence(fence_path(config, writer)) for writer in range(config.number_of_writers)],
        metrics=metrics,
        disks=DiskWatch(context.registry, [str(root) for root in config.writer.output_roots]),
        documents={
            run_history.PATH: run_history.RunHistory(journal).document,
            request_preview.PATH: request_preview.RequestPreview(admission.admit, desk.taken_names).document,
        },
        broker=connection,
    )
    connection.start()
    return agent


if __name__ == "__main__":
    sys.exit(main())
