"""UBX, the protocol of u-blox receivers: messages, keys of the configuration, and a simulated ZED-F9T."""
