"""ZMQ streams: addresses, doorbells and queues."""
