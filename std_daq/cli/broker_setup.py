"""Make users, rights and queues for a RabbitMQ of one's own, in a folder.

The folder gets one file with a URL and its password for each role (mode 0600), and definitions.json and rabbitmq.conf
for RabbitMQ. Passwords that are in it stay, so that it can be run again. RabbitMQ reads the definitions at its start.
"""

import argparse
from pathlib import Path

from std_daq.cli.argument_types import positive_integer

TLS_PORT = 5671
PLAIN_PORT = 5672


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--tag", required=True, nargs="+", metavar="TAG", help="tags (detector names) of all detectors that use it"
    )
    parser.add_argument("--directory", required=True, type=Path, metavar="DIR", help="the folder; made if need be")
    parser.add_argument(
        "--host", nargs="+", default=["rabbitmq"], metavar="HOST", help="names of its nodes; by default rabbitmq"
    )
    parser.add_argument("--port", type=positive_integer, help=f"by default {PLAIN_PORT}, with TLS {TLS_PORT}")
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
        default="default",
        help="as broker.queue_type of the detectors says",
    )
    parser.add_argument(
        "--mounted-at",
        type=Path,
        default=Path("/etc/rabbitmq"),
        metavar="DIR",
        help="where RabbitMQ finds the files; by default /etc/rabbitmq",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the folder; returns the exit code."""
    from std_daq.broker.setup_folder import CONFIGURATION, DEFINITIONS, BrokerSetup, write_setup

    setup = BrokerSetup(
        tags=list(dict.fromkeys(arguments.tag)),
        hosts=arguments.host,
        port=arguments.port or (TLS_PORT if arguments.tls else PLAIN_PORT),
        listen_on=arguments.listen_on,
        vhost=arguments.vhost,
        has_tls=arguments.tls,
        queue_type=arguments.queue_type,
        mounted_at=arguments.mounted_at,
    )
    for role, file in write_setup(setup, arguments.directory):
        print(f"{file}  {role.purpose}")
    print(f"{arguments.directory / DEFINITIONS}  RabbitMQ's load_definitions")
    print(f"{arguments.directory / CONFIGURATION}  RabbitMQ's configuration")
    return 0
