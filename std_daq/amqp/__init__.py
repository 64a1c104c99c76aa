"""AMQP: the connection to a message broker, and what is declared there."""
