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

TLS_PORT = 5671
PLAIN_PORT = 5672


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
        default=["rabbitmq"],
        metavar="HOST",
        help="host names of the RabbitMQ nodes; by default rabbitmq",
    )
    parser.add_argument(
        "--port", type=port_number, help=f"port of RabbitMQ; by default {PLAIN_PORT}, with --tls {TLS_PORT}"
    )
    parser.add_argument(
        "--listen-on",
        default="0.0.0.0",  # noqa: S104 -- a server in a container must listen on all of its addresses
        metavar="ADDRESS",
        help="address on which RabbitMQ listens; by default %(default)s, all addresses of its container",
    )
    parser.add_argument("--vhost", default="std-daq", metavar="NAME", help="virtual host; by default std-daq")
    parser.add_argument(
        "--tls",
        action="store_true",
        help="accept only TLS, with ca.pem, broker-cert.pem and broker-key.pem from the folder",
    )
    parser.add_argument(
        "--queue-type",
        choices=["default", "classic", "quorum"],
        help="type of the queues; with --tag, give the broker.queue_type of the systems",
    )
    parser.add_argument(
        "--mounted-at",
        type=Path,
        default=Path("/etc/rabbitmq"),
        metavar="FOLDER",
        help="path at which RabbitMQ sees the folder; by default /etc/rabbitmq",
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the files to the folder; returns the exit code."""
    from std_daq.rabbitmq.setup_folder import CONFIGURATION, DEFINITIONS, BrokerSetup, write_setup

    check_output_folder(arguments.output, "--output")
    tags, queue_type = _tags_and_queue_type(arguments)
    setup = BrokerSetup(
        tags=tags,
        hosts=arguments.host,
        port=arguments.port or (TLS_PORT if arguments.tls else PLAIN_PORT),
        listen_on=arguments.listen_on,
        vhost=arguments.vhost,
        has_tls=arguments.tls,
        queue_type=queue_type,
        mounted_at=arguments.mounted_at,
    )
    folder: Path = arguments.output
    url_files = {file: role.purpose for role, file in write_setup(setup, folder)}
    purposes = url_files | {
        folder / DEFINITIONS: "RabbitMQ's load_definitions",
        folder / CONFIGURATION: "RabbitMQ's configuration",
    }
    if arguments.json:
        print(json.dumps([{"file": str(file), "purpose": purpose} for file, purpose in purposes.items()], indent=2))
    else:
        for file, purpose in purposes.items():
            print(f"{file}  {purpose}")
    for file in sorted({*folder.glob("*.url")} - url_files.keys()):
        print(
            f"{file} belongs to no system that this call names: add its tag, or remove the file and the user in "
            f"RabbitMQ (rabbitmqctl delete_user {file.stem})",
            file=sys.stderr,
        )
    return 0


def _tags_and_queue_type(arguments: argparse.Namespace) -> "tuple[list[str], QueueType]":
    """Return the tags of the systems, and the type of queues, which must be the same for all systems."""
    from std_daq.config.system import load_any_config

    if arguments.tag is not None:
        return list(dict.fromkeys(arguments.tag)), arguments.queue_type or "default"
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
