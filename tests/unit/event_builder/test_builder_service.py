"""The service over real sockets."""

import itertools
import random
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.errors import SharedMemoryError
from std_daq.shm.journal import MAX_EPOCH
from std_daq.tpc.frames.encode import EventHeader, encode_items, encode_message, encode_mutant, encode_topology
from std_daq.tpc.frames.inner_frames import MAX_INNER
from std_daq.tpc.frames.records import MERGED_BY_ID
from std_daq.tpc.pads.load import load_pads
from std_event_builder.__main__ import _open_events
from std_event_builder.builder_service import FRAME_OBJECT_BYTES
from std_test_kit.tpc_exporters import HOST, ScriptedExporter, frame_of, message_of, rows_of

Open = Callable[..., Any]
BOARDS = [(0, 0), (0, 1), (1, 0)]


def test_events_of_two_exporters_are_built_and_published(open_rig: Open) -> None:
    rig = open_rig(2, BOARDS)
    rig.connect()
    rig.send(0, *range(20), boards=BOARDS[:2])
    rig.send(1, *range(20), boards=BOARDS[2:])
    events = rig.wait_for_events(20)
    for number, event in enumerate(events):
        assert (event.id, event.epoch, event.is_complete) == (number, 0, True)
        np.testing.assert_array_equal(event.traces, rows_of(number, BOARDS))
    assert rig.outcomes(0) == {"used": 40}
    assert rig.outcomes(1) == {"used": 20}
    assert rig.value("daq_builder_events_total", status="complete") == 20
    assert rig.value("daq_builder_traces_total") == sum(len(event.traces) for event in events)


def test_stream_may_be_cut_anywhere(open_rig: Open) -> None:
    rig = open_rig(1, BOARDS)
    rig.connect()
    data = b"".join(message_of(number, board) for number in range(3) for board in BOARDS)
    rng = np.random.default_rng(1)
    cuts = sorted({0, 1, 7, 8, 9, 100, *rng.integers(0, len(data), 30).tolist(), len(data)})
    for begin, end in itertools.pairwise(cuts):
        rig.exporters[0].send(data[begin:end])
        rig.service.step()
    assert [event.id for event in rig.wait_for_events(3)] == [0, 1, 2]


def test_event_without_a_board_comes_after_the_time_limit_and_names_it(open_rig: Open) -> None:
    rig = open_rig(1, BOARDS, time_limit_s=0.3)
    rig.connect()
    began_s = time.monotonic()
    rig.send(0, 7, boards=BOARDS[:2])
    (event,) = rig.wait_for_events(1)
    assert 0.29 < time.monotonic() - began_s < 3
    assert event.missing_boards.tolist() == [[1, 0]]
    assert (event.metadata.n_boards, event.metadata.n_missing_boards) == (3, 1)
    np.testing.assert_array_equal(event.traces, rows_of(7, BOARDS[:2]))
    assert rig.value("daq_builder_events_total", status="incomplete") == 1
    assert rig.value("daq_builder_board_missing_total", board="1-0") == 1
    rig.send(0, 7, boards=BOARDS[2:])
    rig.step_until(lambda: rig.outcomes() == {"used": 2, "late": 1})


def test_topology_frames_announce_boards_and_others_are_unexpected(open_rig: Open) -> None:
    rig = open_rig(1, "topology")
    rig.connect()
    exporter = rig.exporters[0]
    exporter.send(message_of(0, (4, 0)))
    exporter.send(encode_message(encode_topology(4, (0, 1))))
    exporter.send(encode_message(encode_mutant(1, 5)))
    for board in ((4, 0), (4, 1), (4, 2)):
        exporter.send(message_of(1, board))
    (event,) = rig.wait_for_events(1)
    assert (event.id, event.is_complete, event.metadata.n_boards) == (1, True, 2)
    rig.step_until(lambda: rig.outcomes() == {"used": 2, "topology": 1, "unexpected": 3})


def test_garbage_sizes_cost_no_frame(open_rig: Open) -> None:
    rig = open_rig(1, BOARDS)
    rig.connect()
    rng = random.Random(2)
    sizes = [0, 1, 2**64 - 1, 2**63, 256, 12345, *(rng.getrandbits(64) for _ in range(20))]
    for number in range(60):
        for board in BOARDS:
            frame = frame_of(number, board)
            rig.exporters[0].send(encode_message(frame, rng.choice(sizes) if rng.random() < 0.3 else None))
        rig.service.step()
    events = rig.wait_for_events(60)
    assert [event.id for event in events] == list(range(60))
    assert all(event.is_complete for event in events)
    assert rig.outcomes() == {"used": 180}


@pytest.mark.parametrize("seed", range(5))
def test_hostile_exporter_disturbs_no_other(open_rig: Open, seed: int) -> None:
    rig = open_rig(2, BOARDS, reconnect_s=0.02)
    rig.connect()
    rng = np.random.default_rng(seed)
    hostile = rig.exporters[1]
    for number in range(40):
        rig.send(0, number, boards=BOARDS)
        frame = bytearray(frame_of(number, (9, 3)))
        for at in rng.integers(0, 100, 8):
            frame[at] = rng.integers(0, 256)
        hostile.accept()
        hostile.send(encode_message(bytes(frame)) if rng.random() < 0.7 else rng.bytes(int(rng.integers(1, 3000))))
        rig.service.step()
    events = rig.wait_for_events(40)
    built = [event for event in events if event.is_complete]
    assert len(built) >= 40
    for event in built[:40]:
        np.testing.assert_array_equal(event.traces, rows_of(event.id, BOARDS))


def test_exporter_that_goes_and_comes_again_is_connected_again(open_rig: Open) -> None:
    rig = open_rig(2, BOARDS, time_limit_s=0.3)
    rig.connect()
    rig.send(0, 0, boards=BOARDS[:2])
    rig.send(1, 0, boards=BOARDS[2:])
    rig.wait_for_events(1)
    port = rig.exporters[1].port
    rig.exporters[1].close()
    rig.step_until(lambda: not rig.value("daq_builder_connected", exporter=rig.exporters[1].address))
    rig.send(0, 1, boards=BOARDS[:2])
    assert not rig.wait_for_events(2)[1].is_complete
    rig.exporters[1] = ScriptedExporter(port)
    try:
        rig.connect()
        rig.send(0, 2, boards=BOARDS[:2])
        rig.send(1, 2, boards=BOARDS[2:])
        assert rig.wait_for_events(3)[2].is_complete
        assert rig.value("daq_builder_connections_total", exporter=rig.exporters[1].address) == 2
    finally:
        rig.exporters[1].close()


def test_exporter_may_come_after_the_builder(open_rig: Open) -> None:
    rig = open_rig(1, BOARDS)
    port = rig.exporters[0].port
    rig.exporters[0].close()
    for _ in range(20):
        rig.service.step()
    assert rig.service.is_ready
    rig.exporters[0] = ScriptedExporter(port)
    try:
        rig.connect()
        rig.send(0, 0, boards=BOARDS)
        assert rig.wait_for_events(1)[0].is_complete
    finally:
        rig.exporters[0].close()


def test_host_without_an_address_delays_nobody(open_rig: Open) -> None:
    rig = open_rig(1, BOARDS)
    rig.connect()
    from std_event_builder.exporters import Exporters

    lost = Exporters(["no-such-host.invalid:46491", f"{HOST}:1"], max_frame_bytes=4096, reconnect_s=0.05)
    began_s = time.monotonic()
    for _ in range(10):
        lost.attend(time.monotonic())
        lost.ready(0.0)
    assert time.monotonic() - began_s < 0.5
    lost.close()


@pytest.mark.parametrize("epoch", [MAX_EPOCH, 2**32 - 1])
def test_damaged_epoch_in_the_ring_does_not_count_for_the_next_builder(open_rig: Open, epoch: int) -> None:
    rig = open_rig(1, BOARDS)
    rig.connect()
    rig.send(0, *range(3), boards=BOARDS)
    rig.wait_for_events(3)
    rig.service.close()
    plane = load_pads(rig.config.pads)
    events, first_epoch = _open_events(rig.config, plane)
    with closing(events):
        assert first_epoch == 1
        damaged = events.journal.read(2, 1).entries
        damaged["epoch"] = epoch
        events.journal.append(damaged)
    del events
    events, first_epoch = _open_events(rig.config, plane)
    events.close()
    assert first_epoch == 1


def test_new_run_is_a_new_epoch_and_a_restart_of_the_builder_as_well(open_rig: Open) -> None:
    rig = open_rig(1, BOARDS)
    rig.connect()
    for run in range(2):
        rig.send(0, *range(5), boards=BOARDS, run=run)
    assert [(event.epoch, event.id) for event in rig.wait_for_events(10)] == [
        (run, number) for run in range(2) for number in range(5)
    ]
    for event in rig.events:
        np.testing.assert_array_equal(event.traces, rows_of(event.id, BOARDS, event.epoch))


def test_what_waits_at_the_end_is_given_out(open_rig: Open) -> None:
    rig = open_rig(1, BOARDS, time_limit_s=100)
    rig.connect()
    rig.send(0, 0, 1, 2, boards=BOARDS[:1])
    rig.step_until(lambda: rig.outcomes() == {"used": 3})
    began_s = time.monotonic()
    rig.service.close()
    assert time.monotonic() - began_s < 1
    events = list(iter(lambda: rig.reader.next(0), None))
    assert [(event.id, event.is_complete) for event in events] == [(0, False), (1, False), (2, False)]


def test_exporter_that_pretends_to_have_a_board_of_another_is_refused_and_named(
    open_rig: Open, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = open_rig(2, BOARDS)
    rig.connect()
    rig.send(0, 0, boards=BOARDS)
    rig.wait_for_events(1)
    rig.send(1, *range(1, 50), boards=BOARDS, run=7)
    rig.step_until(lambda: rig.outcomes(1) == {"unexpected": 147})
    rig.send(0, *range(1, 50), boards=BOARDS)
    events = rig.wait_for_events(50)
    for event in events:
        assert event.is_complete
        np.testing.assert_array_equal(event.traces, rows_of(event.id, BOARDS))
    assert "board_from_two_exporters" in capsys.readouterr().err + caplog.text


def test_exporter_whose_frames_cost_much_keeps_no_other_waiting(
    open_rig: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Topology frames are the smallest: 4 MiB of them, which is a turn by its bytes, take seconds."""
    monkeypatch.setattr("std_event_builder.exporter.MAX_TURN_S", 0.0)
    rig = open_rig(2, BOARDS)
    rig.connect()
    rig.exporters[1].send(b"".join(encode_message(encode_topology(9, (number % 4,))) for number in range(8000)))
    rig.step_until(lambda: rig.outcomes(1))
    rig.send(0, 0, boards=BOARDS)
    rig.step_until(lambda: rig.outcomes(0) == {"used": 3})
    assert rig.outcomes(1)["topology"] < 8000
    rig.step_until(lambda: rig.outcomes(1) == {"topology": 8000})


def test_merged_frame_of_endless_frames_is_read_so_far_as_boards_can_be(open_rig: Open) -> None:
    rig = open_rig(1, BOARDS)
    rig.connect()
    rig.exporters[0].send(encode_message(_merged(encode_topology(3, (0, 1)), 50_000)))
    rig.exporters[0].send(encode_message(_merged(_merged(b"", 0), 30_000)))
    rig.send(0, 0, boards=BOARDS)
    assert rig.wait_for_events(1)[0].is_complete
    assert rig.outcomes()["topology"] == MAX_INNER
    assert rig.outcomes()["damaged"] >= 2


def test_frames_without_samples_count_as_what_they_take(open_rig: Open) -> None:
    rig = open_rig(1, BOARDS, time_limit_s=100)
    rig.connect()
    empty = encode_message(encode_items(EventHeader(0, 0, BOARDS[0]), np.zeros(0, np.uint32)))
    rig.exporters[0].send(empty)
    rig.step_until(lambda: rig.outcomes() == {"used": 1})
    assert rig.value("daq_builder_held_bytes") == len(empty) - 8 + FRAME_OBJECT_BYTES


@pytest.mark.parametrize("ram_buffer_gb", [0.15, 0.3])
def test_second_builder_with_another_runtime_directory_says_who_is_there_and_changes_nothing(
    open_rig: Open, tmp_path: Path, ram_buffer_gb: float
) -> None:
    rig = open_rig(1, BOARDS)
    rig.connect()
    rig.send(0, 0, boards=BOARDS)
    rig.wait_for_events(1)
    builder = rig.config.builder.model_copy(update={"ram_buffer_gb": ram_buffer_gb})
    second = rig.config.model_copy(update={"runtime_dir": tmp_path, "builder": builder})
    with pytest.raises(SharedMemoryError, match=r"event builder|writes"):
        _open_events(second, load_pads(second.pads))
    rig.send(0, 1, boards=BOARDS)
    assert [event.is_complete for event in rig.wait_for_events(2)] == [True, True]


def _merged(content: bytes, n: int) -> bytes:
    """Return a frame merged by event id, in little endian and blocks of one byte, with n times a content."""
    size = 20 + n * len(content)
    head = bytes([0x80]) + size.to_bytes(3, "little") + b"\0" + MERGED_BY_ID.to_bytes(2, "little") + b"\0"
    return head + (20).to_bytes(2, "little") + bytes(2) + n.to_bytes(4, "little") + bytes(4) + content * n
