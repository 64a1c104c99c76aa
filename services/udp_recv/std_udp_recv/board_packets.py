"""BoardPacket: a packet of a board, read and checked according to a BoardLayout. Pure."""

from typing import NamedTuple

from std_daq.imaging.detectors.board_layout import BoardLayout


class BoardPacket(NamedTuple):
    """What a packet of a board tells.

    Attributes
    ----------
    source, board, number
        Where it comes from, and its number.
    time_ns
        Time in its header, modulo `BoardLayout.turn_ns`.
    clock
        The seconds and nanoseconds of its header, as they are: seconds in the upper 32 bits.
    module_id, daq_rec
        For the ModuleFrame.
    arrival_ns
        When it arrived, in nanoseconds since 1970.
    payload
        Its pixels.
    """

    source: int
    board: int
    number: int
    time_ns: int
    clock: int
    module_id: int
    daq_rec: int
    arrival_ns: int
    payload: bytes


def read_packet(layout: BoardLayout, data: bytes, arrival_ns: int) -> BoardPacket | str:
    """Return a packet, or the reason why it is refused.

    The reasons are those of `std_daq.imaging.reception.REFUSAL_WORDS`; ``other_product`` is a packet that the boards
    send for another detector.
    """
    n_header = layout.header_bytes
    if len(data) < n_header:
        return "wrong_length"
    for check in layout.checks:
        if check.field.read(data) != check.expected:
            return check.reason
    kind = layout.kind.read(data)
    if kind not in layout.kinds:
        return "other_product" if kind in layout.other_kinds else "foreign_detector"
    if len(data) != layout.packet_bytes:
        return "wrong_length"
    source = layout.source.read(data)
    if layout.sources and source not in layout.sources:
        return "foreign_module"
    seconds, nanoseconds = layout.seconds.read(data), layout.nanoseconds.read(data)
    return BoardPacket(
        source=source,
        board=layout.board.read(data),
        number=layout.number.read(data),
        time_ns=(seconds * 1_000_000_000 + nanoseconds) % layout.turn_ns,
        clock=seconds << 32 | nanoseconds,
        module_id=layout.module_id.read(data),
        daq_rec=layout.daq_rec.read(data),
        arrival_ns=arrival_ns,
        payload=data[n_header:],
    )
