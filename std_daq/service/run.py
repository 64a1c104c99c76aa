"""The life of every service: start, report ready, call ``step`` until a signal arrives, close, end.

Exit codes: 0 if the service was told to end, 1 if it failed and may be restarted, 2 if the configuration is wrong or a
library is missing. A service that holds (`Hold`) does not end if it cannot start. One whose configuration was replaced
(`DeploymentWatch`) starts again.
"""

import argparse
import atexit
import gc
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Generic, Protocol, TextIO, TypeVar

from prometheus_client import CollectorRegistry

from std_daq.config.paths import make_runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.config.system import read_config_of
from std_daq.errors import EXIT_DONE, EXIT_FAILED, ConfigError, StdDaqError
from std_daq.extras import extras_explained
from std_daq.native.compiling import observed_by
from std_daq.service.arguments import service_parser
from std_daq.service.deployment import DeploymentWatch
from std_daq.service.description import ServiceDescription
from std_daq.service.end_with_supervisor import end_with_supervisor
from std_daq.service.hold import SIGNALS, Hold, start_again
from std_daq.service.notify import ManagerNotifier
from std_daq.service.presence import Presence
from std_daq.service.readiness import HasReadiness, Readiness
from std_daq.service.readiness_log import ReadinessLog
from std_daq.service.stop_event import StopEvent
from std_daq.streams.descriptors import MIN_SAFE, raise_limit
from std_daq.telemetry.logs import configure_logs, get_logger
from std_daq.telemetry.metrics import make_registry


class Service(HasReadiness, Protocol):
    """The methods that `run_service` calls; the class may also say why it is not ready (`TellsWhyNot`)."""

    def step(self) -> None:
        """Do the work that is pending, or wait at most about 0.1 s for work."""

    def close(self) -> None:
        """Finish the work that has begun, within 2 s or a documented deadline, and release all resources."""


Config = TypeVar("Config", bound=PlatformConfig)


@dataclass(frozen=True, slots=True)
class ServiceContext(Generic[Config]):
    """The inputs with which a service is started.

    Parameters
    ----------
    config
        The configuration.
    arguments
        The parsed command line.
    instance
        Name of this process, unique among the services of the system, for example ``udp-recv-0-3``.
    registry
        The registry for the metrics of the service.
    stop
        Set when the service has been told to end.
    """

    config: Config
    arguments: argparse.Namespace
    instance: str
    registry: CollectorRegistry
    stop: threading.Event


def run_service(
    description: ServiceDescription[Config],
    argv: Sequence[str] | None,
    start: Callable[[ServiceContext[Config]], Service],
) -> int:
    """Run a service: parse its command line, start it, and call ``step`` until it is told to end.

    Parameters
    ----------
    description
        The service.
    argv
        Command-line arguments; by default those of the process.
    start
        Builds the service; raises StdDaqError if it cannot start.

    Returns
    -------
    The exit code.
    """
    parser = service_parser(description)
    arguments = parser.parse_args(argv)
    hold = Hold()
    configure_logs(arguments.log_level or "info", service=description.name, file=hold.log_file)
    log = get_logger()
    stop = StopEvent()
    _stop_on_signals(stop)
    if (n_files := raise_limit()) < MIN_SAFE:
        log.warning("few_open_files", limit=n_files, remedy=f"ulimit -Hn {MIN_SAFE}, or nofile in the container")
    end_with_supervisor()
    # At the end, Python looks for garbage among all objects, which takes a second for those of numba and scipy.
    atexit.register(gc.freeze)
    try:
        is_superseded = False
        readiness = Readiness(hold.last_reason or "it is starting")
        notifier = ManagerNotifier(readiness.why_not)
        with (
            observed_by(partial(_tell_compiling, notifier)),
            Presence(arguments.metrics_port, readiness) as presence,
        ):
            try:
                read_ns = time.time_ns()
                context = _prepare(description, arguments, hold.log_file, stop)
                # Started without a configuration, services may be of different systems; the port of each is its lock.
                has_system = arguments.config is not None
                presence.appear(context.config, context.instance, context.registry, is_only=has_system)
                with extras_explained():
                    _check(description, context.config)
                    service = start(context)
            except StdDaqError as error:
                if not hold.is_wanted:
                    raise
                refusal = _in_words(error, arguments.config)
            else:
                hold.release_logs()
                watch = DeploymentWatch(context.config, read_ns) if description.follows_deployments else None
                is_superseded = _live(service, presence, stop, notifier, watch)
                if not is_superseded:
                    return EXIT_DONE
            if is_superseded:
                start_again(stop)
                return EXIT_DONE
            # Outside the except clause: the error holds references to everything that the failed start had opened.
            hold.wait(refusal, presence, stop)
            log.info("ended")
            return EXIT_DONE
    except ConfigError as error:
        log.error("configuration_wrong", error=_in_words(error, arguments.config))
        return error.exit_code
    except StdDaqError as error:
        log.error("cannot_go_on", error=str(error), kind=type(error).__name__)
        return error.exit_code
    except Exception:
        log.exception("unexpected_error")
        return EXIT_FAILED
    finally:
        hold.release_logs()


def _prepare(
    description: ServiceDescription[Config],
    arguments: argparse.Namespace,
    log_file: TextIO | None,
    stop: threading.Event,
) -> ServiceContext[Config]:
    config = _config(description, arguments)
    instance = description.name if description.instance_of is None else description.instance_of(arguments, config)
    configure_logs(arguments.log_level or config.log_level, service=instance, file=log_file)
    make_runtime_dir(config)
    return ServiceContext(config, arguments, instance, make_registry(description.name), stop)


def _check(description: ServiceDescription[Config], config: Config) -> None:
    for check in description.checks:
        if not check.is_part_of_start:
            check.run(config)


def _config(description: ServiceDescription[Config], arguments: argparse.Namespace) -> Config:
    if arguments.config is None and description.config_of is not None:
        return description.config_of(arguments)
    return read_config_of(arguments.config, description.config)


def _live(
    service: Service,
    presence: Presence,
    stop: threading.Event,
    notifier: ManagerNotifier,
    watch: DeploymentWatch | None,
) -> bool:
    """Run the service until it is told to end, or has to take another configuration; returns whether the latter."""
    log = get_logger()
    is_superseded = False
    presence.readiness.service = service
    log.info("started", endpoint=presence.url)
    readiness_log = ReadinessLog(presence.readiness)
    notifier.tell_started()
    try:
        while not stop.is_set() and not is_superseded:
            service.step()
            readiness_log.step()
            notifier.beat()
            is_superseded = watch is not None and watch.is_superseded()
    finally:
        presence.readiness.end()
        if is_superseded:
            notifier.tell_restarting()
        else:
            notifier.tell_ending()
        service.close()
    log.info("configuration_replaced" if is_superseded else "ended")
    return is_superseded


def _tell_compiling(notifier: ManagerNotifier, function: str, seconds: float | None) -> None:
    """Log each compilation, which makes the first start of a service slow."""
    if seconds is None:
        notifier.tell_status(f"compiling {function}, once for this version")
        get_logger().info("compiling", function=function)
    else:
        get_logger().info("compiled", function=function, seconds=round(seconds, 2))


def _in_words(error: StdDaqError, config: Path | None) -> str:
    """Return the text of an error; a ConfigError without a file gets that of the configuration."""
    if config is None or not isinstance(error, ConfigError) or error.file:
        return str(error)
    return str(error.in_file(config))


def _stop_on_signals(stop: threading.Event) -> None:
    if threading.current_thread() is not threading.main_thread():
        return

    def handle(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of signal handlers
        stop.set()

    for number in SIGNALS:
        signal.signal(number, handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
