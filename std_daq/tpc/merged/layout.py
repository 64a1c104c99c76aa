"""Names, types and versions in merged files."""

import re
from enum import StrEnum
from typing import Final

from std_daq.tpc.electronics import BOARDS_PER_COBO, CHANNELS_PER_BOARD, MAX_COBO, N_TIME_BUCKETS

N_COLUMNS: Final = 5 + N_TIME_BUCKETS
"""Columns of a trace: cobo, asad, aget, channel, pad or strip, and the samples."""
NUMBER_COLUMN: Final = 4
"""Column of the pad or strip."""
MAX_TRACES: Final = (MAX_COBO + 1) * BOARDS_PER_COBO * CHANNELS_PER_BOARD
"""Channels that the electronics can have; a dataset with more rows is damaged."""

EVENTS: Final = "events"
SCALERS: Final = "scalers"
EVENT_NAME: Final = re.compile(r"event_([0-9]{1,12})")

GET_TRACES: Final = "get_traces"  # layout 1.0
GET: Final = "get"  # layout 2.0, and the group of the legacy layout
PADS: Final = "pads"
FRIB_PHYSICS: Final = "frib_physics"
SILICON: Final = ("si_upstream_front", "si_upstream_back", "si_downstream_front", "si_downstream_back")
# Index: code of the detector in the channel map.
DATASETS_2_0: Final = (PADS, *SILICON)

# Further attributes that std-daq writes.
EPOCH: Final = "epoch"
COMPLETE: Final = "complete"
MISSING_BOARDS: Final = "missing_boards"
CHECKSUM: Final = "checksum"
INCOMPLETE_EVENTS: Final = "incomplete_events"
# Attributes of the root group, in files of std-daq.
REQUEST_ID: Final = "request_id"
REQUEST: Final = "request"
CONFIGURATION: Final = "configuration"
VERSIONS: Final = "versions"
REPORT: Final = "report"
LOST_EVENT_IDS: Final = "lost_event_ids"
TEXTS: Final = (REQUEST_ID, REQUEST, CONFIGURATION, VERSIONS, REPORT)
"""Texts of variable length in the root group, of which HDF5 keeps no checksum."""


class Layout(StrEnum):
    """Layout of a merged file, as its groups show it."""

    LEGACY = "legacy"
    V1_0 = "1.0"
    V2_0 = "2.0"


VERSIONS_OF_WRITING: Final = {Layout.V1_0: "libattpc_merger:1.0", Layout.V2_0: "libattpc_merger:2.0"}
KNOWN_VERSIONS: Final = {
    "libattpc_merger:0.2.0": Layout.V1_0,
    "libattpc_merger:1.0": Layout.V1_0,
    "libattpc_merger:2.0": Layout.V2_0,
    "harmonizer:0.1.0": Layout.V1_0,
    "synchronizer:0.1.0": Layout.V1_0,
}
HARMONIZER: Final = "harmonizer:0.1.0"


def event_name(n: int) -> str:
    """Return the name of the group of an event, counted from 0."""
    return f"event_{n}"
