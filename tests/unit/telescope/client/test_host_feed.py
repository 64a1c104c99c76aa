"""The stream of one host: what was skipped and missed, what ends it, what is tried again; turns of several hosts."""

import pickle
from typing import Any

import grpc
import numpy as np
import pytest

from std_daq.errors import StdDaqError
from std_daq.telescope.client.errors import DaqDataError, HostsAwayError
from std_daq.telescope.client.host_feed import HostFeed
from std_daq.telescope.client.hosts import Host
from std_daq.telescope.client.image_message import make_pano_image
from std_daq.telescope.client.progress import HostProgress
from std_daq.telescope.client.requested_hosts import stream_wish
from std_daq.telescope.client.turns import Turns
from std_daq.telescope.daqdata import daq_data_pb2 as messages

Code = grpc.StatusCode
DOME = Host("dome-1", "10.0.0.5:50051")


def make_feed(*, reconnects: bool = False, is_parsed: bool = True, end_s: float = 1e9) -> HostFeed:
    wish = stream_wish(True, True, 0.1, (), is_parsed=is_parsed, reconnects=reconnects, end_s=end_s)
    feed = HostFeed(DOME, wish, clock=lambda: 100.0)
    feed.begin()
    return feed


def answer(frame_id: int, module_id: int = 1, left_out: tuple[int, int] = (0, 0), server_s: int = 0) -> Any:
    response = messages.StreamImagesResponse(
        frame_id=frame_id,
        pano_image=make_pano_image(np.zeros((2, 2), np.uint16), module_id=module_id),
        left_out=messages.LeftOut(by_interval=left_out[0], by_slow_client=left_out[1]),
    )
    response.server_time.FromSeconds(server_s or frame_id)
    return response


def test_each_image_tells_how_many_were_skipped_before_it_in_its_own_module() -> None:
    feed = make_feed()
    numbers = [(5, 1), (7, 2), (6, 1), (10, 1), (8, 2)]
    assert [feed.take(answer(number, module))["skipped"] for number, module in numbers] == [0, 0, 0, 3, 0]


def test_what_came_while_there_was_no_connection_is_missed_and_the_same_image_comes_once() -> None:
    feed = make_feed(reconnects=True)
    feed.take(answer(5, left_out=(4, 1)))
    assert feed.delay_after(Code.UNAVAILABLE, "gone") is not None
    feed.begin()
    assert feed.take(answer(5)) is None
    assert feed.take(answer(9, left_out=(2, 0)))["skipped"] == 3
    progress = feed.progress
    assert (progress.received, progress.reconnects, progress.missed_while_away) == (2, 1, 3)
    assert (progress.skipped_by_interval, progress.skipped_by_slow_client) == (6, 1)
    assert progress.problem == ""


def test_server_that_was_started_again_counts_from_1() -> None:
    feed = make_feed(reconnects=True)
    feed.take(answer(5, server_s=100))
    feed.delay_after(Code.UNAVAILABLE, "gone")
    feed.begin()
    assert feed.take(answer(5, server_s=200))["skipped"] == 4
    assert feed.progress.missed_while_away == 4


def test_server_that_does_not_count_gives_no_numbers() -> None:
    feed = make_feed()
    assert [feed.take(answer(0, server_s=5))["skipped"] for _ in range(2)] == [None, None]
    assert feed.progress.received == 2


def test_message_that_is_no_image_is_counted_and_ends_nothing() -> None:
    feed = make_feed()
    damaged = answer(1)
    damaged.pano_image.shape[:] = [3, 3]
    assert feed.take(damaged) is None
    assert feed.take(answer(2)) is not None
    assert (feed.progress.received, feed.progress.unreadable) == (1, 1)


def test_images_that_are_not_parsed_come_as_they_are() -> None:
    feed = make_feed(is_parsed=False)
    response = answer(1)
    assert feed.take(response) is response


ENDS = {  # status and text: (is tried again with reconnect, is an error without)
    (Code.OK, ""): (True, False),
    (Code.CANCELLED, "server shutdown_event set for (x)"): (True, False),
    (Code.UNAVAILABLE, "Socket closed"): (True, True),  # before the first image
    (Code.DEADLINE_EXCEEDED, "No data received within timeout window."): (True, True),
    (Code.FAILED_PRECONDITION, "hp_io task is not valid."): (True, True),
    (Code.RESOURCE_EXHAUSTED, "Max clients (25) reached."): (True, True),
    (Code.RESOURCE_EXHAUSTED, "Received message larger than max (5 vs. 4)"): (False, True),
    (Code.INVALID_ARGUMENT, "At least one stream flag must be True."): (False, True),
    (Code.UNAUTHENTICATED, "This server asks for a token"): (False, True),
    (Code.UNIMPLEMENTED, "Method not found!"): (False, True),
    (Code.UNAVAILABLE, "GOAWAY received; Error code: 11; Debug Text: too_many_pings"): (True, False),
    (Code.UNAVAILABLE, "Too many pings"): (True, False),
}


@pytest.mark.parametrize(("status", "text"), ENDS, ids=lambda one: one.name if isinstance(one, Code) else one[:20])
def test_end_of_a_stream_is_an_error_or_not_and_is_tried_again_or_not(status: Any, text: str) -> None:
    is_tried_again, is_error = ENDS[status, text]
    assert (make_feed(reconnects=True).delay_after(status, text) is not None) == is_tried_again
    feed = make_feed()
    feed.delay_after(status, text)
    assert (feed.error is not None) == is_error
    if feed.error is not None:
        assert (feed.error.host, feed.error.code(), feed.error.details()) == ("dome-1", status, text)


def test_host_that_goes_after_its_first_image_ends_the_stream_without_an_error() -> None:
    feed = make_feed()
    feed.take(answer(1))
    assert feed.delay_after(Code.UNAVAILABLE, "Socket closed") is None
    assert feed.error is None
    assert "dome-1 (10.0.0.5:50051): StreamImages: UNAVAILABLE: Socket closed" in feed.progress.problem


def test_delays_grow_and_begin_anew_after_an_image() -> None:
    feed = make_feed(reconnects=True)
    delays = [feed.delay_after(Code.UNAVAILABLE, "") for _ in range(8)]
    assert delays == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 2.0]
    feed.take(answer(1))
    assert feed.delay_after(Code.UNAVAILABLE, "") == 0.2


def test_nothing_is_tried_again_after_the_time_of_the_stream() -> None:
    feed = make_feed(reconnects=True, end_s=99.0)
    assert feed.delay_after(Code.DEADLINE_EXCEEDED, "Deadline Exceeded") is None
    assert feed.error is not None


def test_error_names_host_call_status_and_remedy_and_is_what_programs_catch() -> None:
    error = DaqDataError(
        "dome-1", "10.0.0.5:50051", "StreamImages", Code.FAILED_PRECONDITION, "hp_io task is not valid."
    )
    assert str(error) == (
        "dome-1 (10.0.0.5:50051): StreamImages: FAILED_PRECONDITION: hp_io task is not valid.; "
        "call init_hp_io first (std-live --init), or configure 'start' of the server"
    )
    assert isinstance(error, StdDaqError)
    assert isinstance(error, grpc.aio.AioRpcError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert isinstance(HostsAwayError(["a (a:1)"], 2), ConnectionError)


def test_hosts_take_turns_whatever_their_rates() -> None:
    turns: Turns[str] = Turns(["fast", "slow"], depth=3)
    for item in ("f1", "f2", "f3"):
        turns.put("fast", item)
    assert turns.is_full("fast")
    turns.put("slow", "s1")
    assert [turns.take() for _ in range(5)] == ["f1", "s1", "f2", "f3", None]


def test_rate_is_that_of_the_last_seconds() -> None:
    now_s = [1000.0]
    progress = HostProgress("a", _clock=lambda: now_s[0])
    assert progress.rate_hz == 0.0
    for _ in range(100):
        now_s[0] += 0.1
        progress.count(messages.LeftOut())
    assert progress.rate_hz == pytest.approx(10.0, rel=0.1)
    now_s[0] += 60.0
    assert progress.rate_hz == 0.0
    assert progress.as_document()["received"] == 100
