"""The exchanges that a writer agent declares, for clients that come before any agent."""

import pika

from std_daq.amqp.topology import EXCHANGES


def declare_exchanges(url: str) -> None:
    """Declare what a writer agent would, so that a test needs none to listen."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        for exchange, kind in EXCHANGES.items():
            connection.channel().exchange_declare(exchange, kind, durable=True)
