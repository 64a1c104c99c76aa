"""How pika is told to connect to one node."""

import pika

from std_daq.amqp.address import BrokerAddress, redact_url
from std_daq.amqp.tls import tls_options
from std_daq.errors import BrokerError

HEARTBEAT_S = 20
SOCKET_TIMEOUT_S = 5.0


def connection_parameters(url: str, address: BrokerAddress, name: str) -> pika.URLParameters:
    """Return the parameters of a connection; files of TLS are read anew, because they may have been replaced.

    Parameters
    ----------
    url
        Of the node.
    address
        With the files of TLS.
    name
        What the broker's lists show of the connection.

    Raises
    ------
    BrokerError
        The URL or a file cannot be used.
    """
    try:
        parameters = pika.URLParameters(url)
    except (ValueError, TypeError):  # its text may hold a piece of the password
        raise BrokerError(f"broker URL {redact_url(url)!r}: pika cannot read it") from None
    if parameters.ssl_options is not None:
        parameters.ssl_options = tls_options(address.tls, parameters.host)
    parameters.heartbeat = HEARTBEAT_S
    parameters.blocked_connection_timeout = 3 * HEARTBEAT_S
    parameters.socket_timeout = SOCKET_TIMEOUT_S
    parameters.stack_timeout = 2 * SOCKET_TIMEOUT_S
    parameters.connection_attempts = 1
    parameters.client_properties = {"connection_name": name}
    return parameters
