"""The service ublox_control: the control of a GNSS timing receiver over gRPC."""
