import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.cli.__main__ import main
from std_daq.tpc.frames.encode import EventHeader, encode_items, encode_topology, partial_items
from std_daq.tpc.frames.event_decoder import EventDecoder
from std_daq.tpc.frames.frame import parse_frame
from std_daq.tpc.frames.records import TOPOLOGY
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.simulation.exporters import ExporterSet
from std_daq.tpc.simulation.faults import FrameStream, StreamFaults
from std_daq.tpc.simulation.readout import OutgoingFrame
from std_daq.tpc.simulation.replay import frames_of_matrix, streams_of_files
from std_daq.tpc.simulation.sending import CoboRouting, FrameBurst, Sending
from std_test_kit.chambers import FrameClient, write_chamber
from std_test_kit.free_ports import free_tcp_port

BOARDS = [(0, 0), (0, 1), (1, 0), (1, 3)]


def board_frame(board: tuple[int, int], event_id: int) -> OutgoingFrame:
    items = partial_items(*np.arange(40).reshape(4, 10) % 4)
    return OutgoingFrame(board, encode_items(EventHeader(event_id, 100 * event_id, board), items))


def bursts(n_events: int) -> Iterator[FrameBurst]:
    for event_id in range(n_events):
        yield FrameBurst([board_frame(board, event_id) for board in BOARDS])


def ids_of_board(client: FrameClient, board: tuple[int, int]) -> list[int]:
    return [frame.event_id for frame in client.frames if frame.has_samples and frame.board == board]


def send_all(
    stream: FrameStream, n_events: int = 200, *, rate_hz: float | None = None, **options: dict[int, int]
) -> list[FrameClient]:
    never = threading.Event()
    with ExporterSet(["127.0.0.1:0", "127.0.0.1:0"]) as exporters:
        clients = [FrameClient(exporter.address) for exporter in exporters.exporters]
        sending = Sending(
            bursts(n_events), exporters, CoboRouting(BOARDS, 2), stream, rate_hz=rate_hz, reconnect=options.get("at")
        )
        assert sending.wait_for_clients(10.0, never)
        while sending.step(never):
            pass
        sending.finish(10.0, never)
        assert not sending.report.is_unfinished
    for client in clients:
        client.join()
        assert client.is_between_frames
    return clients


def test_each_exporter_sends_the_frames_of_its_cobo_as_real_streams_do() -> None:
    stream = FrameStream(StreamFaults())
    clients = send_all(stream)
    n_mixed = 0
    for client, cobo in zip(clients, (0, 1), strict=True):
        assert {frame.board[0] for frame in client.frames} == {cobo}
        for board in [board for board in BOARDS if board[0] == cobo]:
            assert ids_of_board(client, board) == list(range(200))
        steps = np.diff([frame.event_id for frame in client.frames])
        assert set(steps.tolist()) <= {-1, 0, 1, 2}
        n_mixed += np.count_nonzero(steps < 0)
    assert n_mixed  # neighbouring events mix among the boards of a CoBo


def test_frames_come_in_order_if_it_is_wanted() -> None:
    for client in send_all(FrameStream(StreamFaults(), is_mixed=False)):
        assert [frame.event_id for frame in client.frames] == np.repeat(range(200), 2).tolist()


def test_faults_are_made_and_counted() -> None:
    faults = StreamFaults(lags={(0, 1): 5}, dead=frozenset({(1, 3)}), duplicate=0.2, garbage_size=0.3, zero_size=0.1)
    stream = FrameStream(faults, seed=3)
    clients = send_all(stream, 100)
    ledger = stream.ledger
    assert ids_of_board(clients[1], (1, 3)) == []
    assert ledger.n_not_sent == 100
    assert ledger.n_zero_sizes == sum(client.counts.n_zero_sizes for client in clients)
    assert ledger.n_garbage_sizes == sum(client.counts.n_wrong_sizes for client in clients) > 20
    assert sum(client.counts.n_frames for client in clients) == 300 + ledger.n_duplicates
    assert ledger.n_duplicates > 20
    late = ids_of_board(clients[0], (0, 1))
    assert sorted(set(late)) == list(range(100))
    order = [frame.board for frame in clients[0].frames]
    assert order.index((0, 1)) >= 5
    assert sum(client.counts.n_damaged for client in clients) == 0


def test_exporter_that_is_started_again_drops_its_clients() -> None:
    with ExporterSet(["127.0.0.1:0"]) as exporters:
        client = FrameClient(exporters.exporters[0].address)
        never = threading.Event()
        sending = Sending(
            bursts(10), exporters, CoboRouting(BOARDS, 1), FrameStream(StreamFaults(), is_mixed=False), reconnect={1: 4}
        )
        assert sending.wait_for_clients(10.0, never)
        while sending.report.n_events < 4:
            sending.step(never)
        sending.finish(10.0, never)
        while sending.step(never):
            pass
        assert sending.report.reconnected == [1]
        client.join()
    assert {frame.event_id for frame in client.frames} == {0, 1, 2, 3}


def test_events_go_out_at_the_rate() -> None:
    began_s = time.monotonic()
    clients = send_all(FrameStream(StreamFaults()), 20, rate_hz=100.0)
    assert time.monotonic() - began_s >= 0.19
    assert ids_of_board(clients[0], (0, 0)) == list(range(20))


def test_client_that_comes_later_gets_what_comes_after_it() -> None:
    never = threading.Event()
    with ExporterSet(["127.0.0.1:0"]) as exporters:
        sending = Sending(bursts(6), exporters, CoboRouting([], 1), FrameStream(StreamFaults(), is_mixed=False))
        assert not sending.wait_for_clients(0.0, never)
        for _ in range(3):
            sending.step(never)
        client = FrameClient(exporters.exporters[0].address)
        assert sending.wait_for_clients(10.0, never)
        while sending.step(never):
            pass
        sending.finish(10.0, never)
    client.join()
    assert {frame.event_id for frame in client.frames} == {3, 4, 5}


def test_files_of_a_stream_are_put_in_order() -> None:
    names = ["CoBo0_AsAd1_x_0001.graw", "CoBo0_AsAd0_x_0000.graw", "CoBo0_AsAd1_x_0000.graw", "GoodFrame.graw"]
    found = [[file.name for file in stream] for stream in streams_of_files(list(map(Path, names)))]
    assert found == [[names[2], names[0]], [names[1]], [names[3]]]


class Chamber:
    """A configuration with two exporters, and the command that sends through them."""

    def __init__(self, folder: Path) -> None:
        self.addresses = [f"127.0.0.1:{free_tcp_port()}" for _ in range(2)]
        self.file = write_chamber(folder, self.addresses, BOARDS)

    def run(self, *arguments: str) -> tuple[int, list[FrameClient]]:
        clients = [FrameClient(address) for address in self.addresses]
        exit_code = main([arguments[0], "--config", str(self.file), *arguments[1:]])
        for client in clients:
            client.join()
        return exit_code, clients


@pytest.fixture
def chamber(tmp_path: Path) -> Chamber:
    return Chamber(tmp_path)


def test_simulate_sends_events_and_writes_their_truth(
    chamber: Chamber, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth_file = tmp_path / "truth.json"
    exit_code, clients = chamber.run(
        "simulate", "--n-events", "12", "--n-made", "2", "--restart-at", "8", "--truth", str(truth_file), "--json"
    )
    assert exit_code == 0
    frames = [frame for client in clients for frame in client.frames]
    assert Counter(frame.event_id for frame in frames if frame.has_samples) == Counter([*range(8), *range(4)] * 4)
    announced = {board for frame in frames if frame.frame_type == TOPOLOGY for board in frame.announced_boards}
    assert announced == set(BOARDS)
    report = json.loads(capsys.readouterr().out)
    assert (report["n_events"], report["n_frames"]) == (12, 12 * 4 + 2)
    assert report["n_bytes"] == sum(client.counts.n_bytes for client in clients)
    truth = json.loads(truth_file.read_text())
    assert [(event["id"], event["epoch"]) for event in truth["events"]] == [
        *((n, 0) for n in range(8)),
        *((n, 1) for n in range(4)),
    ]
    assert truth["events"][0]["tracks"] == truth["events"][2]["tracks"]
    assert 0.2 < truth["events"][0]["tracks"][0]["brho"] < 0.6


def test_graw_files_are_replayed_event_by_event(
    chamber: Chamber, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for cobo, asad in BOARDS:
        file = tmp_path / f"CoBo{cobo}_AsAd{asad}_2022-04-12T08:03:44.531_0000.graw"
        ids = [*range(5, 20), *range(3)] if (cobo, asad) != (1, 3) else range(5, 12)
        content = [encode_topology(cobo, [asad]), *(board_frame((cobo, asad), n).data for n in ids)]
        file.write_bytes(b"".join(content) + (b"\x08\x00" if cobo == 0 and asad == 0 else b""))
        files.append(str(file))
    exit_code, clients = chamber.run("replay", "--rate-hz", "1000", *files)
    assert exit_code == 1
    told = capsys.readouterr()
    assert "CoBo0_AsAd0_2022-04-12T08:03:44.531_0000.graw: the last frame is cut off: 2 bytes" in told.err
    assert "18 events, 65 frames" in told.out
    assert ids_of_board(clients[0], (0, 0)) == [*range(5, 20), *range(3)]
    assert ids_of_board(clients[1], (1, 3)) == list(range(5, 12))
    order = [frame.event_id for frame in clients[1].frames if frame.has_samples]
    assert order == [n for n in [*range(5, 20), *range(3)] for _ in range(2 if n in range(5, 12) else 1)]


def test_merged_files_are_replayed_as_frames(chamber: Chamber, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    plane = PadPlane()
    rows = np.zeros((3, 517), np.int16)
    rows[:, :4] = [(0, 0, 1, 5), (0, 1, 2, 60), (1, 3, 0, 0)]
    rows[:, 4] = [plane.board_channels((c, a)).numbers[g * 68 + n] for c, a, g, n in rows[:, :4].tolist()]
    rows[:, 5:] = rng.integers(1, 4096, (3, 512))
    file = tmp_path / "run.h5"
    with h5py.File(file, "w") as output:
        events = output.create_group("events")
        events.attrs["version"] = "libattpc_merger:1.0"
        for n, event_id in enumerate((77, 78)):
            traces = events.create_dataset(f"event_{n}/get_traces", data=rows[: 3 - n])
            traces.attrs.update(
                {"id": np.uint32(event_id), "timestamp": np.uint64(1000), "timestamp_other": np.uint64(0)}
            )
    exit_code, clients = chamber.run("replay", str(file))
    assert exit_code == 0
    frames = [frame for client in clients for frame in client.frames]
    assert Counter(frame.event_id for frame in frames) == {77: 4, 78: 4}
    assert {frame.event_time for frame in frames} == {1000}
    decoder = EventDecoder(plane)
    np.testing.assert_array_equal(decoder.decode([frame for frame in frames if frame.event_id == 77]), rows)
    np.testing.assert_array_equal(decoder.decode([frame for frame in frames if frame.event_id == 78]), rows[:2])


def test_matrix_becomes_frames_of_all_boards() -> None:
    frames = frames_of_matrix(np.empty((0, 517), np.int16), 2**32 + 5, (7, 9), [(10, 1), (2, 3)])
    headers = [parse_frame(frame.data) for frame in frames]
    assert [(one.board, one.event_id, one.event_time) for one in headers] == [((2, 3), 5, 7), ((10, 1), 5, 9)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["simulate", "--n-images", "3"], "argument --n-images: has no meaning for a chamber (got '3')"),
        (["simulate", "--n-events", "3", "--loss", "0.1"], "argument --loss: has no meaning for a chamber"),
        (["simulate", "--n-events", "3", "--lag", "3"], "argument --lag: '3' is not COBO=NUMBER"),
        (["simulate", "--n-events", "3", "--dead", "a.1"], "argument --dead: 'a.1' is not COBO or COBO.ASAD"),
        (["simulate", "--n-events", "3", "--truth", "/nonexistent/t"], "argument --truth: there is no folder"),
        (["simulate"], "one of the arguments --n-images --n-events is required"),
        (["replay", "/nonexistent.graw"], "there is no such file"),
        (["replay", "--host", "1.2.3.4", "/dev/null"], "argument --host: has no meaning for a chamber"),
    ],
)
def test_mistakes_are_told(
    chamber: Chamber, arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        exit_code = main([*arguments, "--config", str(chamber.file)])
    except SystemExit as error:
        exit_code = int(str(error.code))
    assert exit_code == 2
    assert problem in capsys.readouterr().err


def test_exporters_wait_for_as_many_clients_as_are_wanted(chamber: Chamber, capsys: pytest.CaptureFixture[str]) -> None:
    more = [FrameClient(address) for address in chamber.addresses]
    exit_code, clients = chamber.run("simulate", "--n-events", "3", "--n-made", "1", "--n-clients", "2")
    for client in more:
        client.join()
    assert exit_code == 0
    assert [client.counts.n_frames for client in more] == [client.counts.n_frames for client in clients] == [7, 7]
    assert main(["simulate", "--config", str(chamber.file), "--n-events", "1", "--wait-s", "0"]) == 1
    assert f"0 of 1 clients are connected to {chamber.addresses[0]}" in capsys.readouterr().err


def test_other_files_are_no_graw_files(chamber: Chamber, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "text.graw"
    file.write_text("no frames here\n" * 100)
    assert main(["replay", "--config", str(chamber.file), "--wait-s", "0", str(file)]) == 1
    assert "no frame is in it, so it is no GRAW file" in capsys.readouterr().err


def test_address_that_is_taken_is_told(chamber: Chamber, capsys: pytest.CaptureFixture[str]) -> None:
    with ExporterSet([chamber.addresses[1]]):
        assert main(["simulate", "--n-events", "1", "--config", str(chamber.file), "--wait-s", "0"]) == 1
    assert f"an exporter cannot listen at {chamber.addresses[1]}: Address already in use" in capsys.readouterr().err
