"""Run all services of a detector on this machine, until SIGINT or SIGTERM; prints "ready" when every one is.

Uses the RabbitMQ that is given, or a throwaway one that ends with this command. Logs of the services go to standard
error, each line with the service's name in front. A service that dies is started again.
"""

import argparse
import fcntl
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from std_daq.cli.argument_types import broker_url, positive_number
from std_daq.errors import ConfigError, ResourceError, SharedMemoryError
from std_daq.service.stop_event import StopEvent

if TYPE_CHECKING:
    from std_daq.broker.throwaway import GivenBroker, ThrowawayBroker
    from std_daq.config.model import DetectorConfig
    from std_daq.service.supervisor import ServiceCommand

_READY_LOOK_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the detector.json")
    parser.add_argument(
        "--broker-url",
        metavar="URL",
        type=broker_url,
        help="amqp://... without password; by default a throwaway RabbitMQ",
    )
    parser.add_argument(
        "--ready-timeout", type=positive_number, default=180.0, metavar="SECONDS", help="time to become ready"
    )
    parser.add_argument("--keep-rings", action="store_true", help="leave the rings in shared memory at the end")


def run(arguments: argparse.Namespace) -> int:
    """Run until told to end; returns the exit code."""
    from std_daq.broker.detector_broker import given_broker_address
    from std_daq.broker.throwaway import start_broker
    from std_daq.broker.url_file import save_url_file
    from std_daq.config.load import load_config
    from std_daq.config.paths import broker_url_file, make_runtime_dir
    from std_daq.telemetry.logs import configure_logs, get_logger

    stop = StopEvent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    config = load_config(arguments.config)
    _check_detector(config, arguments.config)
    configure_logs(config.log_level, service="up")
    runtime = make_runtime_dir(config)
    with (runtime / "up.lock").open("w") as lock:
        _lock(lock, config)
        given = given_broker_address(config, arguments.broker_url)
        with start_broker(given) as broker:
            get_logger().info("broker", url=str(broker.address), is_throwaway=given is None)
            save_url_file(broker_url_file(config), broker.address.text)
            try:
                _supervise(config, arguments, broker, stop)
            finally:
                broker_url_file(config).unlink(missing_ok=True)
                if not arguments.keep_rings:
                    _remove_rings(config)
    return 0


def service_commands(config: "DetectorConfig", config_path: Path) -> "list[ServiceCommand]":
    """Return how the services of one machine are started."""
    from std_daq.service.supervisor import ServiceCommand

    common = ("--config", str(config_path))
    commands = _image_source_commands(config, common)
    commands.append(ServiceCommand("writer-agent", "std_writer_agent", common))
    commands += [
        ServiceCommand(f"h5-writer-{writer}", "std_h5_writer", (*common, "--writer", str(writer)))
        for writer in range(config.number_of_writers)
    ]
    commands += [
        ServiceCommand(f"stream-send-{sender}", "std_stream_send", (*common, "--sender", str(sender)))
        for sender in range(len(config.replication.send))
    ]
    if config.live_stream_configs:
        commands.append(ServiceCommand("live-stream", "std_live_stream", common))
    return commands


def _image_source_commands(config: "DetectorConfig", common: tuple[str, ...]) -> "list[ServiceCommand]":
    """Return what fills the ImageBuffer: the detector's services, or those that receive from another server."""
    from std_daq.service.supervisor import ServiceCommand

    if config.replication.receive is not None:
        return [ServiceCommand("stream-recv", "std_stream_recv", common)]
    commands = []
    for part in config.receivers:
        is_only_one = len(config.receivers) == 1
        name = "udp-recv" if is_only_one else f"udp-recv-{part}"
        more = () if is_only_one else ("--modules", str(part))
        commands.append(ServiceCommand(name, "std_udp_recv", (*common, *more)))
    commands.append(ServiceCommand("assembler", "std_assembler", common))
    return commands


def _check_detector(config: "DetectorConfig", file: Path) -> None:
    """Tell once, and before anything is started, what every service would tell."""
    from std_daq.detectors.registry import open_detector

    try:
        open_detector(config)
    except ConfigError as error:
        raise error if error.file else error.in_file(file) from None


def _supervise(
    config: "DetectorConfig",
    arguments: argparse.Namespace,
    broker: "GivenBroker | ThrowawayBroker",
    stop: threading.Event,
) -> None:
    from std_daq.broker.address import VARIABLE
    from std_daq.cli.service_log import ServiceLog
    from std_daq.service.supervisor import Supervisor

    commands = service_commands(config, arguments.config)
    log = ServiceLog(sys.stderr, [command.instance for command in commands])
    supervisor = Supervisor(config, commands, log.write, {VARIABLE: broker.address.text})
    deadline = time.monotonic() + arguments.ready_timeout
    is_ready = False
    try:
        supervisor.start()
        while not stop.wait(_READY_LOOK_S):
            supervisor.step()
            broker.revive()
            if is_ready:
                continue
            not_ready = supervisor.not_ready()
            is_ready = not not_ready
            if is_ready:
                print("ready", flush=True)
            elif time.monotonic() > deadline:
                raise ResourceError(
                    f"not ready within {arguments.ready_timeout:g} s: {', '.join(not_ready)}; see the logs above"
                )
    finally:
        supervisor.stop()


def _lock(lock: IO[str], config: "DetectorConfig") -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ResourceError(f"another 'std-daq up' already runs the services of {config.detector_name}") from None


def _remove_rings(config: "DetectorConfig") -> None:
    from std_daq.config.paths import frame_buffer_path, image_buffer_path
    from std_daq.shm.segment import Segment

    for path in (frame_buffer_path(config), image_buffer_path(config)):
        try:
            segment = Segment.attach(path, is_writable=True)
        except SharedMemoryError:
            continue
        segment.remove()
        segment.close()
