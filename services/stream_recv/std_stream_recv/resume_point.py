"""ResumePoint: how far this server has come in the sender's journal; exact even if the process is killed."""

from std_daq.imaging.protocols.replication import Point
from std_daq.shm.journal import Journal

_DONE, _INTENDED = 0, 1


class ResumePoint:
    """Point up to which the sender's entries are published here, stored in the journal of this server's ring.

    To publish an entry and to record that takes two steps, and the process may be killed between them. So before both,
    the intention is recorded: which entry of this journal the sender's next entry will become. If this journal has
    that entry at the next start, the sender's entry was published, whether or not that was recorded.

    Parameters
    ----------
    journal
        Journal of this server's ring.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        ring, sequence = journal.resume_point(_DONE)
        intended_as, after = journal.resume_point(_INTENDED)
        if after and journal.next_sequence == intended_as + 1:
            sequence = after
        self.point = Point(ring, sequence)

    def set(self, point: Point) -> None:
        """Record the point from which to go on."""
        # An intention belongs to the ring of its time, and is void for another ring.
        self._journal.set_resume_point(_INTENDED, 0, 0)
        self._journal.set_resume_point(_DONE, point.ring, point.sequence)
        self.point = point

    def intend(self, ring: int, sequence: int) -> None:
        """Record that the next entry of this journal will be this entry of the sender's journal."""
        if ring != self.point.ring:
            self.set(Point(ring, sequence))
        self._journal.set_resume_point(_INTENDED, self._journal.next_sequence, sequence + 1)

    def note(self, ring: int, sequence: int) -> None:
        """Record that this entry of the sender's journal is published."""
        self._journal.set_resume_point(_DONE, ring, sequence + 1)
        self.point = Point(ring, sequence + 1)
