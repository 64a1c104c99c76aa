"""Options of a request for what only the user knows of a run: a file, and the values that change most."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from std_daq.errors import ArgumentError, ConfigError
from std_daq.number_arguments import finite_number

_AXIS = "omega"

# Key of the experiment, its type, number of values, how the help calls the values, and the help itself.
_VALUES: tuple[tuple[str, Callable[[str], Any], int | None, Any, str], ...] = (
    ("distance_m", finite_number, None, "METRES", "sample to detector"),
    ("beam_center_px", finite_number, 2, ("X", "Y"), "beam centre in pixels"),
    ("wavelength_angstrom", finite_number, None, "ANGSTROM", "incident wavelength"),
    ("photon_energy_ev", finite_number, None, "EV", "photon energy, instead of the wavelength"),
    ("count_time_s", finite_number, None, "SECONDS", "exposure time of an image"),
    ("frame_time_s", finite_number, None, "SECONDS", "period of the images"),
    ("transmission", finite_number, None, "FRACTION", "transmission of the attenuator, from 0 to 1"),
    ("sample_name", str, None, "NAME", "name of the sample"),
    ("proposal", str, None, "NUMBER", "number of the proposal"),
    ("title", str, None, "TEXT", "title of the run; by default the name of the file"),
)
# The same for the rotation of the sample; the key is that of the axis.
_ROTATION: tuple[tuple[str, int | None, Any, str], ...] = (
    ("start_deg", None, "DEG", "angle of omega at the start of the first image"),
    ("increment_deg", None, "DEG", "rotation from one image to the next"),
    ("vector", 3, ("X", "Y", "Z"), "direction of omega in the coordinates of NeXus, such as -1 0 0"),
)
# Other names of an option.
_ALIASES = {"distance_m": ("--detector-distance-m",)}


def add_experiment_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("experiment", "These go before the values of the configuration.")
    group.add_argument(
        "--experiment",
        type=Path,
        metavar="FILE",
        help="JSON of the request's section experiment; the options below go before it",
    )
    for key, kind, n_values, metavar, text in _VALUES:
        names = (f"--{key.replace('_', '-')}", *_ALIASES.get(key, ()))
        group.add_argument(*names, dest=key, type=kind, nargs=n_values, metavar=metavar, help=text)
    for key, n_values, metavar, text in _ROTATION:
        name = f"--{_AXIS}-{key.replace('_', '-')}"
        group.add_argument(name, dest=f"{_AXIS}_{key}", type=finite_number, nargs=n_values, metavar=metavar, help=text)


def experiment_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the section ``experiment`` of the request.

    Raises
    ------
    ArgumentError
        The file cannot be read, or the options of the rotation are not complete.
    """
    experiment = {} if arguments.experiment is None else _read(arguments.experiment)
    for key, *_ in _VALUES:
        value = getattr(arguments, key)
        if value is not None:
            experiment[key] = value
    axis = {key: getattr(arguments, f"{_AXIS}_{key}") for key, *_ in _ROTATION}
    if all(value is None for value in axis.values()):
        return experiment
    missing = [f"--{_AXIS}-{key.replace('_', '-')}" for key, value in axis.items() if value is None]
    if missing:
        raise ArgumentError(missing[0], f"is missing: a rotation needs start, increment and vector of {_AXIS}")
    return experiment | {"goniometer": [{"name": _AXIS, **axis}]}


def _read(file: Path) -> dict[str, Any]:
    from std_daq.config.load import read_document

    try:
        return read_document(file)
    except ConfigError as error:
        raise ArgumentError("--experiment", error.problem, value=str(file)) from None
