"""Check of the broker: whether it is known and reachable, and accepts the connection."""

from std_daq.amqp.broker_lookup import broker_address_of
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import NothingOwned
from std_daq.config.platform import PlatformConfig
from std_daq.diagnosis.finding import Finding, Level
from std_daq.errors import BrokerError, ConfigError

CONNECT_TIMEOUT_S = 5.0


def broker(config: PlatformConfig) -> Finding:
    """Check whether a client of this system can connect to the broker."""
    try:
        address = broker_address_of(config)
    except BrokerError as error:
        return Finding(
            "broker", Level.WARNING, str(error), "if no broker is configured, std-daq up starts a throwaway one"
        )
    except ConfigError as error:
        return Finding("broker", Level.PROBLEM, str(error))
    try:
        with BrokerConnection(address, NothingOwned(), name="std-daq-doctor") as connection:
            connection.wait_connected(CONNECT_TIMEOUT_S)
    except BrokerError as error:
        return Finding("broker", Level.PROBLEM, str(error), "start it, or correct its URL, user, password or rights")
    return Finding("broker", Level.OK, f"{address} accepts connections")
