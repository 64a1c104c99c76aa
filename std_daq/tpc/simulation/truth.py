"""Truth: what was simulated, as a file that a demo or a test compares with estimates."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from std_daq.tpc.simulation.tracks import Track


def truth_of_track(track: Track) -> dict[str, Any]:
    """Return a track under the names that estimates have; angles in radians, lengths in mm, brho in T m."""
    x, y, z = track.vertex_mm
    return {
        "species": track.species.name,
        "energy_mev": track.energy_mev,
        "vertex_x": x,
        "vertex_y": y,
        "vertex_z": z,
        "polar": track.polar,
        "azimuthal": track.azimuthal % math.tau,
        "brho": track.brho,
    }


class TruthWriter:
    """Collects what was simulated, and writes it as one JSON document.

    ::

        {"seed": 0, "events": [{"id": 0, "epoch": 0, "timestamp": 1000000, "tracks": [{"species": "proton", ...}]}]}
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._events: list[dict[str, Any]] = []

    def add(self, event_id: int, epoch: int, timestamp: int, tracks: Iterable[Track]) -> None:
        """Add an event."""
        found = [truth_of_track(track) for track in tracks]
        self._events.append({"id": event_id, "epoch": epoch, "timestamp": timestamp, "tracks": found})

    def write(self, file: Path) -> None:
        """Write the document."""
        file.write_text(json.dumps({"seed": self._seed, "events": self._events}))
