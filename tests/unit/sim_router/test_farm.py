"""The farm decides without sockets: workers and time are written down here."""

import pytest

from std_daq.photons.endpoints import Posted
from std_daq.photons.protocol import HEARTBEAT, READY
from std_daq.photons.request_table import OpenRequest, RequestTable
from std_daq.photons.worker_identity import WorkerIdentity
from std_sim_router.farm import Farm

A, B = b"\x00worker a", b"\x00worker b"


class World:
    """Workers that take what they are sent, and clients that note what they get."""

    def __init__(self, max_attempts: int = 3) -> None:
        self.table = RequestTable(100)
        self.posted: list[tuple[bytes, bytes]] = []
        self.gone: set[bytes] = set()
        self.answers: list[tuple[list[bytes], list[bytes]]] = []
        self.farm = Farm(
            self.table,
            self._post,
            lambda clients, reply: self.answers.append((clients, [bytes(frame) for frame in reply])),
            max_attempts=max_attempts,
            request_timeout_s=60.0,
        )

    def _post(self, identity: bytes, frames: list[bytes]) -> Posted:
        if identity in self.gone:
            return Posted.GONE
        if len(frames) > 1:
            self.posted.append((identity, frames[0]))
        return Posted.DONE

    def ask(self, *digests: bytes, n_photons: int = 10) -> None:
        for digest in digests:
            self.table.take_in(b"client", OpenRequest(digest, [b"PHOTONDATA"], n_photons, 1))

    def come(self, *workers: bytes, now_s: float = 0.0) -> None:
        for worker in workers:
            self.farm.receive(worker, [READY], now_s)

    def reply(self, worker: bytes, digest: bytes, now_s: float = 0.0) -> None:
        self.farm.receive(worker, [digest, b"", b"SIM_COMPLETE", digest], now_s)


def ours(fingerprint: str = "f", batch_photons: int = 100) -> bytes:
    return WorkerIdentity(fingerprint, batch_photons, "host-1").to_bytes()


def test_request_waits_for_a_worker_and_its_reply_goes_to_the_client() -> None:
    world = World()
    world.ask(b"1")
    world.farm.dispatch(0.0)
    assert world.posted == []
    world.come(A)
    world.farm.dispatch(0.0)
    assert world.posted == [(A, b"1")]
    world.reply(A, b"1")
    assert world.answers == [([b"client"], [b"SIM_COMPLETE", b"1"])]


def test_foreign_worker_has_one_request_at_a_time_whatever_it_sends() -> None:
    world = World()
    world.ask(b"1", b"2")
    world.come(A)
    world.farm.dispatch(0.0)
    world.farm.receive(A, [HEARTBEAT], 1.0)
    world.farm.dispatch(1.0)
    assert world.posted == [(A, b"1")]
    world.reply(A, b"1")
    world.farm.dispatch(1.0)
    assert world.posted == [(A, b"1"), (A, b"2")]


def test_own_worker_has_small_requests_at_hand_but_all_workers_have_one_first() -> None:
    world = World()
    one, other = ours(), ours()
    world.come(one, other)
    world.ask(*(bytes([number]) for number in range(30)))
    world.farm.dispatch(0.0)
    by_worker = [sum(worker == each for worker, _ in world.posted) for each in (one, other)]
    assert {worker for worker, _ in world.posted[:2]} == {one, other}
    assert by_worker == [10, 10]


def test_request_of_a_worker_that_is_gone_goes_to_another() -> None:
    world = World()
    world.ask(b"1")
    world.come(A)
    world.farm.dispatch(0.0)
    world.gone.add(A)
    world.come(B)
    world.farm.probe(0.5)
    world.farm.dispatch(0.5)
    assert world.posted == [(A, b"1"), (B, b"1")]
    assert world.farm.n_moved == 1


def test_reply_of_a_worker_that_was_given_up_counts_and_the_second_one_goes_nowhere() -> None:
    world = World()
    world.ask(b"1")
    world.come(A)
    world.farm.dispatch(0.0)
    world.come(B)
    world.farm.probe(61.0)  # A is stuck
    world.farm.receive(B, [HEARTBEAT], 61.0)
    world.farm.dispatch(61.0)
    assert world.posted[-1] == (B, b"1")
    world.reply(A, b"1")
    world.reply(B, b"1")
    assert [clients for clients, _ in world.answers] == [[b"client"], []]


def test_event_that_ends_its_workers_fails_and_is_not_tried_again() -> None:
    world = World(max_attempts=3)
    world.ask(b"1")
    for number in range(3):
        worker = b"w%d" % number
        world.come(worker)
        world.farm.dispatch(0.0)
        world.gone.add(worker)
        world.farm.probe(0.0)
    assert world.answers == [([b"client"], [b"SIM_FAILED", b"\x01\x00\x00\x00"])]
    assert world.farm.poison_reply(b"1") == [b"SIM_FAILED", b"\x01\x00\x00\x00"]
    assert world.farm.n_poison == 1


def test_event_with_which_a_worker_died_is_alone_with_the_next_one() -> None:
    world = World()
    first, second = ours(), ours()
    world.come(first)
    world.ask(b"1", b"2", b"3")
    world.farm.dispatch(0.0)
    assert len(world.posted) == 3
    world.gone.add(first)
    world.come(second)
    world.farm.probe(0.0)
    world.farm.dispatch(0.0)
    assert world.posted[3:] == [(second, b"1")]
    world.reply(second, b"1")
    world.farm.dispatch(0.0)
    assert world.posted[4:] == [(second, b"2")]


def test_worker_that_begins_anew_has_lost_its_request() -> None:
    world = World()
    world.ask(b"1")
    world.come(A)
    world.farm.dispatch(0.0)
    world.come(A)
    world.farm.dispatch(0.0)
    assert world.posted == [(A, b"1"), (A, b"1")]


def test_silent_worker_gets_nothing_until_it_is_heard() -> None:
    world = World()
    world.come(A)
    world.ask(b"1")
    world.farm.dispatch(5.0)
    assert world.posted == []
    world.farm.receive(A, [HEARTBEAT], 5.0)
    world.farm.dispatch(5.0)
    assert world.posted == [(A, b"1")]


def test_worker_with_another_geometry_gets_nothing_while_the_others_are_there() -> None:
    world = World()
    here, other = ours("f"), ours("g")
    world.come(here, other)
    world.ask(b"1", b"2")
    world.farm.dispatch(0.0)
    assert {worker for worker, _ in world.posted} == {here}
    world.reply(here, b"1")
    world.reply(here, b"2")
    world.gone.add(here)
    world.farm.probe(0.0)
    world.ask(b"1")
    world.farm.dispatch(0.0)
    assert world.posted[-1] == (other, b"1")  # and the reply of the other geometry is not known any more


def test_reply_to_a_router_that_was_started_again_is_known_when_the_client_asks() -> None:
    world = World()
    world.reply(A, b"1")
    assert world.table.take_in(b"client", OpenRequest(b"1", [b"PHOTONDATA"], 10, 1)) == [b"SIM_COMPLETE", b"1"]


STRANGE = [[b"\x03"], [b"READY"], [b"a", b"b"], [b"a", b"b", b"c"], [b""], [b"x" * 17, b"", b"SIM_COMPLETE", b"1"]]


@pytest.mark.parametrize("frames", STRANGE)
def test_strange_message_of_a_worker_is_counted(frames: list[bytes]) -> None:
    world = World()
    world.farm.receive(A, frames, 0.0)
    assert world.farm.n_strange == 1
    assert world.answers == []
    assert len(world.table.replies) == 0


@pytest.mark.parametrize("columns", [[], [b"1234"] * 3, [b"1234", b"1234", b"12345678", b"1234"], [b"123"] * 4])
def test_list_of_channels_that_is_none_is_not_kept_for_later_clients(columns: list[bytes]) -> None:
    world = World()
    world.ask(b"1")
    world.come(A)
    world.farm.dispatch(0.0)
    world.farm.receive(A, [b"1", b"", b"DETECTOR_INFO", *columns], 0.0)
    assert world.answers == [([b"client"], [b"DETECTOR_INFO", *columns])]  # the client says what is wrong with it
    assert world.farm.detector_info is None
    assert world.farm.n_strange == 1


def test_replies_of_a_worker_without_content_take_bounded_memory() -> None:
    world = World()
    empty = [b""] * 1000
    for number in range(8000):
        world.farm.receive(A, [number.to_bytes(16, "little"), b"", b"SIM_COMPLETE", *empty], 0.0)
    assert len(world.table.replies) < 7000
