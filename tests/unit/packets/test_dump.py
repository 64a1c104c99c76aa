import os
import socket
from pathlib import Path

import numpy as np
import pytest

from std_daq.errors import CaptureError, PortError
from std_daq.packets.captures import CaptureReader
from std_daq.packets.dump import Dump
from std_daq.packets.receive_buffer import ask_for_receive_buffer
from std_daq.packets.sending import PacketSender
from std_daq.packets.udp_place import UdpPlace

HERE = UdpPlace.of("127.0.0.1")


def send(dump: Dump, i_port: int, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.sendto(datagram, ("127.0.0.1", dump.ports[i_port].port))


def contents(path: Path) -> list[bytes]:
    with CaptureReader(path) as reader:
        return [reader[i] for i in range(len(reader))]


def test_what_was_sent_is_in_the_files(tmp_path: Path) -> None:
    sent = [[bytes([port]) * n for n in (0, 1, 100, 9000, 60_000)] for port in range(2)]
    with Dump(tmp_path / "new" / "folder", place=HERE, ports=[0, 0], max_packets=10) as dump:
        for i_port, datagrams in enumerate(sent):
            send(dump, i_port, *datagrams)
        dump.run()
    assert [contents(port.path) for port in dump.ports] == sent
    assert [port.n_packets for port in dump.ports] == [5, 5]
    assert dump.n_dropped == 0


def test_more_than_a_batch_is_written_in_order(tmp_path: Path) -> None:
    packets = np.arange(150, dtype="<u8").view(np.uint8).reshape(150, 8)
    with Dump(tmp_path, place=HERE, ports=[0], max_packets=150) as dump:
        with PacketSender("127.0.0.1", dump.ports[0].port) as sender:
            sender.send(packets)
        dump.run()
    assert contents(dump.ports[0].path) == [packet.tobytes() for packet in packets]


def test_no_more_than_the_packets_asked_for_are_written(tmp_path: Path) -> None:
    with Dump(tmp_path, place=HERE, ports=[0, 0], max_packets=3) as dump:
        send(dump, 0, b"a", b"b")
        send(dump, 1, b"c", b"d")
        dump.run()
        assert dump.n_packets == 3
        assert not dump.step()
        assert dump.n_packets == 3


def test_one_file_that_cannot_be_written_to_its_end_leaves_the_others_whole(tmp_path: Path) -> None:
    dump = Dump(tmp_path, place=HERE, ports=[0, 0], max_packets=2)
    send(dump, 0, b"x")
    send(dump, 1, b"y")
    dump.run()
    writers = [port._writer for port in dump.ports]
    assert writers[1] is not None
    os.close(writers[1]._file.fileno())  # of the file that is closed first
    with pytest.raises(CaptureError, match="cannot be written"):
        dump.close()
    assert contents(dump.ports[0].path) == [b"x"]


def test_a_silent_port_leaves_no_file(tmp_path: Path) -> None:
    with Dump(tmp_path, place=HERE, ports=[0, 0], max_packets=1) as dump:
        send(dump, 1, b"x")
        dump.run()
    assert list(tmp_path.iterdir()) == [dump.ports[1].path]


def test_a_duration_ends_the_dump(tmp_path: Path) -> None:
    times = iter([0.0, 1.0, 1.0, 5.0, 5.0])
    with Dump(tmp_path, place=HERE, ports=[0], duration_s=5.0, clock=lambda: next(times)) as dump:
        send(dump, 0, b"x")
        assert dump.step()
        assert not dump.step()


def test_a_stop_ends_the_dump_and_progress_is_reported(tmp_path: Path) -> None:
    seen: list[int] = []
    with Dump(tmp_path, place=HERE, ports=[0], progress=lambda dump: seen.append(dump.n_packets)) as dump:
        send(dump, 0, b"x", b"y")
        dump.run(is_stopped=lambda: dump.n_packets == 2)
    assert seen[-1] == 2


def test_what_the_kernel_dropped_is_counted(tmp_path: Path) -> None:
    packets = np.zeros((200, 8000), np.uint8)
    with Dump(tmp_path, place=HERE, ports=[0]) as dump:
        dump.ports[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        with PacketSender("127.0.0.1", dump.ports[0].port) as sender:
            sender.send(packets)
        dump.run(is_stopped=lambda: dump.n_packets + dump.n_dropped == 200)
        assert dump.n_dropped > 0


def test_a_burst_as_large_as_the_granted_buffer_is_recorded_whole(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        granted = ask_for_receive_buffer(sock, 64 << 20)
    n = granted // 16_640  # what the kernel reckons for a datagram of 8 KiB, at most
    with Dump(tmp_path, place=HERE, ports=[0]) as dump:
        send(dump, 0, *[bytes(8240)] * n)
        dump.step()
        taken_at_once = dump.n_packets
        while dump.n_packets < n:
            dump.step()
        assert dump.n_dropped == 0
    assert taken_at_once >= min(n, 1024)  # the loop is left for each batch only where other ports may wait


def test_an_existing_capture_is_not_touched(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    path = tmp_path / f"{port}.dat"
    path.write_bytes(b"precious")
    with pytest.raises(CaptureError, match="exists already"):
        Dump(tmp_path, place=HERE, ports=[port])
    assert path.read_bytes() == b"precious"


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(PortError, match=f":{port} cannot be opened: Address already in use"):
            Dump(tmp_path, place=HERE, ports=[0, port])


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CaptureError, match="cannot be created"):
        Dump(tmp_path / "file" / "folder", place=HERE, ports=[0])
