"""One JUNGFRAU module on this machine, from its packets to a file: the services, and a chain of the obvious kind."""
