"""AMQP: speaking to a message broker."""
