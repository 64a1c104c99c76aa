"""Drafts a ``detector.json`` from a slsDetector ``.config`` file.

Such a file has one command per line: ``name value ...``. The index of a module may precede the command
(``0:udp_dstport 50001``), or the indices of a detector and a module (``0-1:udp_dstport 50002``). A second index numbers
the servers to which frames are sent in turn (``0:3:udp_dstlist ip=10.0.0.4``). ``#`` begins a comment. The draft
contains all that the commands determine; a remark reports everything else.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from std_daq.errors import ConfigError

SlsType = Literal["jungfrau", "eiger"]

_COMMAND = re.compile(r"(?:(?P<detector>\d+)-)?(?:(?P<module>\d+):)?(?:(?P<destination>\d+):)?(?P<name>[A-Za-z_]\w*)")
# Names of commands before version 5 of slsDetectorPackage.
_OLD_NAMES = {
    "rx_udpport": "udp_dstport",
    "rx_udpport2": "udp_dstport2",
    "rx_udpip": "udp_dstip",
    "rx_udpip2": "udp_dstip2",
    "outdir": "fpath",
}

_HINTS: dict[SlsType, frozenset[str]] = {
    "eiger": frozenset({"trimen", "subexptime", "fliprows", "flippeddatax", "parallel", "partialreset", "tengiga"}),
    "jungfrau": frozenset({"powerchip", "temp_threshold", "temp_control", "storagecells", "numinterfaces", "gainmode"}),
}
_HOST_HINTS: tuple[tuple[str, SlsType], ...] = (
    ("beb", "eiger"),
    ("eiger", "eiger"),
    ("bchip", "jungfrau"),
    ("jf", "jungfrau"),
)
_CHANGES_PACKETS = ("quad",)
_ALL_ROWS: dict[SlsType, int] = {"jungfrau": 512, "eiger": 256}

_UNITS_S = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_TIME = re.compile(r"([0-9.eE+-]+?)\s*(s|ms|us|ns)?")

# Sizes in pixels: half the height of a module and its width without the gaps between chips, and the gap between two
# chips. One port of a JUNGFRAU sends a module; one port of an EIGER sends a quarter of a module.
_HALF_HEIGHT, _MODULE_WIDTH = 256, 1024
_CHIP_GAP = 2
# Pixels between two modules, if the software of the detector inserts gap pixels.
_MODULE_GAP_X, _MODULE_GAP_Y = 8, 36


@dataclass(slots=True)
class ImportedConfig:
    """The draft of a configuration, and remarks on it.

    Parameters
    ----------
    document
        The content of ``detector.json``.
    remarks
        What was not imported or must be checked, one sentence each, for the user.
    """

    document: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SlsCommand:
    """One command: its module (None for all), its current name, its values, and the server that it is about."""

    module: int | None
    name: str
    values: tuple[str, ...]
    destination: int = 0


def parse_sls_commands(text: str) -> Iterator[SlsCommand]:
    """Yield the commands of a file; skips lines that are not commands."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        match = _COMMAND.fullmatch(words[0]) if words else None
        if match is None:
            continue
        module = None if match["module"] is None else int(match["module"])
        name = _OLD_NAMES.get(match["name"], match["name"])
        yield SlsCommand(module, name, tuple(words[1:]), int(match["destination"] or 0))


def import_sls_config(text: str, *, detector_name: str, detector_type: SlsType | None = None) -> ImportedConfig:
    """Return the draft of a configuration.

    Parameters
    ----------
    text
        Content of the ``.config`` file.
    detector_name
        Name of the detector in the configuration.
    detector_type
        Type of the detector; by default derived from the commands.

    Raises
    ------
    ConfigError
        The file names no detector, or the commands do not determine the type.
    """
    commands = list(parse_sls_commands(text))
    return _Import(commands, detector_name, detector_type or _guess_type(commands)).draft()


class _Import:
    def __init__(self, commands: list[SlsCommand], detector_name: str, detector_type: SlsType) -> None:
        self._commands = commands
        self._name = detector_name
        self._type = detector_type
        self._taken = {"hostname"}
        self._hosts = _hosts(commands)
        if not self._hosts:
            raise ConfigError("the file has no hostname, so it describes no detector", key="hostname")
        self._remarks: list[str] = []

    def draft(self) -> ImportedConfig:
        is_eiger = self._type == "eiger"
        n_modules = len(self._hosts) * (2 if is_eiger else 1)
        positions = self._eiger_positions() if is_eiger else self._jungfrau_positions()
        document: dict[str, Any] = {
            "detector_name": self._name,
            "detector_type": self._type,
            "n_modules": n_modules,
            "bit_depth": self._bit_depth(),
            "image_pixel_height": max(max(y0, y1) for _, y0, _, y1 in positions) + 1,
            "image_pixel_width": max(max(x0, x1) for x0, _, x1, _ in positions) + 1,
            "start_udp_port": self._start_port(),
            "module_positions": {str(module): list(position) for module, position in enumerate(positions)},
        }
        document |= self._sections()
        self._remark_the_rest()
        return ImportedConfig(document, self._remarks)

    def _sections(self) -> dict[str, Any]:
        sections: dict[str, Any] = {}
        nexus = {
            key: self._seconds(name)
            for key, name in (("count_time_s", "exptime"), ("frame_time_s", "period"))
            if self._seconds(name)
        }
        if nexus:
            sections["nexus"] = nexus
        udp: dict[str, Any] = {}
        if self._type == "jungfrau" and self._value("numinterfaces") == "2":
            udp["numinterfaces"] = 2
        if (numdst := self._numdst()) > 1:
            udp["numdst"] = numdst
        addresses = {*self._per_host("udp_dstip"), *self._per_host("udp_dstip2")} - {None, "auto"}
        if len(addresses) == 1 and numdst == 1:
            udp["address"] = addresses.pop()
        if udp:
            sections["udp"] = udp
        if options := self._options():
            sections["detector"] = options
        if len(addresses) > 1 and numdst == 1:
            self._remarks.append(
                f"the modules send to {len(addresses)} addresses ({', '.join(sorted(map(str, addresses)))}): packets "
                "are received on all interfaces (udp.address)"
            )
        folder = self._value("fpath")
        if folder is not None and folder.startswith("/") and folder != "/":
            sections["writer"] = {"output_roots": [folder]}
        return sections

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        numbers = {value for value in self._per_host("readnrows") if value is not None}
        if len(numbers) > 1:
            self._remarks.append("readnrows differs between modules: give all modules the same number of rows")
        elif numbers and (text := numbers.pop()).isdigit() and int(text) != _ALL_ROWS[self._type]:
            options["readnrows"] = int(text)
        if self._type == "eiger":
            tengiga = self._value("tengiga")
            if tengiga == "0":
                options["tengiga"] = False
            elif tengiga is None:
                self._remarks.append(
                    "tengiga is not given: packets over 10 Gb are expected; an EIGER sends over 1 Gb until tengiga is "
                    "set to 1 (detector.tengiga)"
                )
        return options

    def _numdst(self) -> int:
        """Return the number of servers to which the detector sends its frames in turn."""
        self._taken |= {"udp_dstlist", "udp_firstdst", "udp_cleardst", "udp_numdst"}
        numbers = [command.destination + 1 for command in self._commands if command.name == "udp_dstlist"]
        text = self._value("udp_numdst")
        n = max([int(text) if text and text.isdigit() else 1, *numbers])
        if n > 1:
            self._remarks.append(
                f"the detector sends to {n} servers in turn: each of them needs this configuration and an address of "
                "its own (udp.address)"
            )
        return n

    def _bit_depth(self) -> int:
        text = self._value("dr")
        if text is None and self._type == "eiger":
            self._remarks.append("dr is not given: bit_depth is 16, the default of the detector; check it")
        return int(text) if text and text.isdigit() else 16

    def _start_port(self) -> int:
        """Return the first UDP port, from which the ports of a detector count up."""
        n_hosts = len(self._hosts)
        first = self._ports("udp_dstport", 50001)
        if self._has_two_ports():
            second = self._ports("udp_dstport2", 50002)
            ports = [port for pair in zip(first, second, strict=True) for port in pair]
        else:
            ports = first
        expected = list(range(ports[0], ports[0] + len(ports)))
        if ports != expected:
            self._remarks.append(
                f"the ports {ports} do not count up by one from {ports[0]}: change udp_dstport of the modules so that "
                f"they do ({expected[0]} to {expected[-1]}), in the order of the {n_hosts} hostnames"
            )
        return ports[0]

    def _has_two_ports(self) -> bool:
        """Return whether each host sends to two ports."""
        return self._value("numinterfaces") == "2" or self._type == "eiger"

    def _ports(self, name: str, default: int) -> list[int]:
        """Return one port per host; a command for all hosts counts up by one, or by two if each host has two ports."""
        step = 2 if self._has_two_ports() else 1
        common = self._value(name)
        start = int(common) if common and common.isdigit() else default
        self._taken.add(name)
        return [
            int(value) if value and value.isdigit() else start + step * host
            for host, value in enumerate(self._per_host(name, with_common=False))
        ]

    def _jungfrau_positions(self) -> list[tuple[int, int, int, int]]:
        height, width = 2 * _HALF_HEIGHT + _CHIP_GAP, _MODULE_WIDTH + 3 * _CHIP_GAP
        gap_x, gap_y = self._module_gaps()
        n_rows = self._rows_of(2 * _HALF_HEIGHT)
        positions = []
        for host in range(len(self._hosts)):
            column, row = divmod(host, n_rows)
            x, y = column * (width + gap_x), row * (height + gap_y)
            positions.append((x, y, x + width - 1, y + height - 1))
        return positions

    def _eiger_positions(self) -> list[tuple[int, int, int, int]]:
        """Return the positions of the quarters: left and right of each half module; upper halves are flipped."""
        height, width = _HALF_HEIGHT, _MODULE_WIDTH // 2 + _CHIP_GAP
        gap_x, gap_y = self._module_gaps()
        n_rows = self._rows_of(_HALF_HEIGHT)
        self._taken |= {"fliprows", "flippeddatax"}
        self._remarks.append("the draft flips the upper half of each module (y1 < y0): check this on an image")
        positions = []
        for host in range(len(self._hosts)):
            column, row = divmod(host, n_rows)
            y = row * (height + _CHIP_GAP) + row // 2 * (gap_y - _CHIP_GAP if gap_y else 0)
            is_upper = row % 2 == 0
            y0, y1 = (y + height - 1, y) if is_upper else (y, y + height - 1)
            for side in range(2):
                x = column * (2 * width + _CHIP_GAP + gap_x) + side * (width + _CHIP_GAP)
                positions.append((x, y0, x + width - 1, y1))
        return positions

    def _module_gaps(self) -> tuple[int, int]:
        if self._value("gappixels") == "1":
            return _MODULE_GAP_X, _MODULE_GAP_Y
        if len(self._hosts) > (2 if self._type == "eiger" else 1):
            self._remarks.append("module_positions leave no gap between modules: enter their true positions")
        return 0, 0

    def _rows_of(self, height: int) -> int:
        """Return the number of pieces with this height in one column; pieces are numbered column by column."""
        values = next((command.values for command in self._commands if command.name == "detsize"), ())
        self._taken.add("detsize")
        if len(values) == 2 and all(value.isdigit() for value in values) and int(values[1]) >= height:
            return int(values[1]) // height
        if len(self._hosts) > 1:
            self._remarks.append("detsize is not given: the modules are placed in one column")
        return len(self._hosts)

    def _value(self, name: str) -> str | None:
        """Return the value that a command sets for all modules, or None if there is no such command."""
        self._taken.add(name)
        found = [c.values[0] for c in self._commands if c.name == name and c.module is None and c.values]
        return found[-1] if found else None

    def _per_host(self, name: str, *, with_common: bool = True) -> list[str | None]:
        values = [self._value(name) if with_common else None] * len(self._hosts)
        for command in self._commands:
            if command.name == name and command.module is not None and command.values:
                if command.module < len(values):
                    values[command.module] = command.values[0]
                else:
                    self._remarks.append(f"{command.module}:{name} is for a module that hostname does not name")
        return values

    def _seconds(self, name: str) -> float | None:
        self._taken.add(name)
        values = next((c.values for c in self._commands if c.name == name and c.module is None), ())
        match = _TIME.fullmatch("".join(values[:2]))
        try:
            return None if match is None else float(match[1]) * _UNITS_S[match[2] or ""] or None
        except ValueError:
            return None

    def _remark_the_rest(self) -> None:
        names = dict.fromkeys(command.name for command in self._commands if command.name not in self._taken)
        changing = [name for name in names if name in _CHANGES_PACKETS]
        receiving = [name for name in names if name.startswith("rx_") and name not in changing]
        others = [name for name in names if name not in {*changing, *receiving}]
        for group, text in (
            (changing, "these change where pixels lie; check module_positions on an image"),
            (receiving, "these configure the receiver that std-daq replaces"),
            (others, "these configure the control software of the detector; keep them there"),
        ):
            if group:
                self._remarks.append(f"not imported: {', '.join(group)} ({text})")


def _hosts(commands: Iterable[SlsCommand]) -> list[str]:
    hosts: dict[int, str] = {}
    for command in commands:
        if command.name != "hostname" or not command.values:
            continue
        names = [name for name in "+".join(command.values).split("+") if name]
        if command.module is None:
            hosts = dict(enumerate(names))
        else:
            hosts[command.module] = names[0]
    return [hosts[module] for module in sorted(hosts)]


def _guess_type(commands: list[SlsCommand]) -> SlsType:
    hosts = _hosts(commands)
    for prefix, detector_type in _HOST_HINTS:
        if any(host.lower().startswith(prefix) for host in hosts):
            return detector_type
    names = {command.name for command in commands}
    scores = {detector_type: len(names & hints) for detector_type, hints in _HINTS.items()}
    if scores["eiger"] == scores["jungfrau"]:
        raise ConfigError(
            "neither the hostnames nor the commands show whether this is a JUNGFRAU or an EIGER",
            remedy="give --detector-type",
        )
    return max(scores, key=lambda detector_type: scores[detector_type])
