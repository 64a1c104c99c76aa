"""The electronics of a chamber: what a board has, and how channels are numbered.

A board is an AsAd: 4 AGET chips with 68 channels each, whose samples are taken in 512 time buckets. Boards are named by
the pair (CoBo, AsAd).
"""

from typing import Final

N_AGETS: Final = 4
N_CHANNELS: Final = 68
N_TIME_BUCKETS: Final = 512
CHANNELS_PER_BOARD: Final = N_AGETS * N_CHANNELS
BOARDS_PER_COBO: Final = 4
# Channels that have no pad; they record the fixed-pattern noise of their chip.
FPN_CHANNELS: Final = (11, 22, 45, 56)
MAX_COBO: Final = 255
SAMPLE_BITS: Final = 12
CLOCK_HZ: Final = 100_000_000

Board = tuple[int, int]


def hardware_number(cobo: int, asad: int, aget: int, channel: int) -> int:
    """Return the number of a channel by hardware: ((cobo * 4 + asad) * 4 + aget) * 68 + channel."""
    return ((cobo * BOARDS_PER_COBO + asad) * N_AGETS + aget) * N_CHANNELS + channel
