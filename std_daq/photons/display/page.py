"""A page for browsers with the channels unrolled: one file that needs no network and no library."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.display.shown_hits import ShownHits

_TEMPLATE = Path(__file__).with_name("unrolled.html")
_DATA = '<script type="application/json" id="data">null</script>'


def unrolled_page(flat: NDArray[np.float64], hits: ShownHits | None) -> str:
    """Return a page on which events are chosen, and channels looked at.

    Parameters
    ----------
    flat
        Where the channels are on the unrolled wall, in mm, shape (n, 2).
    hits
        None: only the channels.
    """
    events = [] if hits is None else hits.by_event()
    shown = [_event(str(event), one, len(flat)) for event, one in events]
    if hits is not None and len(shown) != 1:
        shown.insert(0, _event("all", hits, len(flat)))
    document = json.dumps({"places": flat.round(1).tolist(), "events": shown}, separators=(",", ":"))
    return _TEMPLATE.read_text().replace(_DATA, _DATA.replace("null", document))


def _event(name: str, hits: ShownHits, n_channels: int) -> dict[str, Any]:
    counts, first = hits.counts(n_channels), hits.first_times(n_channels)
    channels = np.flatnonzero(counts)
    return {
        "name": name,
        "channels": channels.tolist(),
        "counts": counts[channels].tolist(),
        "times": first[channels].round(3).tolist(),
    }
