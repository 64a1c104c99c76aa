"""ChannelMap: which channel of the electronics reads which pad, or which strip of a silicon detector."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from std_daq.errors import ConfigError
from std_daq.telemetry.logs import get_logger
from std_daq.tpc.electronics import BOARDS_PER_COBO, FPN_CHANNELS, MAX_COBO, N_AGETS, N_CHANNELS, Board
from std_daq.tpc.pads.table_file import read_table, wrong_line

# Detectors of a map with 6 columns; a map with 5 has pads only. The place in this list is the code of a detector.
DETECTORS = ("pad", "si_upstream_front", "si_upstream_back", "si_downstream_front", "si_downstream_back")
PAD = DETECTORS.index("pad")
UNCONNECTED = -1
# Column 4 of an event is an int16.
MAX_NUMBER = 2**15 - 1

_HARDWARE = (("cobo", MAX_COBO), ("asad", BOARDS_PER_COBO - 1), ("aget", N_AGETS - 1), ("channel", N_CHANNELS - 1))
_KEY = "pads.electronics"
_COLUMNS = "cobo,asad,aget,channel,pad or cobo,asad,aget,channel,detector,number"


class MappedChannel(NamedTuple):
    """One line of a map: a channel, the code of its detector, and the number of its pad or strip."""

    cobo: int
    asad: int
    aget: int
    channel: int
    detector: int
    number: int

    @property
    def board(self) -> Board:
        """The board of the channel."""
        return self.cobo, self.asad


@dataclass(frozen=True, slots=True)
class ChannelMap:
    """The channels that read something, in ascending order of number, detector and hardware.

    Rows of an event come in this order, so that their numbers ascend, and those of each detector as well.
    """

    channels: tuple[MappedChannel, ...]

    @classmethod
    def of(cls, channels: list[MappedChannel]) -> "ChannelMap":
        """Return a map of channels in any order."""
        return cls(tuple(sorted(channels, key=lambda one: (one.number, one.detector, one))))

    @property
    def boards(self) -> tuple[Board, ...]:
        """The boards of which the map names a channel, ascending."""
        return tuple(sorted({one.board for one in self.channels}))


def read_channel_map(file: Path) -> ChannelMap:
    """Read a map of 5 or 6 columns.

    Lines of channels that are not connected (number -1) and of FPN channels, which have no pad, are ignored.

    Raises
    ------
    ConfigError
        The file cannot be read or a line is wrong; the error names the line.
    """
    channels: list[MappedChannel] = []
    seen: dict[tuple[int, ...], int] = {}
    fpn_lines = []
    for line, one in _lines(file):
        hardware = one[:4]
        if hardware in seen:
            raise ConfigError(
                f"line {line}: line {seen[hardware]} is about the same channel", file=file, key=_KEY,
                value=",".join(map(str, hardware)), remedy="remove one of the two lines",
            )  # fmt: skip
        seen[hardware] = line
        if one.number == UNCONNECTED:
            continue
        if one.channel in FPN_CHANNELS:
            fpn_lines.append(line)
            continue
        channels.append(one)
    if fpn_lines:
        get_logger().warning("fpn_channels_in_map_ignored", file=str(file), n_lines=len(fpn_lines), first=fpn_lines[0])
    return ChannelMap.of(channels)


def write_channel_map(file: Path, channel_map: ChannelMap) -> None:
    """Write a map: with 5 columns if it has pads only, otherwise with 6."""
    has_pads_only = all(one.detector == PAD for one in channel_map.channels)
    head = "cobo,asad,aget,channel,pad\n" if has_pads_only else "cobo,asad,aget,channel,detector,number\n"
    with file.open("w", encoding="utf-8") as output:
        output.write(head)
        for one in channel_map.channels:
            detector = "" if has_pads_only else f"{DETECTORS[one.detector]},"
            output.write(f"{one.cobo},{one.asad},{one.aget},{one.channel},{detector}{one.number}\n")


def _lines(file: Path) -> Iterator[tuple[int, MappedChannel]]:
    n_columns = 0
    for line, values in read_table(file, _KEY):
        n_columns = n_columns or len(values)
        if len(values) not in {5, 6} or len(values) != n_columns:
            wanted = n_columns if n_columns in {5, 6} else "5 or 6"
            problem = f"has {len(values)} values instead of {wanted}"
            raise wrong_line(file, _KEY, line, problem, values, f"a line is {_COLUMNS}")
        yield line, _parse(file, line, values)


def _parse(file: Path, line: int, values: list[str]) -> MappedChannel:
    *hardware, number = values
    detector = PAD
    if len(values) == 6:
        keyword = hardware.pop()
        if keyword not in DETECTORS:
            problem = f"'{keyword}' is no detector"
            raise wrong_line(file, _KEY, line, problem, values, f"known are {', '.join(DETECTORS)}")
        detector = DETECTORS.index(keyword)
    limits = [*((name, 0, last) for name, last in _HARDWARE), ("number", UNCONNECTED, MAX_NUMBER)]
    parsed = []
    for text, (name, first, last) in zip((*hardware, number), limits, strict=True):
        try:
            value = int(text)
        except ValueError:
            problem = f"{name} '{text}' is no whole number"
            raise wrong_line(file, _KEY, line, problem, values, f"a line is {_COLUMNS}") from None
        if not first <= value <= last:
            raise wrong_line(file, _KEY, line, f"{name} {value} is not within {first} and {last}", values, "correct it")
        parsed.append(value)
    cobo, asad, aget, channel, mapped = parsed
    return MappedChannel(cobo, asad, aget, channel, detector, mapped)
