"""Reading a packet: reads the fields of its header, and checks whether it belongs to this port. Compiled."""

from typing import TYPE_CHECKING, Any

import numpy as np

from std_udp_recv.libc_kernels import compilable
from std_udp_recv.records import (
    ABSENT,
    DOUBLE,
    FITS,
    IMPLAUSIBLE,
    MAX_FRAMES_AHEAD,
    MAX_KEY,
    UNIT_OUT_OF_RANGE,
    WRONG_LENGTH,
)

if TYPE_CHECKING:
    from std_udp_recv.port import Port


@compilable
def field(port: "Port", spec: Any, index: int) -> np.uint64:
    """Return a header field of a row; 0 if the detector does not have the field."""
    if spec.kind == ABSENT:
        return np.uint64(0)
    word = np.uint64(port.headers[index, spec.word])
    if spec.kind == DOUBLE:
        number = word.view(np.float64)
        return np.uint64(number) if 0 <= number < 2.0**63 else np.uint64(0)
    return (word >> spec.shift) & spec.mask


@compilable
def parse(port: "Port", index: int) -> None:
    """Check a packet independently of others; write its key, its units and a reason for refusal into its row."""
    layout, row = port.layout, port.rows[index]
    payload = row.length - layout.header_bytes
    n_units = payload // layout.unit_bytes
    if (
        payload <= 0
        or n_units < 1
        or n_units > layout.max_units
        or (layout.is_fixed_size and n_units != port.state.units_in_packet)
        or payload - n_units * layout.unit_bytes > layout.max_padding_bytes
    ):
        row.reason = WRONG_LENGTH
        return
    row.reason = reason_of_checks(port, index)
    if row.reason != FITS:
        return
    row.key = np.int64(field(port, port.fields.key, index))
    row.unit = np.int64(field(port, port.fields.unit, index)) - layout.first_unit
    row.n_units = n_units
    if row.unit < 0 or row.unit > layout.n_units - n_units:
        row.reason = UNIT_OUT_OF_RANGE
    elif row.key < 0 or row.key > MAX_KEY:
        row.reason = IMPLAUSIBLE


@compilable
def unwrapped(port: "Port", number: Any) -> Any:
    """Return the key of a frame number that may have begun again with 0 since the frames before.

    Example: 24 bits end at 16777215. If frame 3 follows frame 16777210, its key is 16777219. So keys are in order, and
    a gap is known. The key is the one that is near the newest frame of this port, or near the exposure that was
    published last. If none is, the detector has been restarted, and the key is the number.
    """
    span = port.layout.key_span
    if span == 0:
        return number
    reach = MAX_FRAMES_AHEAD * port.layout.key_step
    for reference in (port.state.newest if port.state.has_newest else -1, port.published[0]):
        if reference >= 0:
            key = reference + (number - reference + span // 2) % span - span // 2
            if abs(key - reference) <= reach and key >= 0:
                return key
    return number


@compilable
def reason_of_checks(port: "Port", index: int) -> int:
    """Return FITS if all checked header fields have their expected values, else the reason of the first failure."""
    for i in range(port.checks.shape[0]):
        check = port.checks[i]
        if field(port, check.field, index) != check.expected:
            return check.reason
    return FITS


@compilable
def is_own_module(port: "Port", index: int) -> bool:
    """Return whether a packet has the learned identity; when most of a frame has another one, learn that.

    It is asked for packets of believed senders only.
    """
    state = port.state
    if port.fields.identity.kind == ABSENT or state.has_identity == 0:
        return True
    identity = np.int64(field(port, port.fields.identity, index))
    if identity != state.identity and state.n_mismatched >= packets_in_frame(port):
        state.identity = identity
        state.n_mismatched = 0
    if identity == state.identity:
        state.n_mismatched = max(0, state.n_mismatched - 1)
        return True
    state.n_mismatched += 1
    return False


@compilable
def has_own_identity(port: "Port", index: int) -> bool:
    """Return whether a packet has the learned identity, as far as the detector sends one."""
    if port.fields.identity.kind == ABSENT or port.state.has_identity == 0:
        return True
    return bool(np.int64(field(port, port.fields.identity, index)) == port.state.identity)


@compilable
def packets_in_frame(port: "Port") -> int:
    """Return the number of packets in a frame, as far as it is known."""
    n_units = port.state.units_in_packet
    return (port.layout.n_units + n_units - 1) // n_units
