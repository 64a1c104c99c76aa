"""Make a folder with the users, rights and queues for your own RabbitMQ.

The command writes one file per role with its URL and password (mode 0600), and definitions.json and rabbitmq.conf for
RabbitMQ. RabbitMQ reads the definitions when it starts. Run the command again to add systems: existing passwords stay.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import broker_tag, port_number
from std_daq.cli.path_checks import check_output_folder
from std_daq.cli.shared_options import add_json_option
from std_daq.errors import ConfigError

if TYPE_CHECKING:
    from std_daq.amqp.topology import QueueType
    from std_daq.rabbitmq.kept_setup import KeptSetup


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--config",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="the configurations of all systems that use this RabbitMQ",
    )
    who.add_argument(
        "--tag",
        nargs="+",
        type=broker_tag,
        metavar="TAG",
        help="instead: the tags of these systems; the tag of a system is its name by default",
    )
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="the folder; created if missing")
    parser.add_argument(
        "--host",
        nargs="+",
        metavar="HOST",
        help="host names of the RabbitMQ nodes; by default those of the folder, or rabbitmq",
    )
    parser.add_argument(
        "--port",
        type=port_number,
        help="port of RabbitMQ; by default that of the folder, or 5672, with TLS 5671",
    )
    parser.add_argument(
        "--listen-on",
        metavar="ADDRESS",
        help="address on which RabbitMQ listens; by default that of the folder, or 0.0.0.0, all of its container",
    )
    parser.add_argument("--vhost", metavar="NAME", help="virtual host; by default that of the folder, or std-daq")
    parser.add_argument(
        "--tls",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="accept only TLS, with ca.pem, broker-cert.pem and broker-key.pem from the folder; --no-tls: no TLS; by "
        "default as the folder has it, which is without TLS if it is new",
    )
    parser.add_argument(
        "--queue-type",
        choices=["default", "classic", "quorum"],
        help="type of the queues; with --tag, give the broker.queue_type of the systems, which the folder keeps",
    )
    parser.add_argument(
        "--mounted-at",
        type=Path,
        metavar="FOLDER",
        help="path at which RabbitMQ sees the folder; by default that of an earlier call, or /etc/rabbitmq",
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the files to the folder; returns the exit code."""
    from std_daq.rabbitmq.kept_setup import KeptSetup
    from std_daq.rabbitmq.setup_folder import CONFIGURATION, DEFINITIONS, BrokerSetup, write_setup

    check_output_folder(arguments.output, "--output")
    folder: Path = arguments.output
    tags, queue_type = _tags_and_queue_type(arguments)
    given = KeptSetup(
        tags=tags,
        hosts=arguments.host,
        port=arguments.port,
        listen_on=arguments.listen_on,
        vhost=arguments.vhost,
        has_tls=arguments.tls,
        queue_type=queue_type,
        mounted_at=None if arguments.mounted_at is None else str(arguments.mounted_at),
    )
    before = KeptSetup.read(folder)
    wanted = (before or KeptSetup.new()).changed_by(given)
    url_files = {file: role.purpose for role, file in write_setup(BrokerSetup.of(wanted), folder)}
    wanted.write(folder)
    purposes = url_files | {
        folder / DEFINITIONS: "RabbitMQ's load_definitions",
        folder / CONFIGURATION: "RabbitMQ's configuration",
    }
    if arguments.json:
        print(json.dumps([{"file": str(file), "purpose": purpose} for file, purpose in purposes.items()], indent=2))
    else:
        for file, purpose in purposes.items():
            print(f"{file}  {purpose}")
    if before is not None:
        _tell_what_changed(before, wanted, given)
    for file in sorted({*folder.glob("*.url")} - url_files.keys()):
        print(
            f"{file} belongs to no system that this call names: add its tag, or remove the file and the user in "
            f"RabbitMQ (rabbitmqctl delete_user {file.stem})",
            file=sys.stderr,
        )
    return 0


def _tell_what_changed(before: "KeptSetup", wanted: "KeptSetup", given: "KeptSetup") -> None:
    for line in before.differences(wanted):
        print(f"changed: {line}", file=sys.stderr)
    kept = [tag for tag in before.tags if tag not in given.tags]
    if kept:
        print(
            f"kept, although this call does not name them: {', '.join(kept)}; to drop one, remove its .url files, call "
            "this again, and remove its users in RabbitMQ (rabbitmqctl delete_user)",
            file=sys.stderr,
        )


def _tags_and_queue_type(arguments: argparse.Namespace) -> "tuple[list[str], QueueType | None]":
    """Return the tags of the systems, and the type of queues, which must be the same for all; None if not given."""
    from std_daq.config.system import load_any_config

    if arguments.tag is not None:
        return list(dict.fromkeys(arguments.tag)), arguments.queue_type
    configs = {file: load_any_config(file) for file in arguments.config}
    queue_type: QueueType = arguments.queue_type or next(iter(configs.values())).broker.queue_type
    for file, config in configs.items():
        if config.broker.queue_type != queue_type:
            raise ConfigError(
                f"all queues of a broker must have the same type, and another configuration has {queue_type}",
                file=file,
                key="broker.queue_type",
                value=config.broker.queue_type,
            )
    return list(dict.fromkeys(config.tag for config in configs.values())), queue_type
