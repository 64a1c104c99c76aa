"""Units of systemd: the services of a system on a server without containers."""
