"""Run all services of a system on this machine until SIGINT or SIGTERM; print "ready" when all of them are ready.

The configuration decides which services run. If a service needs RabbitMQ, the services use the broker that is
configured or given, or else a throwaway RabbitMQ that ends with this command. The logs of the services go to standard
error, with the name of the service in front of each line. A service that dies later is started again.
"""

import argparse
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_number
from std_daq.cli.interrupt import StopSignals
from std_daq.cli.service_group import run_services
from std_daq.cli.shared_options import add_broker_url_option, add_config_option
from std_daq.errors import ArgumentError, ConfigError
from std_daq.number_arguments import integer

if TYPE_CHECKING:
    from std_daq.config.platform import PlatformConfig
    from std_daq.config.up_lock import UpLock
    from std_daq.rabbitmq.throwaway import GivenBroker, ThrowawayBroker
    from std_daq.service.registry import WantedInstance
    from std_daq.service.supervisor import ServiceCommand

_WEB = "web"
_CONFIGURED = -1
_LAST_PORT = 65_535


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
    parser.add_argument(
        "--web",
        type=_port,
        nargs="?",
        const=_CONFIGURED,
        metavar="PORT",
        help="also run the console, a page for browsers: std-web, by default on the port in services.web, or 5000",
    )
    parser.add_argument("--keep-rings", action="store_true", help="leave the rings in shared memory at the end")


def run(arguments: argparse.Namespace) -> int:
    """Run the services until a signal arrives; returns the exit code."""
    from std_daq.cli.system_rings import SystemRings
    from std_daq.config.system import load_any_config
    from std_daq.config.up_lock import UpLock
    from std_daq.telemetry.logs import configure_logs

    stop = StopSignals().event
    read_ns = time.time_ns()
    config = load_any_config(arguments.config)
    wanted = _with_web(_wanted(config, arguments.config), arguments.web)
    arguments.read_ns = read_ns
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


def _with_web(wanted: "list[WantedInstance]", port: int | None) -> "list[WantedInstance]":
    """Return the services with the console, if the command line asks for it."""
    from std_daq.service.description import Instance
    from std_daq.service.registry import WantedInstance, service_descriptions

    if port is None:
        return wanted
    others = [one for one in wanted if one.service.name != _WEB]
    arguments = () if port == _CONFIGURED else ("--port", str(port))
    service = next((service for service in service_descriptions() if service.name == _WEB), None)
    if service is None:
        raise ArgumentError("--web", "the console is not installed", remedy="pip install 'std-daq[web]'")
    return [*others, WantedInstance(service, Instance(_WEB, arguments))]


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
    from std_daq.service.deployment import DeploymentWatch

    watch = DeploymentWatch(config, arguments.read_ns)

    def renewed() -> "list[ServiceCommand] | None":
        return _wanted_now(arguments) if watch.is_superseded() else None

    run_services(
        config,
        [one.command(arguments.config) for one in wanted],
        stop,
        ready_timeout_s=arguments.ready_timeout_s,
        environment={} if broker is None else {VARIABLE: broker.address.text},
        companion=broker,
        note_ready=lock.note_ready,
        renewed=renewed,
    )


def _wanted_now(arguments: argparse.Namespace) -> "list[ServiceCommand] | None":
    """Return the services that a replaced configuration needs; None if it is wrong, so that those that run stay."""
    from std_daq.config.system import load_any_config
    from std_daq.service.registry import wanted_instances
    from std_daq.telemetry.logs import get_logger

    try:
        wanted = _with_web(wanted_instances(load_any_config(arguments.config)), arguments.web)
    except ConfigError as error:
        get_logger().error("configuration_wrong", error=str(error))
        return None
    return [one.command(arguments.config) for one in wanted]


def _port(text: str) -> int:
    value = integer(text)
    if not 0 <= value <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{value} is not a port number from 0 to {_LAST_PORT}")
    return value
