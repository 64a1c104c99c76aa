"""Description of writer_agent for the platform: its processes and its options."""

import argparse
import os

from std_daq.recording.config import RecordingConfig
from std_daq.service.checks import Check
from std_daq.service.description import Instance, ServiceDescription
from std_daq.service.host_access import HostAccess


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from std_daq.amqp.address import url_argument

    parser.add_argument(
        "--broker-url",
        metavar="URL",
        type=url_argument,
        help="URL of the broker, amqp://..., without password; by default the detector's broker",
    )


def _instances(config: RecordingConfig) -> list[Instance]:  # noqa: ARG001 - each system has one writer agent
    return [Instance("writer-agent")]


def _check_tag(config: RecordingConfig) -> None:
    from std_daq.amqp.topology import check_tag

    check_tag(config.tag)


def check_folders(config: RecordingConfig) -> None:
    """Check the output folders; if files belong to another user, only the writers, who act as that user, can."""
    from std_daq.recording.output_roots import check_output_roots

    if config.writer_user_id in {None, os.geteuid()}:
        check_output_roots(config)


def _check_journal(config: RecordingConfig) -> None:
    from std_writer_agent.journal import check_journal

    check_journal(config)


def _check_broker(config: RecordingConfig) -> None:
    """Check the files that the configuration names for the broker; whether it answers is another question."""
    from std_daq.amqp.broker_lookup import given_broker_address
    from std_daq.amqp.tls import tls_options

    address = given_broker_address(config, environ={})
    if address is not None and any(url.startswith("amqps:") for url in address.urls):
        tls_options(address.tls, "localhost")


TAG = Check(subject="request tag", run=_check_tag)
FOLDERS = Check(subject="output folders", run=check_folders, is_of_machine=True)
JOURNAL = Check(subject="journal", run=_check_journal, is_of_machine=True, is_part_of_start=True)
BROKER = Check(subject="broker files", run=_check_broker, is_of_machine=True, is_part_of_start=True)


def _host_access(config: RecordingConfig) -> HostAccess:
    # Where files belong to this user, the agent checks at the start that it could write to the roots.
    is_own_user = config.writer_user_id is None
    return HostAccess(
        writes=tuple(config.writer.output_roots) if is_own_user else (),
        is_bound_to=bool(config.writer.output_roots) or not is_own_user,
        state=() if config.writer.journal is None else (config.writer.journal,),
    )


SERVICE = ServiceDescription(
    name="writer-agent",
    package="std_writer_agent",
    summary="Carries out write requests with the h5_writers.",
    config=RecordingConfig,
    instances=_instances,
    needs_broker=True,
    checks=(TAG, FOLDERS, JOURNAL, BROKER),
    host_access=_host_access,
    add_arguments=_add_arguments,
)
