"""BrokerLink: a connection to RabbitMQ that reconnects by itself, in a thread of its own.

The link chooses a node of the cluster at random. If that node fails, it tries the next one (`NodeRotation`). It retries
without a limit.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from std_daq.amqp.address import BrokerAddress, redact_url
from std_daq.amqp.away_log import AwayLog
from std_daq.amqp.failures import CONNECTION_FAILURES, describe_failure, is_refusal
from std_daq.amqp.node_rotation import NodeRotation
from std_daq.amqp.parameters import connection_parameters
from std_daq.errors import BrokerError, MissingExchangeError, TagTakenError
from std_daq.telemetry.logs import get_logger


class BrokerLink(ABC):
    """One connection to the broker; a subclass says what a session does.

    Parameters
    ----------
    address
        Address of the broker.
    name
        Name of this connection in the broker's list of connections.
    away_log
        Logs why the broker is away; several links share one.
    changed
        Notified whenever the state of the link changes; several links share one.
    """

    def __init__(self, address: BrokerAddress, name: str, away_log: AwayLog, changed: threading.Condition) -> None:
        self.address = address
        self.place = str(address)
        self.name = name
        for url in address.urls:
            connection_parameters(url, address, name)
        self._nodes = NodeRotation(address.urls)
        self._changed = changed
        self._closing = threading.Event()
        self._connected_to: str | None = None
        self._trouble = "it has not answered yet"
        self._log = get_logger()
        self._away_log = away_log
        self._thread = threading.Thread(target=self._run, name=f"broker-{name}", daemon=True)

    def start(self) -> None:
        """Start to connect in the background, and return at once."""
        self._thread.start()

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open and ready for use."""
        return self._connected_to is not None

    @property
    def connected_to(self) -> str | None:
        """URL of the connected node, without user and password; None while there is no connection."""
        return self._connected_to

    @property
    def is_refused(self) -> bool:
        """Whether all nodes refuse the connection, so that waiting does not help."""
        return self._nodes.is_refused_by_all

    @property
    def why_away(self) -> str | None:
        """The reason why there is no connection now; None if there is a connection."""
        if self.is_connected:
            return None
        source = f" (given by {self.address.source})" if self.address.source else ""
        return f"no connection to the broker at {self.place}{source}: {self._trouble}"

    def check_open(self) -> None:
        """Raise BrokerError if the link is closed."""
        if self._closing.is_set():
            raise BrokerError(f"the connection to the broker at {self.place} is closed: {self._trouble}")

    def close(self, timeout_s: float) -> None:
        """Finish what a session has to finish, and end the thread; wait at most this long for it."""
        self._closing.set()
        self._wake()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @abstractmethod
    def _serve(self, url: str, enter: Callable[[], None]) -> None:
        """Connect to a node, call `enter`, and serve until the connection breaks (raise) or `close` is called."""

    @abstractmethod
    def _wake(self) -> None:
        """Wake the thread, so that it looks at its queues and at `_closing`; any thread may call this."""

    def _finish(self) -> None:
        """Note that the thread has ended."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._run_session()
        except Exception as error:  # noqa: BLE001 -- the top of this thread: nobody else would see the error
            self._trouble = f"its thread ended with {error!r}"
            self._log.exception("broker_thread_failed", broker=self.place)
        finally:
            self._finish()

    def _run_session(self) -> None:
        url = self._nodes.current
        try:
            self._serve(url, lambda: self._enter_session(url))
        except (MissingExchangeError, TagTakenError) as error:
            self._leave_session(str(error), is_refused=False)
        except BrokerError as error:
            self._leave_session(str(error), is_refused=True)
        except CONNECTION_FAILURES as error:
            self._leave_session(describe_failure(error), is_refused=is_refusal(error))
        else:
            self._leave_session("closed", is_refused=False)
        self._closing.wait(self._nodes.pause_s())

    def _enter_session(self, url: str) -> None:
        place = redact_url(url)
        with self._changed:
            self._connected_to = place
            self._nodes.succeed()
            self._changed.notify_all()
        self._away_log.note_connected(place)
        self._log.info("broker_connected", broker=place, name=self.name)

    def _leave_session(self, trouble: str, *, is_refused: bool) -> None:
        with self._changed:
            self._connected_to = None
            place = redact_url(self._nodes.current)
            self._nodes.fail(is_refused=is_refused)
            self._trouble = trouble
            self._changed.notify_all()
        if not self._closing.is_set():
            self._away_log.note_away(place, trouble, is_refused=is_refused)
