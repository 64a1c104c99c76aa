"""Formats of messages on the wire and of structs in shared memory; this package opens no sockets."""
