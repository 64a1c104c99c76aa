"""A channel map that is invented: for demos and tests, which have no map of a real chamber."""

from collections.abc import Iterable

from std_daq.tpc.electronics import FPN_CHANNELS, N_AGETS, N_CHANNELS, Board
from std_daq.tpc.pads.channel_map import PAD, ChannelMap, MappedChannel

# All pads of the AT-TPC: 40 boards with 256 channels each.
ATTPC_BOARDS: tuple[Board, ...] = tuple((cobo, asad) for cobo in range(10) for asad in range(4))


def invented_map(boards: Iterable[Board], n_pads: int | None = None) -> ChannelMap:
    """Return a channel map in which each channel of some boards reads a pad, in the order of the hardware.

    Parameters
    ----------
    n_pads
        The channels are spread evenly over so many pads; by default the pads are numbered without gaps.
    """
    hardware = [
        (*board, aget, channel)
        for board in boards
        for aget in range(N_AGETS)
        for channel in range(N_CHANNELS)
        if channel not in FPN_CHANNELS
    ]
    step = 1.0 if n_pads is None else n_pads / len(hardware)
    return ChannelMap.of([MappedChannel(*one, PAD, int(n * step)) for n, one in enumerate(hardware)])
