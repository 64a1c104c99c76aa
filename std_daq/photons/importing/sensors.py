"""The light sensors of a detector: which placements they are, and what their channels are."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from std_daq.photons.importing.detector import IDENTITY, PlacedVolume, Transform, Vector, Volume
from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.ratdb import PmtArray
from std_daq.photons.importing.report import ImportReport

MAX_PLACEMENTS = 5_000_000
"""Placements of the whole tree, each counted as often as its mother stands somewhere."""

PLACE_TOLERANCE = 0.01
"""Places of a table and of its PMT that differ by less, in mm, are the same: clients of RAT match by this."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """A light sensor.

    Parameters
    ----------
    path
        From the world's placement inwards; the last one is the sensor's own.
    position
        What is told to clients, in mm.
    efficiency
        Factor on the efficiency of its surfaces.
    """

    path: tuple[PlacedVolume, ...]
    transform: Transform
    channel: int
    position: Vector
    type: int = 0
    efficiency: float = 1.0

    @property
    def name(self) -> str:
        """The name of its placement, without pointer."""
        return self.path[-1].name


def count_placements(world: Volume) -> int:
    """Return how many placements the tree has.

    Raises
    ------
    DetectorImportError
        If it is more than any detector has: a few volumes that stand in each other many times make billions.
    """
    counts: dict[Volume, int] = {}

    def count(volume: Volume) -> int:
        if volume not in counts:
            counts[volume] = sum(1 + count(placement.volume) for placement in volume.placements)
        return counts[volume]

    n = count(world)
    if n > MAX_PLACEMENTS:
        raise DetectorImportError(f"{n} placements; at most {MAX_PLACEMENTS} can be converted")
    return n


def sensors_by_name(world: Volume, pattern: str, report: ImportReport) -> list[Sensor]:
    """Return the placements whose name, or whose volume's name, matches; what stands within them is part of them.

    Raises
    ------
    DetectorImportError
        If the pattern is wrong, or nothing matches.
    """
    try:
        matches = re.compile(pattern).search
    except re.error as error:
        raise DetectorImportError(f"'{pattern}' is no regular expression: {error}", key="--sensors") from error
    found = list(_find(world, lambda one: bool(matches(one.name) or matches(one.volume.name)), is_innermost=False))
    if not found:
        raise DetectorImportError(f"no volume or placement has a name like '{pattern}'", key="--sensors")
    return _numbered(found, report)


def sensitive_sensors(world: Volume, report: ImportReport) -> list[Sensor]:
    """Return the innermost placements of volumes that are sensitive detectors."""
    return _numbered(list(_find(world, lambda one: one.volume.is_sensitive, is_innermost=True)), report)


def sensors_of_tables(world: Volume, arrays: list[PmtArray], report: ImportReport) -> list[Sensor]:
    """Return the PMTs that RAT's tables describe.

    Raises
    ------
    DetectorImportError
        If there are more or fewer PMTs than rows, or their ids are not 0 to n - 1, each once.
    """
    sensors = []
    for array in arrays:
        pattern = re.compile(rf"{re.escape(array.index)}_pmtenv_(\d+)")
        found = [
            (int(path[-1].name.rpartition("_")[2]), path, transform)
            for path, transform in _find(world, partial(_is_named, pattern), is_innermost=False)
        ]
        if len(found) != len(array.positions):
            raise DetectorImportError(
                f"{len(found)} PMTs '{array.index}_pmtenv_...' stand in the detector, its table has"
                f" {len(array.positions)} rows",
                file=f"GEO[{array.index}]",
                remedy="take tables and GDML from one run of RAT",
            )
        first_id = min(number for number, _, _ in found)
        for number, path, transform in found:
            row = number - first_id
            if row >= len(array.positions):
                raise DetectorImportError(f"PMT {number} has no row in its table", file=f"GEO[{array.index}]")
            position = array.positions[row]
            if np.linalg.norm(position - transform.position) > PLACE_TOLERANCE:
                position = transform.position
                report.note(
                    f"array '{array.index}'", "PMTs stand elsewhere than their table says; their placements count"
                )
            sensors.append(
                Sensor(path, transform, number, position, int(array.types[row]), float(array.efficiencies[row]))
            )
    sensors.sort(key=lambda sensor: sensor.channel)
    if [sensor.channel for sensor in sensors] != list(range(len(sensors))):
        raise DetectorImportError(f"the ids of the {len(sensors)} PMTs are not 0 to {len(sensors) - 1}, each once")
    return sensors


def _is_named(pattern: re.Pattern[str], placement: PlacedVolume) -> bool:
    return pattern.fullmatch(placement.name) is not None


def _numbered(found: list[tuple[tuple[PlacedVolume, ...], Transform]], report: ImportReport) -> list[Sensor]:
    sensors = [Sensor(path, transform, 0, transform.position) for path, transform in found]
    expected = list(range(len(sensors)))
    depth = min((len(path) for path, _ in found), default=0)
    for level in range(1, depth + 1):
        numbers = [path[-level].copy_number for path, _ in found]
        if sorted(numbers) == expected:
            chosen = numbers
            break
    else:
        chosen = expected
        if sensors:
            report.note("channels", "copy numbers do not tell the sensors apart; they are numbered in the file's order")
    numbered = [replace(sensor, channel=channel) for sensor, channel in zip(sensors, chosen, strict=True)]
    return sorted(numbered, key=lambda sensor: sensor.channel)


def _find(
    world: Volume, is_sensor: Callable[[PlacedVolume], bool], *, is_innermost: bool
) -> Iterator[tuple[tuple[PlacedVolume, ...], Transform]]:
    """Yield paths in the order of the file, depth first."""
    holders: dict[Volume, bool] = {}

    def holds(volume: Volume) -> bool:
        """Whether something within a volume is a sensor."""
        if volume not in holders:
            holders[volume] = any(is_sensor(one) or holds(one.volume) for one in volume.placements)
        return holders[volume]

    def walk(
        volume: Volume, path: tuple[PlacedVolume, ...], transform: Transform
    ) -> Iterator[tuple[tuple[PlacedVolume, ...], Transform]]:
        for placement in volume.placements:
            goes_on = holds(placement.volume)
            is_one = is_sensor(placement)
            if not goes_on and not is_one:
                continue
            inner_path, inner = (*path, placement), transform.after(placement.transform)
            if is_one and not (is_innermost and goes_on):
                yield inner_path, inner
            else:
                yield from walk(placement.volume, inner_path, inner)

    return walk(world, (), IDENTITY)
