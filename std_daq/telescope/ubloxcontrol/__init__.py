"""The protocol UbloxControl: its messages (`ublox_control_pb2`), and a client of it."""
