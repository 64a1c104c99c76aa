"""ResumePoint: how far this server has come in the sender's journal; exact, whenever the process is killed."""

from std_daq.imaging.protocols.replication import Point
from std_daq.shm.journal import Journal

_DONE, _INTENDED = 0, 1


class ResumePoint:
    """Kept in the journal of the ring itself, so that both go together.

    An entry is published and noted in two steps, between which the process may be killed. So before both it is written
    down which entry of this journal the next one of the sender's will become: if that entry is there at the next start,
    the sender's has been published, noted or not.

    Parameters
    ----------
    journal
        Of the ring that is written.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        ring, sequence = journal.resume_point(_DONE)
        intended_as, after = journal.resume_point(_INTENDED)
        if after and journal.next_sequence == intended_as + 1:
            sequence = after
        self.point = Point(ring, sequence)

    def set(self, point: Point) -> None:
        """Note from where to go on."""
        # Of another ring nothing will come any more.
        self._journal.set_resume_point(_INTENDED, 0, 0)
        self._journal.set_resume_point(_DONE, point.ring, point.sequence)
        self.point = point

    def intend(self, ring: int, sequence: int) -> None:
        """Write down that the next entry of this journal will be this one of the sender's."""
        if ring != self.point.ring:
            self.set(Point(ring, sequence))
        self._journal.set_resume_point(_INTENDED, self._journal.next_sequence, sequence + 1)

    def note(self, ring: int, sequence: int) -> None:
        """Note that this entry of the sender's has been published."""
        self._journal.set_resume_point(_DONE, ring, sequence + 1)
        self.point = Point(ring, sequence + 1)
