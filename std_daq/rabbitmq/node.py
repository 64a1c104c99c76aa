"""A RabbitMQ node that ends with this process.

How the node is tied to its parent: the standard input of the node is a pipe, and only the parent holds the other end
open. The Erlang machine has a process that waits for the end of this input; then it removes the node's folder and
halts. So the node ends with its parent, however the parent ends, ``kill -9`` included. A node that is stopped keeps its
folder.

How nothing else is left behind: Erlang nodes normally start a daemon, epmd, which tells the ports of nodes and outlives
them. ``-start_epmd false`` alone does not prevent this, because RabbitMQ starts the daemon itself, with a helper
process. ``ERL_ZFLAGS`` passes the option to this helper, too. With ``-erl_epmd_port`` the node knows its distribution
port without asking epmd. The nodes of a cluster ask an epmd that the maker of the cluster has started, and ends.

The environment reaches every Erlang machine that the node starts. One of these, with which RabbitMQ 4 looks for the
other nodes of a cluster, speaks over its standard input. Therefore only the node itself waits for the end of its input.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from std_daq.amqp.failures import CONNECTION_FAILURES
from std_daq.errors import BrokerError
from std_daq.rabbitmq.ports import HOST, ReservedPort
from std_daq.telemetry.logs import get_logger

# Scripts that start the server as the present user. Debian's /usr/sbin/rabbitmq-server runs only as user rabbitmq.
SERVERS = (
    Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
    Path("/usr/local/sbin/rabbitmq-server"),
    Path("/opt/rabbitmq/sbin/rabbitmq-server"),
)
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
        "RabbitMQ is not installed: install it (apt install rabbitmq-server), or give the URL of a broker"
    )


class RabbitNode:
    """Context manager: a RabbitMQ node on loopback.

    Parameters
    ----------
    folder
        Folder of the node's data and log; removed when the node ends with its parent or is closed.
    configuration
        Text of the node's rabbitmq.conf.
    check
        Connects to the node; raises one of `CONNECTION_FAILURES` while the node does not accept connections.
    name, host
        Name of the node for other nodes: ``name@host``.
    epmd_port
        Port of the epmd by which the nodes of a cluster find each other; by default there is none.
    cookie
        Erlang cookie, the secret that all nodes of a cluster share; by default a new one.
    start_timeout_s
        Longest wait until the node accepts connections, in seconds; normally it takes about 5 s.
    """

    def __init__(
        self,
        folder: Path,
        configuration: str,
        check: Callable[[], None],
        *,
        name: str = "throwaway",
        host: str = HOST,
        epmd_port: int | None = None,
        cookie: str | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._server = find_server()
        self._folder = folder
        self._configuration = configuration
        self._check = check
        self._host = host
        self._name = f"{name}@{host}"
        self._distribution_port = ReservedPort(host)
        self._epmd_port = epmd_port
        self._cookie = cookie or secrets.token_hex(20)
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log = get_logger()

    @property
    def name(self) -> str:
        """Name of the node in a cluster."""
        return self._name

    @property
    def folder(self) -> Path:
        """Folder of the node's data and log."""
        return self._folder

    @property
    def distribution_port(self) -> int:
        """Port at which other Erlang nodes reach the node."""
        return self._distribution_port.number

    @property
    def pid(self) -> int | None:
        """Process id of the node; None if it was not started, or was stopped."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the node, with the data of its earlier run if there was one; return when it accepts connections.

        Raises
        ------
        BrokerError
            The node ended, or did not accept connections in time; the message ends with the last lines of its logs.
        """
        if self._process is None:
            started_at = time.monotonic()
            self.launch()
            self.wait_until_ready()
            self._log.info("broker_started", node=self._name, start_s=round(time.monotonic() - started_at, 1))

    def launch(self) -> None:
        """Start the node and return at once; the nodes of a cluster wait for each other, so start all of them first."""
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
        """Wait until a node that was launched accepts connections; raises the same errors as `start`."""
        deadline = time.monotonic() + self._start_timeout_s
        try:
            while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
                if self._takes_connections():
                    return
                time.sleep(0.05)
            has_ended = self._process is None or self._process.poll() is not None
            ending = "ended at its start" if has_ended else "did not accept connections in time"
            raise BrokerError(f"the RabbitMQ node {ending} ({self._server}):\n{self._last_words()}")
        except BaseException:
            self.halt()
            raise

    def halt(self) -> None:
        """Kill the node; its data stays, and `start` starts it again at the same address."""
        self._end(signal.SIGKILL, STOP_TIMEOUT_S)

    def stop(self) -> None:
        """Shut the node down in an orderly way, with SIGTERM; its data stays."""
        self._end(signal.SIGTERM, ORDERLY_STOP_TIMEOUT_S)

    def revive(self) -> None:
        """Restart the node with its data if it has died; raises the same errors as `start`."""
        if self._process is not None and self._process.poll() is not None:
            self._log.warning("broker_restarted", node=self._name, ended_with=self._process.returncode)
            self.halt()
            self.start()

    def close(self) -> None:
        """Kill the node, remove its folder, and let others have its ports."""
        self.halt()
        self._distribution_port.release()
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
        # The process must end before its input does: at the end of its input it removes its folder.
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
            *(() if self._epmd_port else ("-erl_epmd_port", str(self.distribution_port))),
            *("-kernel", "inet_dist_use_interface", address),
        ]

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        # Only eof is the end of the parent. An error is the end of what reads the input: the node was told to end.
        ending = f'file:del_dir_r("{folder}"), erlang:halt(0)'
        end_with_parent = f"spawn(fun() -> case io:get_line([]) of eof -> {ending}; _ -> ok end end)"
        epmd = {"ERL_EPMD_PORT": str(self._epmd_port)} if self._epmd_port else {}
        return epmd | {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": folder,  # Erlang looks for its cookie here
            "ERL_AFLAGS": f"-eval 'node() =:= list_to_atom(\"{self._name}\") andalso {end_with_parent}.'",
            "ERL_ZFLAGS": "-start_epmd false",
            "RABBITMQ_ALLOW_INPUT": "1",  # the script then replaces itself with the Erlang machine (exec)
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
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
        # RabbitMQ tells the reason first and then, in many lines, what it stops because of that.
        reasons = [line for line in lines[:-20] if "[error]" in line]
        return "\n".join([*reasons[:10], *lines[-20:]])
