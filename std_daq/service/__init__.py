"""The life of a service: arguments, configuration, signals, health, main loop."""
