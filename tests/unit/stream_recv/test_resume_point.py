from contextlib import suppress

import numpy as np
import pytest

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.imaging.protocols.replication import Point
from std_daq.shm import journal as journal_module
from std_daq.shm.journal import CONTROL_WORDS, Journal
from std_stream_recv.resume_point import ResumePoint


class KilledError(Exception):
    """The process is no more."""


@pytest.fixture
def journal() -> Journal:
    return Journal(np.zeros(64, IMAGE_METADATA), np.zeros(CONTROL_WORDS, np.uint64))


def publish(journal: Journal, resume: ResumePoint, ring: int, sequence: int, *, until: int = 3) -> None:
    """Publish an entry, or only the first ``until`` of its steps."""
    for step in (
        lambda: resume.intend(ring, sequence),
        lambda: journal.append(np.zeros(1, IMAGE_METADATA)),
        lambda: resume.note(ring, sequence),
    )[:until]:
        step()


def test_nothing_is_known_at_first(journal: Journal) -> None:
    assert ResumePoint(journal).point == Point()


@pytest.mark.parametrize(("until", "expected"), [(0, 8), (1, 8), (2, 9), (3, 9)])
@pytest.mark.parametrize("n_before", [0, 1, 5])
def test_point_is_exact_after_each_step(journal: Journal, until: int, expected: int, n_before: int) -> None:
    resume = ResumePoint(journal)
    resume.set(Point(77, 8 - n_before))
    for sequence in range(8 - n_before, 8):
        publish(journal, resume, 77, sequence)
    publish(journal, resume, 77, 8, until=until)
    assert ResumePoint(journal).point == Point(77, expected)


@pytest.mark.parametrize(("until", "expected"), [(1, Point(88, 0)), (2, Point(88, 1)), (3, Point(88, 1))])
def test_point_is_exact_where_another_ring_begins(journal: Journal, until: int, expected: Point) -> None:
    resume = ResumePoint(journal)
    publish(journal, resume, 77, 8)
    publish(journal, resume, 88, 0, until=until)
    assert ResumePoint(journal).point == expected


def test_each_write_to_shared_memory_may_be_the_last_one(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever word was written last, the successor publishes entry 3 exactly once."""
    store, append = journal_module.store_release, journal_module.publish
    for last_word in range(12):
        n_before = journal.next_sequence
        resume = ResumePoint(journal)
        resume.set(Point(100 + last_word, 3))
        n_left = [last_word]

        def counted(write: object, n_left: list[int] = n_left) -> object:
            def run(*arguments: object) -> None:
                if n_left[0] == 0:
                    raise KilledError
                n_left[0] -= 1
                write(*arguments)  # type: ignore[operator]

            return run

        with monkeypatch.context() as patch:
            patch.setattr(journal_module, "store_release", counted(store))
            patch.setattr(journal_module, "publish", counted(append))
            with suppress(KilledError):
                publish(journal, resume, 100 + last_word, 3)
        n_published = journal.next_sequence - n_before
        assert ResumePoint(journal).point == Point(100 + last_word, 3 + n_published)
