"""What comes over from one ring to another, whatever the network and the processes do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from std_daq.imaging.protocols.replication import Kind, Share, Start, encode_kind
from std_stream_send import session as session_module

MakeServers = Callable[..., Any]
SMALL, CHUNKED = (4, 8), (1024, 700)


@pytest.mark.parametrize("shape", [SMALL, CHUNKED])
def test_images_come_over_as_they_are_and_in_order(make_servers: MakeServers, shape: tuple[int, int]) -> None:
    servers = make_servers(shape=shape)
    servers.publish(10)
    servers.settle()
    assert servers.reader.ids == list(range(10))
    assert servers.reader.whole == set(range(10))


@pytest.mark.parametrize("shape", [SMALL, CHUNKED])
def test_metadata_are_those_of_the_other_server_but_for_the_sequence(
    make_servers: MakeServers, shape: tuple[int, int]
) -> None:
    servers = make_servers(shape=shape, near_slots=4)
    servers.publish(9)
    servers.settle(4)
    near, far = servers.publisher.ring.journal.read(5, 4).entries, servers.far_ring.journal.read(0, 4).entries
    assert far["sequence"].tolist() == [0, 1, 2, 3]
    far["sequence"] = near["sequence"]
    assert far.tobytes() == near.tobytes()


def test_image_that_is_overwritten_while_it_is_sent_is_lost_and_not_torn(make_servers: MakeServers) -> None:
    servers = make_servers(shape=CHUNKED, near_slots=4, credit=2)
    servers.publish(2)
    for _ in range(4):
        servers.step(n_messages=2)
    servers.sender.step()
    servers.publish(4)
    servers.settle()
    assert servers.reader.ids == list(range(6))
    assert servers.reader.wrong == set()
    assert servers.reader.lost
    assert servers.reader.whole | servers.reader.lost == set(range(6))
    assert servers.value("daq_replica_images_torn_total") >= 1


def test_images_that_had_left_the_ring_are_published_as_lost_with_their_ids(make_servers: MakeServers) -> None:
    servers = make_servers(near_slots=4)
    servers.publish(2)
    servers.settle()
    servers.network.cut()
    servers.publish(10)
    servers.clock.now += 2.0
    servers.settle()
    assert servers.reader.ids == list(range(12))
    assert servers.reader.lost == set(range(2, 8))
    assert servers.value("daq_replica_images_lost_total") == 6
    entries = servers.far_ring.journal.read(0, 20).entries
    assert [int(entry["id"]) for entry in entries if entry["status"] & 8] == list(range(2, 8))


def test_first_session_begins_with_the_oldest_image_in_the_ring(make_servers: MakeServers) -> None:
    servers = make_servers(near_slots=4)
    servers.publish(10)
    servers.settle(4)
    assert servers.reader.ids == [6, 7, 8, 9]
    assert servers.reader.whole == {6, 7, 8, 9}


def test_first_session_may_begin_with_the_next_image(make_servers: MakeServers) -> None:
    servers = make_servers(start=Start.NOW)
    servers.publish(3)
    for _ in range(5):
        servers.step()
    servers.publish(2)
    servers.settle(2)
    assert servers.reader.ids == [3, 4]


def test_receiver_goes_on_where_a_killed_one_was(make_servers: MakeServers) -> None:
    servers = make_servers()
    servers.publish(5)
    servers.settle()
    servers.kill_receiver()
    servers.publish(5)
    servers.settle()
    assert servers.reader.ids == list(range(10))
    assert servers.reader.whole == set(range(10))


@pytest.mark.parametrize("last_step", ["ring.end", "journal.append", "note"])
def test_image_is_published_once_wherever_in_its_publication_the_receiver_is_killed(
    make_servers: MakeServers, monkeypatch: pytest.MonkeyPatch, last_step: str
) -> None:
    servers = make_servers()
    servers.publish(3)
    servers.settle()
    servers.publish(3)

    def killed_after(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> None:
            step(*arguments)
            raise KilledError

        return run

    publisher = servers.receiver._publisher
    if last_step == "ring.end":
        monkeypatch.setattr(servers.far_ring, "end", killed_after(servers.far_ring.end))
    elif last_step == "journal.append":
        monkeypatch.setattr(servers.far_ring.journal, "append", killed_after(servers.far_ring.journal.append))
    else:
        monkeypatch.setattr(publisher._resume, "note", killed_after(publisher._resume.note))
    with pytest.raises(KilledError):
        servers.settle()
    monkeypatch.undo()
    servers.kill_receiver()
    servers.settle()
    assert servers.reader.ids == list(range(6))
    assert servers.reader.whole == set(range(6))


def test_image_that_a_killed_receiver_has_left_in_its_slot_is_not_found_by_those_who_are_told_it_is_lost(
    make_servers: MakeServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = make_servers(near_slots=4)
    servers.publish(3)
    servers.settle()
    servers.publish(1)

    def be_killed(entry: object) -> None:
        raise KilledError

    monkeypatch.setattr(servers.far_ring.journal, "append", be_killed)
    with pytest.raises(KilledError):
        servers.settle()
    monkeypatch.undo()
    servers.kill_receiver()
    servers.publish(4)
    servers.settle()
    assert servers.reader.ids == list(range(8))
    assert servers.reader.lost == {3}
    assert not servers.far_ring.holds(3)


def test_restarted_sender_goes_on_where_the_receiver_is(make_servers: MakeServers) -> None:
    servers = make_servers()
    servers.publish(5)
    servers.settle()
    servers.restart_sender()
    servers.publish(5)
    servers.settle()
    assert servers.reader.ids == list(range(10))


def test_images_of_a_replaced_ring_follow_those_of_the_old_one(make_servers: MakeServers) -> None:
    servers = make_servers()
    servers.publish(3)
    servers.settle()
    servers.publish(2)
    old = servers.publisher
    old.ring.segment.remove()
    servers.publisher = servers.make_near_ring()
    servers.publish(3)
    servers.settle()
    old.close()
    assert servers.reader.ids == list(range(8))
    assert servers.reader.whole == set(range(8))


def test_ring_that_was_replaced_between_two_sessions_is_told(
    make_servers: MakeServers, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = make_servers()
    servers.publish(3)
    servers.settle()
    servers.kill_receiver()
    servers.settle()
    servers.publish(1)
    servers.settle()
    assert "ring_of_source_replaced" not in capsys.readouterr().err
    servers.network.cut()
    servers.replace_near_ring()
    servers.publish(1)
    servers.clock.now += 2.0
    servers.settle()
    assert "ring_of_source_replaced" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["restart", "cut"])
def test_session_that_ends_within_an_image_is_followed_by_the_next_without_a_pause(
    make_servers: MakeServers, end: str
) -> None:
    servers = make_servers(shape=CHUNKED)
    servers.publish(2)
    for _ in range(2):
        servers.step(n_messages=4)
    if end == "restart":
        (wire,) = servers.network._wires.values()
        wire.outgoing.clear()
        for identity in servers.sender._sessions:
            servers.network.peer(identity).send(encode_kind(Kind.BYE))
        servers.network.deliver()
    else:
        servers.network.cut()
        servers.clock.now += 0.3  # as it has to say something
    for _ in range(6):
        servers.step()
    (link,) = servers.receiver._links
    assert link.n_sessions == 2
    servers.settle()
    assert servers.reader.whole == {0, 1}


def test_ring_that_is_replaced_while_its_images_are_sent_is_kept_until_they_are_checked(
    make_servers: MakeServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = make_servers(shape=CHUNKED)
    servers.publish(1)
    for _ in range(2):
        servers.step(n_messages=3)
    (session,) = servers.sender._sessions.values()
    assert session.is_sending
    servers.replace_near_ring()
    servers.publish(1)
    servers.clock.now += 0.5
    # As if it had been replaced at the very last moment.
    monkeypatch.setattr(type(servers.publisher.ring), "is_live", property(is_live_the_second_time()))
    servers.sender.step()
    monkeypatch.undo()
    servers.settle()
    assert servers.reader.whole == {0, 1}


def test_ring_with_images_of_another_form_is_told_and_not_taken(make_servers: MakeServers) -> None:
    servers = make_servers()
    servers.publisher.close()
    servers.publisher = servers.make_near_ring((8, 8))
    servers.publish(1)
    for _ in range(5):
        servers.step()
    assert servers.reader.ids == []
    assert "height=8" in str(servers.receiver.why_not_ready)


def test_notes_of_the_ring_are_there_before_their_images(make_servers: MakeServers) -> None:
    servers = make_servers()
    servers.publish(1)
    servers.settle()
    notes = {"calibration": [{"index": 1, "files": []}]}
    servers.publisher.ring.write_notes(notes)
    servers.publisher.publish(1, calibration=1)
    servers.settle(2)
    assert servers.far_ring.read_notes() == notes


@pytest.mark.parametrize("is_replaced", [True, False])
def test_notes_that_could_not_be_read_at_first_come_with_the_next_image(
    make_servers: MakeServers, *, is_replaced: bool
) -> None:
    servers = make_servers()
    servers.publisher.ring.write_notes({"calibration": []})
    servers.publisher.publish(0, calibration=1)
    servers.settle(1)
    if is_replaced:
        servers.replace_near_ring()
        servers.settle_until(
            lambda: servers.receiver._links[0].progress.ring == servers.publisher.ring.segment.created_ns
        )
    else:
        words = servers.publisher.ring._notes[:24].view(np.uint64)
        words[0] += 1  # as while they are written
        servers.publisher.publish(1, calibration=2)
        servers.settle(2)
        words[0] += 1
    notes = {"calibration": [{"index": 1, "files": []}]}
    servers.publisher.ring.write_notes(notes)
    servers.publisher.publish(2, calibration=1 if is_replaced else 2)
    servers.settle(2 if is_replaced else 3)
    assert servers.far_ring.read_notes() == notes


def test_no_more_is_on_its_way_than_the_receiver_has_credit_for(make_servers: MakeServers) -> None:
    servers = make_servers(credit=3, queue_messages=100)
    servers.publish(10)
    for _ in range(2):
        servers.sender.step()
        servers.receiver.step()
    (session,) = servers.sender._sessions.values()
    servers.sender.step()
    assert session.credit == 0
    assert session.lag == 7
    servers.settle()
    assert servers.reader.ids == list(range(10))


def test_lost_images_count_for_the_credit(make_servers: MakeServers) -> None:
    servers = make_servers(near_slots=4, credit=3, queue_messages=100)
    servers.publish(1)
    servers.settle()
    servers.network.cut()
    servers.publish(30)
    servers.clock.now += 2.0
    for _ in range(3):
        servers.step()
        assert all(session.credit >= 0 for session in servers.sender._sessions.values())
    servers.settle()
    assert servers.reader.ids == list(range(31))


def test_receiver_with_credit_without_end_leaves_time_for_the_others(
    make_servers: MakeServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "MAX_ENTRIES_A_STEP", 5)
    servers = make_servers(credit=2**32 - 1, queue_messages=10**6)
    servers.publish(12)
    servers.sender.step()
    servers.receiver.step()
    servers.sender.step()
    (session,) = servers.sender._sessions.values()
    assert session.lag >= 7
    servers.settle()
    assert servers.reader.ids == list(range(12))


def test_step_ends_when_enough_is_sent_and_the_next_one_does_not_wait(
    make_servers: MakeServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "MAX_BYTES_A_STEP", 3 * CHUNKED[0] * CHUNKED[1] * 2)
    servers = make_servers(shape=CHUNKED, credit=12, queue_messages=10**6)
    servers.publish(8)
    servers.sender.step()
    servers.receiver.step()
    servers.sender.step()
    (session,) = servers.sender._sessions.values()
    assert session.lag == 5
    assert session.has_more
    servers.settle()
    assert servers.reader.whole == set(range(8))
    assert not session.has_more


def test_receiver_acknowledges_while_more_is_there(make_servers: MakeServers) -> None:
    servers = make_servers(credit=16, queue_messages=100)
    servers.publish(16)
    servers.step()
    servers.sender.step()
    servers.network.deliver()
    servers.receiver.step()
    assert len(servers.network._requests) >= 8


def test_receiver_that_does_not_take_anything_is_forgotten_and_comes_back(make_servers: MakeServers) -> None:
    servers = make_servers()
    servers.publish(2)
    servers.settle()
    servers.sender.step()
    servers.clock.now += 5.0
    servers.sender.step()
    assert servers.sender._sessions == {}
    servers.publish(2)
    servers.settle()
    assert servers.reader.ids == list(range(4))


def test_second_receiver_of_the_same_name_takes_the_place_of_the_first(make_servers: MakeServers) -> None:
    servers = make_servers()
    servers.step()
    connection = servers.network.connect("tcp://a:1")
    connection.send(servers.plan(0).hello.encode())
    servers.sender.step()
    assert len(servers.sender._sessions) == 1


def test_share_has_the_images_of_its_remainder(make_servers: MakeServers) -> None:
    servers = make_servers(share=Share(1, 3))
    servers.publish(9)
    servers.settle(3)
    # The frame index of image i is i + 2000.
    assert servers.reader.ids == [2, 5, 8]
    assert servers.reader.whole == {2, 5, 8}


@pytest.mark.parametrize("shape", [SMALL, CHUNKED])
@pytest.mark.parametrize("n_links", [2, 3])
def test_images_of_several_links_are_put_in_order(
    make_servers: MakeServers, n_links: int, shape: tuple[int, int]
) -> None:
    servers = make_servers(n_links=n_links, shape=shape)
    servers.publish(12)
    servers.settle()
    assert servers.reader.ids == list(range(12))
    assert servers.reader.whole == set(range(12))


def test_receiver_of_another_detector_is_told_so(make_servers: MakeServers) -> None:
    servers = make_servers()
    servers.sender._detector_name = "JF"
    servers.step()
    servers.step()
    assert "not of 'EG'" in str(servers.receiver.why_not_ready)


def test_last_keep_alive_tells_that_nothing_happens_at_all(make_servers: MakeServers) -> None:
    servers = make_servers()
    for _ in range(100):
        servers.clock.now += 0.1
        servers.step()
    assert servers.receiver.is_ready
    assert servers.value("daq_replica_sessions_total") == 1


def is_live_the_second_time() -> Callable[[Any], bool]:
    """Return what says of each ring that it is live, then what is so."""
    asked: set[int] = set()

    def is_live(ring: Any) -> bool:
        if id(ring) not in asked:
            asked.add(id(ring))
            return True
        return bool(ring.segment.is_live)

    return is_live


class KilledError(Exception):
    """The process is no more."""
