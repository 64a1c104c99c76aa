"""Files of photons, and of hits, for ``std-sim run``."""

from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.photons.records import HIT, NO_HITS, PHOTON

Event = tuple[int, NDArray[np.void]]


def read_events(path: Path) -> list[Event]:
    """Return number and photons of each event of a file.

    Raises
    ------
    ConfigError
        The file is missing, or of another kind.
    """
    if not path.is_file():
        raise ConfigError("there is no such file", file=path, remedy="give an .npz or .root file of photons")
    return _read_root(path) if path.suffix == ".root" else _read_npz(path)


def write_hits(path: Path, events: list[Event]) -> None:
    """Write the hits of events: an array for each field, and the event of each hit."""
    hits = np.concatenate([NO_HITS, *(found for _, found in events)])
    event_ids = np.repeat(
        np.array([event_id for event_id, _ in events], np.uint32), [len(found) for _, found in events]
    )
    # With an open file: numpy would add an ending to a name.
    with path.open("wb") as file:
        arrays: dict[str, Any] = {"event_id": event_ids} | {name: hits[name] for name in HIT.names or ()}
        np.savez(file, **arrays)


def npz_problem(path: Path, error: Exception) -> str:
    """Return why a file cannot be read as npz; numpy takes what it does not know for pickled objects."""
    return str(error) if is_zipfile(path) else "it is no archive of arrays"


def _read_npz(path: Path) -> list[Event]:
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError) as error:
        raise ConfigError(f"is no npz file: {npz_problem(path, error)}", file=path) from None
    photons = arrays["photons"].astype(PHOTON) if "photons" in arrays else _records(arrays, path)
    event_ids = arrays.get("event_id", np.zeros(len(photons), np.uint32))
    if len(event_ids) != len(photons):
        raise ConfigError("there must be one for each photon", file=path, key="event_id", value=len(event_ids))
    numbers = dict.fromkeys(event_ids.tolist())
    return [(int(number), photons[event_ids == number]) for number in numbers]


def _records(arrays: dict[str, NDArray[Any]], path: Path) -> NDArray[np.void]:
    missing = [name for name in PHOTON.names or () if name not in arrays and name not in {"time", "flags"}]
    if missing:
        raise ConfigError(f"these arrays are missing: {', '.join(missing)}", file=path, remedy="see std-sim run --help")
    lengths = {name: len(arrays[name]) for name in PHOTON.names or () if name in arrays}
    if len(set(lengths.values())) != 1:
        raise ConfigError("the arrays have different lengths", file=path, value=lengths)
    photons = np.zeros(lengths["x"], PHOTON)
    for name in lengths:
        photons[name] = arrays[name]
    return photons


def _read_root(path: Path) -> list[Event]:
    import uproot

    # Its default handler leaves threads behind.
    with uproot.open(path, handler=uproot.source.file.MemmapSource) as file:
        if "photons" not in file:
            raise ConfigError("it has no tree 'photons'", file=path)
        arrays = file["photons"].arrays(library="np")
    n_events = len(next(iter(arrays.values())))
    event_ids = arrays.get("event_id", np.arange(n_events))
    return [
        (int(event_ids[row]), _records({name: np.atleast_1d(arrays[name][row]) for name in arrays}, path))
        for row in range(n_events)
    ]
