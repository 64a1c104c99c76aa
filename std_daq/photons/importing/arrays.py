"""Entries of the geometry file for parts that stand at many places, and for their channels."""

import numpy as np

from std_daq.photons.importing.detector import Transform, Vector
from std_daq.photons.importing.sensors import Sensor
from std_daq.photons.importing.shapes import is_unturned
from std_daq.photons.importing.tables import Json


def array_entries(name: str, transforms: list[Transform], sensors: list[Sensor]) -> list[Json]:
    """Return arrays of one part: one for each run of channels, or one without channels."""
    if not sensors:
        return [_places(name, transforms)]
    pairs = sorted(zip(sensors, transforms, strict=True), key=lambda pair: pair[0].channel)
    runs: list[list[tuple[Sensor, Transform]]] = []
    for pair in pairs:
        if runs and runs[-1][-1][0].channel + 1 == pair[0].channel:
            runs[-1].append(pair)
        else:
            runs.append([pair])
    return [_channels(name, [sensor for sensor, _ in run], [transform for _, transform in run]) for run in runs]


def single_entry(sensor: Sensor) -> Json:
    """Return the keys of a single solid that is a channel."""
    entry: Json = {"channel": sensor.channel, "channel_position": _numbers(sensor.position)}
    return entry | {"channel_type": sensor.type} if sensor.type else entry


def _channels(name: str, sensors: list[Sensor], transforms: list[Transform]) -> Json:
    entry = _places(name, transforms) | {"first_channel": sensors[0].channel}
    types = [sensor.type for sensor in sensors]
    if any(types):
        entry["channel_types"] = types[0] if len(set(types)) == 1 else types
    positions = [_numbers(sensor.position) for sensor in sensors]
    if positions != entry["positions"]:
        entry["channel_positions"] = positions
    return entry


def _places(name: str, transforms: list[Transform]) -> Json:
    entry: Json = {"part": name, "positions": [_numbers(one.position) for one in transforms]}
    if not all(is_unturned(one) for one in transforms):
        entry["rotations"] = [(one.rotation + 0.0).tolist() for one in transforms]
    return entry


def _numbers(vector: Vector) -> list[float]:
    numbers: list[float] = (np.asarray(vector) + 0.0).tolist()
    return numbers
