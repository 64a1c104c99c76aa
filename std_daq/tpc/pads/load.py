"""Loads a `PadPlane` from the files that a configuration names."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.tpc.pads.attpc_plane import BEAM_RADIUS_MM, attpc_positions, attpc_scales
from std_daq.tpc.pads.channel_map import PAD, ChannelMap, read_channel_map
from std_daq.tpc.pads.config import ATTPC, PadsConfig, PadsSource
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.pads.table_file import read_table, wrong_line

_SPYRAL = "attpc_spyral"
_SPYRAL_FILES = {
    "electronics": "spyral/data/pad_electronics.csv",
    "geometry": "spyral/data/padxy.csv",
    "scale": "spyral/data/pad_scale.csv",
    "time_correction": "spyral/data/pad_time_correction.csv",
}


def load_pads(source: PadsSource) -> PadPlane:
    """Return the pad plane of a configuration.

    Raises
    ------
    ConfigError
        A file cannot be read, is wrong, or does not fit the others; the error names key, file, line and remedy.
    """
    if not isinstance(source, PadsConfig):
        source = _config_of_spyral()
    channel_map = None if source.electronics is None else read_channel_map(source.electronics)
    positions = _positions(source)
    plane = PadPlane(
        channel_map=channel_map,
        positions=positions,
        scales=_scales(source),
        time_corrections=None if source.time_correction is None else _column("time_correction", source.time_correction),
        beam_radius_mm=source.beam_radius_mm,
    )
    _check_lengths(plane, source)
    return plane


def _positions(source: PadsConfig) -> NDArray[np.float64] | None:
    if source.geometry is None:
        return None
    return attpc_positions() if source.geometry == ATTPC else _read_columns("geometry", source.geometry, 2)


def _scales(source: PadsConfig) -> NDArray[np.float64] | None:
    if source.scale is None:
        return None
    return attpc_scales() if source.scale == ATTPC else _column("scale", source.scale)


def _column(name: str, file: Path) -> NDArray[np.float64]:
    return _read_columns(name, file, 1)[:, 0]


def _read_columns(name: str, file: Path, n_columns: int) -> NDArray[np.float64]:
    """Return the numbers of a file with one line a pad, shape (n_pads, n_columns)."""
    key = f"pads.{name}"
    what = "x,y in mm" if n_columns == 2 else "one number"
    rows = []
    for line, values in read_table(file, key):
        try:
            row = [float(value) for value in values]
        except ValueError:
            row = []
        if len(row) != n_columns or not np.isfinite(row).all():
            raise wrong_line(file, key, line, f"is not {what}", values, f"give {what} for each pad")
        rows.append(row)
    return np.array(rows)


def _check_lengths(plane: PadPlane, source: PadsConfig) -> None:
    """Check that all tables are about the same pads."""
    if plane.positions is None and source.beam_radius_mm:
        raise ConfigError(
            "beam pads need positions", key="pads.beam_radius_mm", value=source.beam_radius_mm,
            remedy="give pads.geometry, or leave this out",
        )  # fmt: skip
    tables = {"scale": plane.scales, "time_correction": plane.time_corrections}
    given = {name: len(table) for name, table in tables.items() if table is not None}
    for name, n_lines in given.items():
        n_pads = plane.n_pads if plane.positions is not None else max(given.values())
        if n_lines != n_pads:
            other = "pads.geometry" if plane.positions is not None else "another table"
            raise ConfigError(
                f"has {n_lines} pads, but {other} has {n_pads}", key=f"pads.{name}", value=str(getattr(source, name)),
                remedy="give files of the same pad plane",
            )  # fmt: skip
    _check_pads_of_map(plane.channel_map, source, plane.n_pads if plane.positions is not None else None)


def _check_pads_of_map(channel_map: ChannelMap | None, source: PadsConfig, n_pads: int | None) -> None:
    if channel_map is None or n_pads is None:
        return
    beyond = [one for one in channel_map.channels if one.detector == PAD and one.number >= n_pads]
    if beyond:
        raise ConfigError(
            f"names pad {beyond[0].number}, but the geometry has pads 0 to {n_pads - 1}", key="pads.electronics",
            value=str(source.electronics), remedy="give files of the same pad plane",
        )  # fmt: skip


def _config_of_spyral() -> PadsConfig:
    """Return the files of the installed attpc_spyral as a configuration; nothing of it is imported."""
    try:
        installed = distribution(_SPYRAL)
    except PackageNotFoundError:
        raise ConfigError(
            "this distribution is not installed", key="pads", value=_SPYRAL,
            remedy="pip install 'attpc_spyral<=0.18.0', or name the files of the pad plane",
        ) from None  # fmt: skip
    files = {name: Path(str(installed.locate_file(path))) for name, path in _SPYRAL_FILES.items()}
    missing = [file for file in files.values() if not file.is_file()]
    if missing:
        raise ConfigError(
            f"version {installed.version} of this distribution has no file {missing[0].name}", key="pads",
            value=_SPYRAL, remedy="versions up to 0.18.0 have it; or name the files of the pad plane",
        )  # fmt: skip
    return PadsConfig(**files, beam_radius_mm=BEAM_RADIUS_MM)
