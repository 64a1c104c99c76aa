"""A RabbitMQ node that ends with this process.

How the node is tied to its parent: its standard input is a pipe that only the parent holds open, and the
first thing the Erlang machine does is to wait for the end of that input, upon which it removes its folder and
halts. So it ends with its parent however that ends, ``kill -9`` included.

How nothing else is left behind: Erlang nodes normally start a daemon, epmd, which outlives them.
``-start_epmd false`` alone does not prevent it, because RabbitMQ starts it itself; ``-erl_epmd_port`` lets
the node know its own port without asking, and ``ERL_ZFLAGS`` reaches also the helper with which RabbitMQ
would start the daemon. The node takes that port for the one of all nodes; so those of a cluster have one port, and an
address each.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from std_daq.amqp.failures import CONNECTION_FAILURES
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
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
ORDERLY_STOP_TIMEOUT_S = 60.0


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


def pick_port(host: str = HOST) -> int:
    """Return a port of this machine that nobody listens on."""
    for port in secrets.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind((host, port))
            except OSError:
                continue
            return port
    raise BrokerError(f"no free port from {PORTS.start} to {PORTS.stop - 1} for a RabbitMQ node")


class RabbitNode:
    """A RabbitMQ node on loopback; a context manager.

    Parameters
    ----------
    folder
        Where it keeps its data and its log; removed at its end.
    configuration
        Text of its rabbitmq.conf.
    check
        Raises one of `CONNECTION_FAILURES` while the node does not take connections.
    host
        Address by which other nodes know it.
    distribution_port
        Port at which other nodes find it; by default any free one.
    cookie
        What the nodes of a cluster have in common; by default a new one.
    start_timeout_s
        The longest wait for the node to take connections; about 5 s are normal.
    """

    def __init__(
        self,
        folder: Path,
        configuration: str,
        check: Callable[[], None],
        *,
        host: str = HOST,
        distribution_port: int | None = None,
        cookie: str | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._server = find_server()
        self._folder = folder
        self._configuration = configuration
        self._check = check
        self._host = host
        self._name = f"throwaway@{host}"
        self._distribution_port = distribution_port or pick_port(host)
        self._cookie = cookie or secrets.token_hex(20)
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log = get_logger()

    @property
    def name(self) -> str:
        """What other nodes call it."""
        return self._name

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
        if self._process is None:
            started_at = time.monotonic()
            self.launch()
            self.wait_until_ready()
            self._log.info("broker_started", node=self._name, start_s=round(time.monotonic() - started_at, 1))

    def launch(self) -> None:
        """Start the node and do not wait for it: those of a cluster wait for each other."""
        self._write_files()
        with (self._folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._command(),
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt from the terminal is for the parent
            )

    def wait_until_ready(self) -> None:
        """Wait until a node that was launched takes connections; raises as `start`."""
        deadline = time.monotonic() + self._start_timeout_s
        try:
            while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
                if self._takes_connections():
                    return
                time.sleep(0.05)
            has_ended = self._process is None or self._process.poll() is not None
            ending = "ended at its start" if has_ended else "did not take connections in time"
            raise BrokerError(f"the RabbitMQ node {ending} ({self._server}):\n{self._last_words()}")
        except BaseException:
            self.halt()
            raise

    def halt(self) -> None:
        """Kill the node; its data stays, and `start` brings it back at the same address."""
        self._end(signal.SIGKILL, STOP_TIMEOUT_S)

    def stop(self) -> None:
        """Have the node end in order, as an administrator does; its data stays."""
        self._end(signal.SIGTERM, ORDERLY_STOP_TIMEOUT_S)

    def revive(self) -> None:
        """Start the node again, with the data it had, if it has died; raises BrokerError if it does not come up."""
        if self._process is not None and self._process.poll() is not None:
            self._log.warning("broker_restarted", node=self._name, ended_with=self._process.returncode)
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

    def _end(self, number: signal.Signals, timeout_s: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # Its end before that of its input: it would remove its folder otherwise.
        process.send_signal(number)
        process.wait(timeout_s)
        if process.stdin is not None:
            process.stdin.close()

    def _write_files(self) -> None:
        (self._folder / "rabbitmq.conf").write_text(self._configuration)
        (self._folder / "enabled_plugins").write_text("[].")
        cookie = self._folder / ".erlang.cookie"
        cookie.unlink(missing_ok=True)
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)

    def _command(self) -> list[str]:
        address = "{" + self._host.replace(".", ",") + "}"
        return [
            str(self._server),
            *("-noshell", "-name", self._name),
            *("-erl_epmd_port", str(self._distribution_port)),
            *("-kernel", "inet_dist_use_interface", address),
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
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_USE_LONGNAME": "true",
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

    def _takes_connections(self) -> bool:
        try:
            self._check()
        except CONNECTION_FAILURES:
            return False
        return True

    def _last_words(self) -> str:
        logs = [self._folder / "output.log", self._folder / "log" / "rabbit.log"]
        lines = [line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()]
        return "\n".join(lines[-20:])
