"""Administering RabbitMQ: users and rights, definitions, and nodes that std-daq starts itself."""
