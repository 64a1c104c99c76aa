"""What pika raises where a broker is not there, goes away or does not answer."""

import pika.exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

# A handshake that is not answered in time ends in an error that does not descend from AMQPError.
CONNECTION_FAILURES = (pika.exceptions.AMQPError, AMQPConnectorException, OSError)
