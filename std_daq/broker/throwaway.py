"""A RabbitMQ node of one's own: for the demo, for ``std-daq up`` without a broker URL, and for tests.

How the node is tied to its parent: its standard input is a pipe that only the parent holds open, and the
first thing the Erlang machine does is to wait for the end of that input, upon which it removes its folder and
halts. So it ends with its parent however that ends, ``kill -9`` included.

How nothing else is left behind: Erlang nodes normally start a daemon, epmd, which outlives them.
``-start_epmd false`` alone does not prevent it, because RabbitMQ starts it itself; ``-erl_epmd_port`` lets
the node know its own port without asking, and ``ERL_ZFLAGS`` reaches also the helper with which RabbitMQ
would start the daemon.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pika

from std_daq.broker.failures import CONNECTION_FAILURES
from std_daq.errors import BrokerError
from std_daq.telemetry.logs import get_logger

# The scripts that run as the present user. Debian's /usr/sbin/rabbitmq-server insists on the user rabbitmq.
SERVERS = (
    Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
    Path("/usr/local/sbin/rabbitmq-server"),
    Path("/opt/rabbitmq/sbin/rabbitmq-server"),
)
HOST = "127.0.0.1"
# Below those that Linux gives to whoever asks for any port: the node takes seconds to open its own.
PORTS = range(23_000, 32_000)
USER = "std-daq"
STOP_TIMEOUT_S = 10.0

CONFIGURATION = """\
listeners.tcp.1 = {host}:{port}
default_user = {user}
default_pass = {password}
log.file = rabbit.log
log.console = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
"""


def find_server() -> Path:
    """Return the script that starts RabbitMQ as the present user.

    Raises
    ------
    BrokerError
        RabbitMQ is not installed.
    """
    on_path = shutil.which("rabbitmq-server")
    for server in (*SERVERS, *([Path(on_path)] if on_path else [])):
        if server.is_file():
            return server
    raise BrokerError(
        "no RabbitMQ here to start: install it (apt install rabbitmq-server), or give the URL of a broker"
    )


def pick_port() -> int:
    """Return a port of this machine that nobody listens on."""
    for port in secrets.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind((HOST, port))
            except OSError:
                continue
            return port
    raise BrokerError(f"no free port from {PORTS.start} to {PORTS.stop - 1} for a RabbitMQ node")


class ThrowawayBroker:
    """A RabbitMQ node on loopback with its own ports, folder, user and password; a context manager.

    Parameters
    ----------
    start_timeout_s
        The longest wait for the node to take connections; about 5 s are normal.
    """

    def __init__(self, start_timeout_s: float = 60.0) -> None:
        self._start_timeout_s = start_timeout_s
        self._server = find_server()
        self._port = pick_port()
        self._distribution_port = pick_port()
        self._password = secrets.token_urlsafe(16)
        self._folder = Path(tempfile.mkdtemp(prefix="std-daq-broker-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._log = get_logger()

    @property
    def url(self) -> str:
        """URL of the node, with user and password."""
        return f"amqp://{USER}:{self._password}@{HOST}:{self._port}/%2F"

    @property
    def folder(self) -> Path:
        """Where the node keeps its data and its log."""
        return self._folder

    @property
    def pid(self) -> int | None:
        """Process id of the node while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the node, or start it again with the data it had; return when it takes connections.

        Raises
        ------
        BrokerError
            It ended, or did not take connections in time; the text ends with its last words.
        """
        if self._process is not None:
            return
        self._write_configuration()
        started_at = time.monotonic()
        with (self._folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._command(),
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt from the terminal is for the parent
            )
        try:
            self._wait_until_ready(self._process, started_at + self._start_timeout_s)
        except BaseException:
            self.halt()
            raise
        self._log.info("broker_started", port=self._port, start_s=round(time.monotonic() - started_at, 1))

    def halt(self) -> None:
        """Kill the node; its data stays, and `start` brings it back at the same URL."""
        process, self._process = self._process, None
        if process is None:
            return
        # Killed before its input closes: it would remove its folder otherwise.
        process.send_signal(signal.SIGKILL)
        process.wait(STOP_TIMEOUT_S)
        if process.stdin is not None:
            process.stdin.close()

    def revive(self) -> None:
        """Start the node again, with the data it had, if it has died; raises BrokerError if it does not come up."""
        if self._process is not None and self._process.poll() is not None:
            self._log.warning("broker_restarted", port=self._port, ended_with=self._process.returncode)
            self.halt()
            self.start()

    def close(self) -> None:
        """Kill the node and remove all that it had."""
        self.halt()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_configuration(self) -> None:
        text = CONFIGURATION.format(host=HOST, port=self._port, user=USER, password=self._password)
        (self._folder / "rabbitmq.conf").write_text(text)
        (self._folder / "enabled_plugins").write_text("[].")

    def _command(self) -> list[str]:
        return [
            str(self._server),
            *("-noshell", "-sname", "throwaway@localhost"),
            *("-erl_epmd_port", str(self._distribution_port)),
            *("-kernel", "inet_dist_use_interface", "{127,0,0,1}"),
        ]

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        end_with_parent = f'spawn(fun() -> io:get_line([]), file:del_dir_r("{folder}"), erlang:halt(0) end).'
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": folder,  # where the Erlang cookie lies
            "ERL_AFLAGS": f"-eval '{end_with_parent}'",
            "ERL_ZFLAGS": "-start_epmd false",
            "RABBITMQ_ALLOW_INPUT": "1",  # and no shell in between: the process is the Erlang machine
            "RABBITMQ_NODENAME": "throwaway@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_BASE": folder,
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/generated",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
        }

    def _wait_until_ready(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        while process.poll() is None and time.monotonic() < deadline:
            if _takes_connections(self._port, self.url):
                return
            time.sleep(0.05)
        ending = "did not take connections in time" if process.poll() is None else "ended at its start"
        raise BrokerError(f"the RabbitMQ node {ending} ({self._server}):\n{self._last_words()}")

    def _last_words(self) -> str:
        logs = [self._folder / "output.log", self._folder / "log" / "rabbit.log"]
        lines = [line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()]
        return "\n".join(lines[-20:])


def _takes_connections(port: int, url: str) -> bool:
    """Try a plain connection first, because pika tries long and logs much."""
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
        pika.BlockingConnection(pika.URLParameters(url)).close()
    except CONNECTION_FAILURES:
        return False
    return True


@dataclass(frozen=True, slots=True)
class GivenBroker:
    """A broker that others look after."""

    url: str

    def revive(self) -> None:
        """Do nothing."""


@contextmanager
def start_broker(url: str | None) -> Iterator[GivenBroker | ThrowawayBroker]:
    """Yield a broker: the one at the URL given, else a throwaway node that ends with the context.

    A further kind of throwaway broker, such as a container, is a further branch here.
    """
    if url:
        yield GivenBroker(url)
        return
    with ThrowawayBroker() as broker:
        yield broker
