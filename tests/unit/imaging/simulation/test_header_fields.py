import numpy as np
import pytest

from std_daq.imaging.detectors.packet_layout import HeaderField
from std_daq.imaging.simulation.header_fields import read_field, write_field

FIELDS = pytest.mark.parametrize(
    "field",
    [
        HeaderField(0, 8),
        HeaderField(3, 4, shift=4, mask=0xFFF),
        HeaderField(5, 2),
        HeaderField(1, 1, shift=1),
        HeaderField(8, 8, kind="float64"),
    ],
)


@FIELDS
def test_many_packets_are_read_as_one_is(field: HeaderField) -> None:
    packets = np.random.default_rng(1).integers(0, 256, (20, 16), dtype=np.uint8)
    packets[:, 8:] = np.random.default_rng(1).uniform(0, 1e15, (20, 1)).view(np.uint8)
    read = read_field(field, packets[:, field.offset : field.offset + field.width])
    assert read.tolist() == [field.read(packet.tobytes()) for packet in packets]


@FIELDS
def test_what_was_written_is_read_and_nothing_else_changes(field: HeaderField) -> None:
    packets = np.random.default_rng(1).integers(0, 256, (20, 16), dtype=np.uint8)
    before = packets.copy()
    place = slice(field.offset, field.offset + field.width)
    write_field(field, packets, 5)
    assert read_field(field, packets[:, place]).tolist() == [5] * 20
    changed = before ^ packets
    changed[:, place] = 0
    assert not changed.any()
    if field.kind == "uint":
        mask = np.array([(field.mask << field.shift) & (2 ** (8 * field.width) - 1)], f"<u{field.width}").view(np.uint8)
        assert not ((before ^ packets)[:, place] & ~mask).any()
