"""A gRPC server on a TCP port and a Unix socket: TLS, a token, health, reflection; its section of a configuration."""
