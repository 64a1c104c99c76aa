"""Reading a packet: reads the fields of its header, and checks whether it belongs to this port. Compiled."""

from typing import TYPE_CHECKING, Any

import numpy as np

from std_udp_recv.libc_kernels import compilable
from std_udp_recv.records import (
    ABSENT,
    DOUBLE,
    FITS,
    FOREIGN_MODULE,
    IMPLAUSIBLE,
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
    elif not _is_own_module(port, index):
        row.reason = FOREIGN_MODULE
    elif row.key < 0 or row.key > MAX_KEY:
        row.reason = IMPLAUSIBLE


@compilable
def reason_of_checks(port: "Port", index: int) -> int:
    """Return FITS if all checked header fields have their expected values, else the reason of the first failure."""
    for i in range(port.checks.shape[0]):
        check = port.checks[i]
        if field(port, check.field, index) != check.expected:
            return check.reason
    return FITS


@compilable
def _is_own_module(port: "Port", index: int) -> bool:
    """Return whether the sender has the learned identity; after a whole frame of only mismatches, learn a new one."""
    if port.fields.identity.kind == ABSENT:
        return True
    state = port.state
    identity = np.int64(field(port, port.fields.identity, index))
    if state.has_identity == 0 or state.n_mismatched >= packets_in_frame(port):
        state.has_identity = 1
        state.identity = identity
    if identity == state.identity:
        state.n_mismatched = 0
        return True
    state.n_mismatched += 1
    return False


@compilable
def packets_in_frame(port: "Port") -> int:
    """Return the number of packets in a frame, as far as it is known."""
    n_units = port.state.units_in_packet
    return (port.layout.n_units + n_units - 1) // n_units
