import json
import threading
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main
from std_daq.errors import ResourceError
from std_daq.tpc.dumping.frame_dump import FrameDump
from std_daq.tpc.frames.encode import EventHeader, encode_items, encode_message, encode_topology, partial_items
from std_daq.tpc.frames.graw import read_graw
from std_daq.tpc.frames.records import TOPOLOGY, Fault
from std_daq.tpc.simulation.exporters import ExporterSet
from std_test_kit.chambers import write_chamber
from std_test_kit.free_ports import free_tcp_port

BOARDS = [(0, 0), (0, 1), (3, 2)]


def frame(board: tuple[int, int], event_id: int) -> bytes:
    items = partial_items(*[[0, 1, 2]] * 4)
    return encode_items(EventHeader(event_id, 100 * event_id, board), items)


class Exporters:
    """Two exporters that send messages to whoever is connected, in a thread of their own."""

    def __init__(self, addresses: list[str], messages: list[tuple[int, bytes]], drop_before: int | None = None) -> None:
        self._set = ExporterSet(addresses)
        self.addresses = [exporter.address for exporter in self._set.exporters]
        self._messages = messages
        self._drop_before = drop_before
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="exporters")

    def __enter__(self) -> "Exporters":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._set.close()

    def _run(self) -> None:
        self._attend()
        for n, (exporter, message) in enumerate(self._messages):
            if n == self._drop_before:
                while self._set.n_queued:
                    self._set.step(0.01)
                self._set.exporters[0].drop_clients()
                self._attend()
            self._set.exporters[exporter].send(message)
        while not self._stop.is_set():
            self._set.step(0.01)

    def _attend(self) -> None:
        while not (self._set.has_clients(1) or self._stop.is_set()):
            self._set.step(0.01)


def messages(n_events: int) -> list[tuple[int, bytes]]:
    topology = [(0, encode_message(encode_topology(0, [0, 1])))]
    return topology + [(b[0] // 3, encode_message(frame(b, n))) for n in range(n_events) for b in BOARDS]


def dump_of(exporters: Exporters, folder: Path, n_frames: int, **options: int) -> FrameDump:
    dump = FrameDump(
        folder, exporters.addresses, max_frame_bytes=2**16, reconnect_s=0.02, max_frames=n_frames, duration_s=20,
        **options,
    )  # fmt: skip
    dump.run(lambda: False)
    return dump


def test_frames_of_each_board_are_recorded_as_they_came(tmp_path: Path) -> None:
    with Exporters(["127.0.0.1:0"] * 2, messages(10)) as exporters:
        dump = dump_of(exporters, tmp_path, 30)
    assert [file.name.split("_20")[0] for file in dump.files] == ["CoBo0_AsAd0", "CoBo0_AsAd1", "CoBo3_AsAd2"]
    for file, board in zip(dump.files, BOARDS, strict=True):
        found = read_graw(file)
        assert found.damaged == []
        with_samples = [one for one in found.frames if one.has_samples]
        assert [one.data.tobytes() for one in with_samples] == [frame(board, n) for n in range(10)]
        assert (found.frames[0].frame_type == TOPOLOGY) == (board[0] == 0)
    assert (dump.n_frames, dump.n_other_frames, dump.never_reached, dump.faults) == (30, 1, [], {})


def test_next_file_begins_at_its_size_and_the_dump_ends_at_its_limit(tmp_path: Path) -> None:
    with Exporters(["127.0.0.1:0"] * 2, messages(10)) as exporters:
        dump = dump_of(exporters, tmp_path, 20, max_file_bytes=3 * len(frame((0, 0), 0)))
    assert dump.n_frames == 20
    frames = [one for file in dump.files for one in read_graw(file).frames if one.has_samples]
    assert len(frames) == 20
    assert len(dump.files) > 3


def test_damaged_frames_are_counted_and_lost_connections_made_anew(tmp_path: Path) -> None:
    damaged = bytearray(frame((0, 0), 99))
    damaged[6] = 99
    sent = messages(4)
    sent[3:3] = [(0, encode_message(bytes(damaged)))]
    with Exporters(["127.0.0.1:0"] * 2, sent, drop_before=8) as exporters:
        dump = dump_of(exporters, tmp_path, 12)
    assert dump.faults == {Fault.FRAME_TYPE: 1}
    ids = [one.event_id for one in read_graw(dump.files[0]).frames if one.has_samples]
    assert ids == [0, 1, 2, 3]


def test_folder_that_cannot_be_written_ends_the_dump(tmp_path: Path) -> None:
    with (
        Exporters(["127.0.0.1:0"] * 2, messages(1)) as exporters,
        pytest.raises(ResourceError, match="none: cannot be written: No such file or directory"),
    ):
        dump_of(exporters, tmp_path / "none", 3)


def test_command_records_beside_other_clients_and_tells_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = [f"127.0.0.1:{free_tcp_port()}" for _ in range(2)]
    config = write_chamber(tmp_path, [*addresses, f"127.0.0.1:{free_tcp_port()}"], BOARDS)
    folder = tmp_path / "dump"
    with Exporters(addresses, messages(5)):
        arguments = ["dump", "--config", str(config), "--output", str(folder), "--n-frames", "15", "--json"]
        assert main([*arguments, "--duration-s", "20"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["n_frames"] == 15
    assert [remark.split()[-3:] for remark in report["remarks"]] == [["was", "never", "reached"]]
    assert sorted(report["files"]) == sorted(str(file) for file in folder.iterdir())
    assert main(["dump", "--config", str(config), "--output", str(folder), "--n-packets", "3"]) == 2
    assert "argument --n-packets: has no meaning for a chamber" in capsys.readouterr().err
