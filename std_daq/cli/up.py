"""Run all services of a system on this machine until SIGINT or SIGTERM; print "ready" when all of them are ready.

The configuration decides which services run. If a service needs RabbitMQ, the services use the broker that is
configured or given, or else a throwaway RabbitMQ that ends with this command. The logs of the services go to standard
error, with the name of the service in front of each line. A service that dies later is started again.
"""

import argparse
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_number
from std_daq.cli.interrupt import StopSignals
from std_daq.cli.service_group import run_services
from std_daq.cli.shared_options import add_broker_url_option, add_config_option
from std_daq.errors import ConfigError

if TYPE_CHECKING:
    from std_daq.config.platform import PlatformConfig
    from std_daq.config.up_lock import UpLock
    from std_daq.rabbitmq.throwaway import GivenBroker, ThrowawayBroker
    from std_daq.service.registry import WantedInstance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_option(parser)
    add_broker_url_option(parser, "STD_DAQ_BROKER_URL or that of the configuration, else a throwaway RabbitMQ")
    parser.add_argument(
        "--ready-timeout-s",
        "--ready-timeout",
        type=positive_number,
        default=180.0,
        metavar="SECONDS",
        help="time for all services to become ready; by default %(default)s",
    )
    parser.add_argument("--keep-rings", action="store_true", help="leave the rings in shared memory at the end")


def run(arguments: argparse.Namespace) -> int:
    """Run the services until a signal arrives; returns the exit code."""
    from std_daq.cli.system_rings import SystemRings
    from std_daq.config.system import load_any_config
    from std_daq.config.up_lock import UpLock
    from std_daq.telemetry.logs import configure_logs

    stop = StopSignals().event
    config = load_any_config(arguments.config)
    wanted = _wanted(config, arguments.config)
    configure_logs(config.log_level, service="up")
    with UpLock(config) as lock, SystemRings(config, keep=arguments.keep_rings):
        if any(one.service.needs_broker for one in wanted):
            _run_with_broker(config, wanted, arguments, lock, stop)
        else:
            _supervise(config, wanted, arguments, lock, stop)
    return 0


def _wanted(config: "PlatformConfig", file: Path) -> "list[WantedInstance]":
    """Return the services to start.

    An error that every service would report is raised here once, before any service starts.
    """
    from std_daq.service.registry import check_wanted, wanted_instances

    try:
        wanted = wanted_instances(config)
        for result in check_wanted(config, wanted):
            if result.error is not None:
                raise result.error
    except ConfigError as error:
        raise error if error.file else error.in_file(file) from None
    return wanted


def _run_with_broker(
    config: "PlatformConfig",
    wanted: "list[WantedInstance]",
    arguments: argparse.Namespace,
    lock: "UpLock",
    stop: threading.Event,
) -> None:
    from std_daq.amqp.broker_lookup import given_broker_address
    from std_daq.amqp.url_file import save_url_file
    from std_daq.config.paths import broker_url_file
    from std_daq.rabbitmq.throwaway import launch_broker
    from std_daq.telemetry.logs import get_logger

    given = given_broker_address(config, arguments.broker_url)
    with launch_broker(given) as broker:
        get_logger().info("broker", url=str(broker.address), is_throwaway=given is None)
        save_url_file(broker_url_file(config), broker.address.text)
        try:
            _supervise(config, wanted, arguments, lock, stop, broker)
        finally:
            broker_url_file(config).unlink(missing_ok=True)


def _supervise(
    config: "PlatformConfig",
    wanted: "list[WantedInstance]",
    arguments: argparse.Namespace,
    lock: "UpLock",
    stop: threading.Event,
    broker: "GivenBroker | ThrowawayBroker | None" = None,
) -> None:
    from std_daq.amqp.address import VARIABLE

    run_services(
        config,
        [one.command(arguments.config) for one in wanted],
        stop,
        ready_timeout_s=arguments.ready_timeout_s,
        environment={} if broker is None else {VARIABLE: broker.address.text},
        companion=broker,
        note_ready=lock.note_ready,
    )
