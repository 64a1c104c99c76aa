"""Reading a packet: the fields of its header, and whether it is one of this port. Compiled."""

from typing import TYPE_CHECKING, Any

import numpy as np

from std_daq.native.jit import njit
from std_udp_recv.placing.indices import (
    FITS,
    FOREIGN_MODULE,
    HAS_IDENTITY,
    HEADER_BYTES,
    IDENTITY,
    IMPLAUSIBLE,
    IS_FIXED_SIZE,
    KEY,
    LARGEST_KEY,
    LEARNED_IDENTITY,
    MAX_PADDING,
    MAX_UNITS,
    N_MISMATCHED,
    N_UNITS,
    P_COUNT,
    P_KEY,
    P_REASON,
    P_UNIT,
    UNIT,
    UNIT_BYTES,
    UNIT_OUT_OF_RANGE,
    UNITS_IN_PACKET,
    WRONG_LENGTH,
)

if TYPE_CHECKING:
    from std_udp_recv.placing.port import Port

# Without numba's run-time (`_nrt`) nothing can be allocated here, and no references are counted. Counting them for all
# arrays of a Port in every call took ten times as long as the work itself: 1.4 us a packet instead of 0.14.
compiled: Any = njit(_nrt=False)


@compiled
def field(port: "Port", spec: np.ndarray, row: int) -> np.uint64:
    """Read a header field; 0 where the detector has none."""
    kind = spec[3]
    if kind == 0:
        return np.uint64(0)
    word = np.int64(spec[0])
    if kind == 2:
        number = port.doubles[row, word]
        return np.uint64(number) if 0 <= number < 2.0**63 else np.uint64(0)
    return (port.headers[row, word] >> spec[1]) & spec[2]


@compiled
def parse(port: "Port", row: int) -> None:
    """Check a packet by itself; leaves key, units and the reason of refusal in `parsed`."""
    layout = port.layout
    parsed = port.parsed[row]
    payload = port.lengths[row] - layout[HEADER_BYTES]
    count = payload // layout[UNIT_BYTES]
    fixed = port.state[UNITS_IN_PACKET]
    if (
        payload <= 0
        or count < 1
        or count > layout[MAX_UNITS]
        or (layout[IS_FIXED_SIZE] and count != fixed)
        or payload - count * layout[UNIT_BYTES] > layout[MAX_PADDING]
    ):
        parsed[P_REASON] = WRONG_LENGTH
        return
    reason = reason_of_checks(port, row)
    if reason != FITS:
        parsed[P_REASON] = reason
        return
    key = np.int64(field(port, port.fields[KEY], row))
    unit = np.int64(field(port, port.fields[UNIT], row))
    if unit < 0 or unit > layout[N_UNITS] - count:
        parsed[P_REASON] = UNIT_OUT_OF_RANGE
    elif not _is_own_module(port, row):
        parsed[P_REASON] = FOREIGN_MODULE
    elif key < 0 or key > LARGEST_KEY:
        parsed[P_REASON] = IMPLAUSIBLE
    else:
        parsed[P_KEY], parsed[P_UNIT], parsed[P_COUNT], parsed[P_REASON] = key, unit, count, FITS


@compiled
def reason_of_checks(port: "Port", row: int) -> int:
    """Return FITS if all that has one right value in a header has it, else the reason of the first that has not."""
    for index in range(port.checks.shape[0]):
        if field(port, port.checks[index], row) != port.checks[index, 4]:
            return int(np.int64(port.checks[index, 5]))
    return FITS


@compiled
def _is_own_module(port: "Port", row: int) -> bool:
    """Compare the sender's identity with the learned one; learns another after a frame's worth of only mismatches."""
    if port.fields[IDENTITY, 3] == 0:
        return True
    state = port.state
    identity = np.int64(field(port, port.fields[IDENTITY], row))
    if state[HAS_IDENTITY] == 0 or state[N_MISMATCHED] >= packets_in_frame(port):
        state[HAS_IDENTITY] = 1
        state[LEARNED_IDENTITY] = identity
    if identity == state[LEARNED_IDENTITY]:
        state[N_MISMATCHED] = 0
        return True
    state[N_MISMATCHED] += 1
    return False


@compiled
def packets_in_frame(port: "Port") -> int:
    """Return how many packets make a frame, as far as is known."""
    size = port.state[UNITS_IN_PACKET]
    return (port.layout[N_UNITS] + size - 1) // size
