from hypothesis import given
from hypothesis import strategies as st

from std_daq.photons.fair_queue import FairQueue
from std_daq.photons.known_replies import KnownReplies
from std_daq.photons.request_table import OpenRequest, RequestTable
from std_daq.photons.worker_identity import WorkerIdentity


def request(digest: bytes) -> OpenRequest:
    return OpenRequest(digest, [b"PHOTONDATA"], 10, 1)


def test_clients_take_turns_and_each_keeps_its_order() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        queue.put(item[:1].encode(), item)
    assert [queue.take() for _ in range(6)] == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_what_is_put_back_comes_first() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put(b"a", "a1")
    queue.put_back("b1")
    queue.put_back("b2")
    assert queue.peek() == "b1"
    assert [queue.take() for _ in range(3)] == ["b1", "b2", "a1"]


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.booleans())))
def test_nothing_is_lost_in_the_queue(steps: list[tuple[bytes, bool]]) -> None:
    queue: FairQueue[int] = FairQueue()
    taken = []
    for number, (client, takes) in enumerate(steps):
        queue.put(client, number)
        if takes:
            taken.append(queue.take())
    taken += [queue.take() for _ in range(len(queue))]
    assert sorted(taken) == list(range(len(steps)))


def test_request_that_comes_again_is_the_same_and_its_reply_goes_to_the_last_connection() -> None:
    table = RequestTable(10)
    assert table.take_in(b"first", request(b"d")) is None
    assert table.take_in(b"second", request(b"d")) is None
    assert table.n_waiting == 1
    assert table.finish(table.start().digest) == [b"second"]
    assert table.finish(b"d") == []


def test_request_that_was_answered_is_answered_from_what_is_known() -> None:
    table = RequestTable(10)
    table.replies.add(b"d", [b"SIM_COMPLETE", b"", b"x"], now_s=0.0)
    assert table.take_in(b"client", request(b"d")) == [b"SIM_COMPLETE", b"", b"x"]
    assert len(table) == 0


def test_what_every_client_asks_is_answered_to_all_of_them() -> None:
    table = RequestTable(10)
    for client in (b"a", b"b", b"a"):
        table.take_in(client, request(b"d"), is_for_all=True)
    assert sorted(table.finish(b"d")) == [b"a", b"b"]


def test_only_a_request_too_many_is_refused() -> None:
    table = RequestTable(2)
    assert table.take_in(b"c", request(b"1")) is None
    assert table.take_in(b"c", request(b"2")) is None
    assert table.take_in(b"c", request(b"3")) == [b"NO_WORKERS"]
    assert table.take_in(b"d", request(b"2")) is None
    table.start()
    assert table.take_in(b"c", request(b"3")) is None


def test_request_that_was_given_up_and_then_answered_is_not_simulated_again() -> None:
    table = RequestTable(10)
    table.take_in(b"c", request(b"1"))
    table.put_back(table.start())
    assert table.finish(b"1") == [b"c"]
    assert table.next() is None


def test_replies_go_when_they_are_old_or_too_many() -> None:
    body = bytes(100_000)
    replies = KnownReplies(kept_s=30.0, kept_bytes=201_500)  # two of these, with what they take beside their bytes
    replies.add(b"1", [body, b""], now_s=0.0)
    replies.add(b"2", [body], now_s=1.0)
    assert replies.get(b"1") == [body, b""]
    replies.add(b"3", [b"1"], now_s=2.0)
    assert replies.get(b"1") is None
    replies.forget_old(31.5)
    assert (replies.get(b"2"), replies.get(b"3")) == (None, [b"1"])
    assert 1 < replies.n_bytes < 1000


def test_identity_tells_of_the_worker_and_no_other_connection_has_it() -> None:
    worker = WorkerIdentity("0f", 1000, "host-12")
    one, other = worker.to_bytes(), worker.to_bytes()
    assert one != other
    assert WorkerIdentity.from_bytes(one) == worker


@given(st.binary(max_size=60))
def test_identity_of_another_worker_tells_nothing(identity: bytes) -> None:
    assert WorkerIdentity.from_bytes(identity) is None
