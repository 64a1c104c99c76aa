"""Parameters with which pika connects to one node."""

import pika

from std_daq.amqp.address import BrokerAddress, redact_url
from std_daq.amqp.tls import tls_options
from std_daq.errors import BrokerError

HEARTBEAT_S = 20
SOCKET_TIMEOUT_S = 5.0


def connection_parameters(url: str, address: BrokerAddress, name: str) -> pika.URLParameters:
    """Return the parameters of a connection; each call reads the TLS files anew, because they may have been replaced.

    Parameters
    ----------
    url
        URL of the node.
    address
        Address of the broker, which names the TLS files.
    name
        Name of the connection in the broker's list of connections.

    Raises
    ------
    BrokerError
        The URL is malformed, or a TLS file cannot be used.
    """
    try:
        parameters = pika.URLParameters(url)
    except (ValueError, TypeError):  # not chained: its text may contain a part of the password
        raise BrokerError(f"broker URL {redact_url(url)!r}: pika cannot read it") from None
    if parameters.ssl_options is not None:
        parameters.ssl_options = tls_options(address.tls, parameters.host)
    parameters.heartbeat = HEARTBEAT_S
    # A connection that the broker blocks is alive: it has heartbeats. A new connection would be blocked as well.
    parameters.blocked_connection_timeout = None
    parameters.socket_timeout = SOCKET_TIMEOUT_S
    parameters.stack_timeout = 2 * SOCKET_TIMEOUT_S
    parameters.connection_attempts = 1
    parameters.client_properties = {"connection_name": name}
    return parameters
