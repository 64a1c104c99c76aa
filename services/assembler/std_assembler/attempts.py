"""Attempts: notes which exposure is being built, so that one that ends the assembler does not end it for ever.

A supervised assembler starts again with the exposure that it had not published. If this exposure ends the process, by
an exception or by a crash of compiled code, the next process would end in the same way.
"""

from std_daq.shm.journal import Journal

MAX_ATTEMPTS = 2


class Attempts:
    """The attempts to build one exposure, noted in the ring of images, which outlives the process.

    Parameters
    ----------
    journal
        Journal of the ImageBuffer; it is not kept, because the ring could not be released.
    """

    def __init__(self, journal: Journal) -> None:
        self._epoch, self._frame_index, self._n_before = journal.in_hand()

    def begin(self, journal: Journal, epoch: int, frame_index: int) -> bool:
        """Note that an exposure is being built; return False if that has ended too many processes before."""
        n_before = self._n_before if (epoch, frame_index) == (self._epoch, self._frame_index) else 0
        self._n_before = 0  # only the first exposure of a process can have ended the one before
        if n_before >= MAX_ATTEMPTS:
            journal.set_in_hand(0, 0, 0)
            return False
        journal.set_in_hand(epoch, frame_index, n_before + 1)
        return True
