"""RabbitMQ itself: users and rights, definitions, a node of one's own."""
