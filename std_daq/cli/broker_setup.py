"""Make users, rights and queues for a RabbitMQ of one's own, in a folder.

The folder gets one file with a URL and its password for each role (mode 0600), and definitions.json and rabbitmq.conf
for RabbitMQ. Passwords that are in it stay, so that it can be run again. RabbitMQ reads the definitions at its start.
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
        "--config", nargs="+", type=Path, metavar="FILE", help="the configurations of all systems that use it"
    )
    who.add_argument(
        "--tag", nargs="+", type=broker_tag, metavar="TAG", help="or their tags, which are their names by default"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="the folder; made if need be")
    parser.add_argument(
        "--host", nargs="+", default=["rabbitmq"], metavar="HOST", help="names of its nodes; by default rabbitmq"
    )
    parser.add_argument("--port", type=port_number, help=f"by default {PLAIN_PORT}, with TLS {TLS_PORT}")
    parser.add_argument(
        "--listen-on",
        default="0.0.0.0",  # noqa: S104 -- in a container there is no other way to be reached
        metavar="ADDRESS",
        help="address on which RabbitMQ listens; by default all of its container's",
    )
    parser.add_argument("--vhost", default="std-daq", metavar="NAME", help="virtual host; by default std-daq")
    parser.add_argument(
        "--tls", action="store_true", help="TLS only, with ca.pem, broker-cert.pem and broker-key.pem of the folder"
    )
    parser.add_argument(
        "--queue-type",
        choices=["default", "classic", "quorum"],
        help="with --tag: as broker.queue_type of the systems says",
    )
    parser.add_argument(
        "--mounted-at",
        type=Path,
        default=Path("/etc/rabbitmq"),
        metavar="FOLDER",
        help="where RabbitMQ finds the files; by default /etc/rabbitmq",
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the folder; returns the exit code."""
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
            f"{file} is of nobody named here: name its tag as well, or remove it and the user "
            f"(rabbitmqctl delete_user {file.stem}), whom RabbitMQ knows still",
            file=sys.stderr,
        )
    return 0


def _tags_and_queue_type(arguments: argparse.Namespace) -> "tuple[list[str], QueueType]":
    """Return the tags of the systems, and the type of queues that they agree on."""
    from std_daq.config.system import load_any_config

    if arguments.tag is not None:
        return list(dict.fromkeys(arguments.tag)), arguments.queue_type or "default"
    configs = {file: load_any_config(file) for file in arguments.config}
    queue_type: QueueType = arguments.queue_type or next(iter(configs.values())).broker.queue_type
    for file, config in configs.items():
        if config.broker.queue_type != queue_type:
            raise ConfigError(
                f"the queues of one broker are to be of one type, which is {queue_type} elsewhere",
                file=file,
                key="broker.queue_type",
                value=config.broker.queue_type,
            )
    return list(dict.fromkeys(config.tag for config in configs.values())), queue_type
