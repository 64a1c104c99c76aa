"""The description of the protocol UbloxControl, as ``scripts/protos`` makes it from ``ublox_control.proto``."""

from pathlib import Path

from std_daq.telescope.message_pool import read_pool

SERVICE_NAME = "ubloxcontrol.UbloxControl"
POOL = read_pool(Path(__file__).with_name("ublox_control.binpb"))
"""A pool with the protocol, which server reflection reads."""
