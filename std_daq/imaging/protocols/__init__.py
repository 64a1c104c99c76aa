"""What is on the wire and in shared memory: dtypes and messages, no sockets."""
