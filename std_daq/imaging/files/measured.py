"""Measured values in an image file: an NXlog group with times and values for each name."""

from collections.abc import Iterable, Mapping

import h5py
import numpy as np

from std_daq.imaging.files import layout
from std_daq.imaging.files.texts import decode_text, write_text_attribute
from std_daq.imaging.files.transformations import create_group
from std_daq.recording.measured_values import ValueLog, ValueLogs

# For the records of HDF5 and the unused rest of the last chunks.
_LOG_BYTES = 32 * 1024
_VALUE_BYTES = 16
_ROWS_PER_CHUNK = 512
_START = "1970-01-01T00:00:00Z"


def create_logs(file: h5py.File, units: Mapping[str, str]) -> None:
    """Create an empty log for each name, given with its unit; nothing without names.

    The group lists its names, so that groups which other programs add are told apart.
    """
    if not units:
        return
    write_text_attribute(create_group(file, layout.MEASURED, "NXcollection"), "names", " ".join(units))
    for name, unit in units.items():
        log = create_group(file, f"{layout.MEASURED}/{name}", "NXlog")
        for column, dtype in (("time", "<i8"), ("value", "<f8")):
            log.create_dataset(column, shape=(0,), maxshape=(None,), chunks=(_ROWS_PER_CHUNK,), dtype=dtype)
        write_text_attribute(log["time"], "units", "ns")
        write_text_attribute(log["time"], "start", _START)
        if unit:
            write_text_attribute(log["value"], "units", unit)


def names_of_logs(file: h5py.File) -> list[str]:
    """Return the names of the values that a file has logs of."""
    if layout.MEASURED not in file:
        return []
    return decode_text(file[layout.MEASURED].attrs["names"]).split()


def paths_of_logs(file: h5py.File) -> list[str]:
    """Return the paths of the datasets of all logs."""
    return [f"{layout.MEASURED}/{name}/{column}" for name in names_of_logs(file) for column in ("time", "value")]


def room_of_logs(logs: ValueLogs) -> int:
    """Return how much space logs take at most, in bytes; 0 if there are none."""
    return sum(_LOG_BYTES + _VALUE_BYTES * len(log.values) for log in logs.values())


def write_logs(datasets: Mapping[str, h5py.Dataset], logs: ValueLogs) -> None:
    """Write logs into the datasets of a file, given by their paths; names that the file does not have are left out."""
    for name, log in logs.items():
        for column, rows in (("time", np.array(log.times_ns, "<i8")), ("value", np.array(log.values, "<f8"))):
            dataset = datasets.get(f"{layout.MEASURED}/{name}/{column}")
            if dataset is not None:
                dataset.resize((len(rows),))
                dataset[:] = rows


def read_logs(file: h5py.File) -> dict[str, ValueLog]:
    """Return the logs of a file, by the names of their values."""
    logs = {}
    for name in names_of_logs(file):
        log = file[f"{layout.MEASURED}/{name}"]
        unit = decode_text(log["value"].attrs["units"]) if "units" in log["value"].attrs else ""
        logs[name] = ValueLog(unit=unit, times_ns=log["time"][:].tolist(), values=log["value"][:].tolist())
    return logs


def joined_logs(parts: Iterable[ValueLogs]) -> dict[str, ValueLog]:
    """Return the logs of several files as one, in the order of their times."""
    joined: dict[str, ValueLog] = {}
    for logs in parts:
        for name, log in logs.items():
            before = joined.get(name)
            points = [*zip(log.times_ns, log.values, strict=True)]
            if before is not None:
                points = sorted({*points, *zip(before.times_ns, before.values, strict=True)})
            times, values = [time for time, _ in points], [value for _, value in points]
            joined[name] = ValueLog(unit=log.unit, times_ns=times, values=values)
    return joined


def cut_logs(file: h5py.File) -> None:
    """Cut logs whose writer was killed between the times and the values to one length."""
    for name in names_of_logs(file):
        log = file[f"{layout.MEASURED}/{name}"]
        n = min(log["time"].shape[0], log["value"].shape[0])
        for column in ("time", "value"):
            log[column].resize((n,))
