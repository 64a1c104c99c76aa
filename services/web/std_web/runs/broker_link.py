"""DeskLink: the desk's connection to the broker; made anew where the broker's address or the tag has changed."""

import time
from contextlib import suppress

from std_daq.amqp.address import BrokerAddress
from std_daq.amqp.broker_lookup import broker_address_of
from std_daq.client.caller import caller_name
from std_daq.errors import BrokerError, StdDaqError
from std_daq.recording.config import RecordingConfig
from std_daq.recording.request_channel import RequestPublisher
from std_daq.recording.requests import StatusMessage
from std_daq.recording.status_channel import StatusListener

# A broker of `std-daq up` may come back at another port.
_LOOK_UP_S = 5.0


class DeskLink:
    """A listener and a publisher over one connection, which reconnects by itself.

    Its `receive` and `close` belong to one thread; `publisher` may be used by others.
    """

    def __init__(self) -> None:
        self._config: RecordingConfig | None = None
        self._address: BrokerAddress | None = None
        self._listener: StatusListener | None = None
        self._publisher: RequestPublisher | None = None
        self._looked_up_at = -_LOOK_UP_S
        self._problem = "the console is starting"

    @property
    def problem(self) -> str:
        """Why no request can be sent and no status comes; empty if they do."""
        listener = self._listener
        if listener is None:
            return self._problem
        return listener.connection.why_away or listener.connection.why_blocked or ""

    @property
    def publisher(self) -> RequestPublisher:
        """Sends requests and kills; raises BrokerError if there is no address of a broker."""
        publisher = self._publisher
        if publisher is None:
            raise BrokerError(self._problem)
        return publisher

    def wait_connected(self, timeout_s: float) -> None:
        """Wait for the connection; raises BrokerError if it is not there in time, or if there is no address."""
        listener = self._listener
        if listener is None:
            raise BrokerError(self._problem)
        listener.connection.wait_connected(timeout_s)

    def receive(self, config: RecordingConfig, timeout_s: float) -> StatusMessage | None:
        """Return the next status; None if none arrives in time, or if there is no broker."""
        self._look_up(config)
        if self._listener is None:
            time.sleep(timeout_s)
            return None
        try:
            return self._listener.receive(timeout_s)
        except BrokerError as error:  # the connection is closed for good
            self.close()
            self._problem = str(error)
            return None

    def close(self) -> None:
        """Close the connection."""
        if self._listener is not None:
            with suppress(BrokerError):
                self._listener.connection.close()
        self._listener = self._publisher = self._address = None

    def _look_up(self, config: RecordingConfig) -> None:
        """Look for the address of the broker, at the start and while it is away."""
        is_away = self._listener is None or self._listener.connection.why_away is not None
        now = time.monotonic()
        if config is self._config and not (is_away and now - self._looked_up_at >= _LOOK_UP_S):
            return
        self._looked_up_at = now
        try:
            address = broker_address_of(config)
        except StdDaqError as error:
            self._problem = str(error)
            return
        if self._listener is not None and address == self._address and self._is_same(config):
            self._config = config
            return
        self.close()
        self._config, self._address = config, address
        listener = StatusListener(
            address, queue_type=config.broker.queue_type, name=caller_name("std-web"), publishes=True
        )
        listener.connection.start()
        self._publisher = RequestPublisher(listener.connection, config.tag)
        self._listener = listener

    def _is_same(self, config: RecordingConfig) -> bool:
        old = self._config
        return old is not None and (old.tag, old.broker) == (config.tag, config.broker)
