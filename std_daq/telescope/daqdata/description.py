"""The description of the protocol DaqData, as ``scripts/protos`` makes it from ``daq_data.proto``."""

from pathlib import Path

from std_daq.telescope.message_pool import read_pool

POOL = read_pool(Path(__file__).with_name("daq_data.binpb"))
"""A pool with the protocol, which server reflection reads."""
