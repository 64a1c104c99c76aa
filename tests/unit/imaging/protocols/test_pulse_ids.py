"""Which pulse ids are odd."""

import pytest

from std_daq.imaging.protocols.pulse_ids import out_of_step


@pytest.mark.parametrize(
    ("pulse_ids", "odd"),
    [
        ([], ()),
        ([7], ()),
        ([7, 7, 7], ()),
        ([7, 8], (1,)),
        ([7, 8, 8], (0,)),
        ([8, 7, 8], (1,)),
        ([7, 8, 9], (1, 2)),
        ([9, 7, 7, 8, 8], (0, 3, 4)),
        ([0, 0], ()),
        ([0, 7], ()),
        ([0, 7, 0, 8, 8], (1,)),
        ([2**63, 2**64 - 1, 2**63], (1,)),
    ],
)
def test_majority_decides_and_no_pulse_id_is_no_opinion(pulse_ids, odd):
    assert out_of_step(pulse_ids) == odd
