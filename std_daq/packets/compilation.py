"""Compiles the loop that sends packets."""

from std_daq.packets.sending import PacketSender


def compile_sending() -> None:
    """Compile the loop, or find it in the cache; sends nothing."""
    PacketSender("127.0.0.1", 9).close()
