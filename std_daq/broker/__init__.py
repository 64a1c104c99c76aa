"""RabbitMQ: connection, topology, requests and statuses."""
