"""Recorded: what a system records by request, images or events, as far as writer agent and writers must know it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from std_daq.recording.requests import FaultCount
from std_daq.recording.store_stream import store_entry_dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What is recorded.

    Attributes
    ----------
    noun
        What one of them is called: ``image`` or ``event``.
    metadata
        Type of the entries in the journal of the ring.
    number_field
        Field of the entries that rises by the same step from one to the next within an epoch; a gap in it means that
        some are missing.
    describe_faults
        Returns the faults of a run in words.
    no_ring
        What to tell while there is no ring, and what to look at.
    """

    noun: str
    metadata: np.dtype[Any]
    number_field: str
    describe_faults: Callable[[Mapping[str, FaultCount]], str]
    no_ring: str

    @property
    def entry(self) -> np.dtype[Any]:
        """Struct in the StoreStream that names one of them to a writer."""
        return store_entry_dtype(self.metadata)

    @property
    def nouns(self) -> str:
        """What several of them are called."""
        return f"{self.noun}s"

    def count(self, n: int) -> str:
        """Return a number of them in words: ``1 event``, ``2 events``."""
        return f"1 {self.noun}" if n == 1 else f"{n} {self.nouns}"
