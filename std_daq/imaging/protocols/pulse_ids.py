"""Which modules show another exposure than the others, told by their pulse ids. Pure."""

from collections import Counter
from collections.abc import Sequence

NO_PULSE_ID = 0
"""Value in place of a pulse id, if the detector does not send one."""


def majority(pulse_ids: Sequence[int]) -> int:
    """Return the pulse id that most have; if several are as frequent, the one that comes first.

    `NO_PULSE_ID` does not count; it is returned if there is no other.
    """
    counts = Counter(pulse_id for pulse_id in pulse_ids if pulse_id != NO_PULSE_ID)
    return counts.most_common(1)[0][0] if counts else NO_PULSE_ID


def out_of_step(pulse_ids: Sequence[int]) -> tuple[int, ...]:
    """Return the indices of the pulse ids that differ from that of the majority.

    An example: the pulse ids 7, 7, 8 give (2,), and 7, 8 give (1,). `NO_PULSE_ID` differs from none.
    """
    usual = majority(pulse_ids)
    return tuple(i for i, pulse_id in enumerate(pulse_ids) if pulse_id not in (usual, NO_PULSE_ID))
