"""Compilation of the loop that sends packets."""

from pathlib import Path

from std_daq.native.compiling import compiling
from std_daq.packets.sending import PacketSender


def compile_sending(config_file: Path | None) -> None:
    """Compile the loop, or load it from the cache; no packet is sent.

    The loop is the same for all detectors. For a given configuration nothing is compiled, because no service sends.
    """
    if config_file is None:
        with compiling("std_daq.packets.sending"):
            PacketSender("127.0.0.1", 9).close()
