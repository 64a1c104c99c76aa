"""A disk that does not answer costs one request, and not the agent."""

import threading
from collections.abc import Iterator

import pytest

from std_daq.errors import RequestRefusedError
from std_writer_agent.examiner import MAX_THREADS, Examiner


@pytest.fixture
def answer() -> Iterator[threading.Event]:
    """An event on which checks wait until the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_result_and_error_of_a_check_are_passed_on() -> None:
    def refuse() -> str:
        raise RequestRefusedError("no")

    def time_out() -> str:
        raise TimeoutError("of the check")

    examiner = Examiner()
    assert examiner.examine(lambda: "/a", 10.0) == "/a"
    with pytest.raises(RequestRefusedError, match="no"):
        examiner.examine(refuse, 10.0)
    with pytest.raises(TimeoutError, match="of the check"):
        examiner.examine(time_out, 10.0)


def test_check_that_does_not_return_is_left_alone(answer: threading.Event) -> None:
    def hang() -> str:
        answer.wait()
        return "/a"

    examiner = Examiner()
    for _ in range(MAX_THREADS):
        with pytest.raises(RequestRefusedError, match=r"did not answer within 0\.01 s"):
            examiner.examine(hang, 0.01)
        if threading.active_count() <= MAX_THREADS:
            assert examiner.examine(lambda: "/b", 10.0) == "/b"
    with pytest.raises(RequestRefusedError, match="8 earlier requests wait"):
        examiner.examine(lambda: "/b", 10.0)
    answer.set()
    for thread in threading.enumerate():
        if thread.name == "examine":
            thread.join()
    assert examiner.examine(lambda: "/b", 10.0) == "/b"
