import socket
import subprocess
import sys
from pathlib import Path

import pytest

from std_test_kit import free_ports
from std_test_kit.free_ports import HOST, PORTS, free_tcp_port, free_udp_ports

_PICK = "from std_test_kit.free_ports import free_tcp_port\nfor _ in range(100): print(free_tcp_port())"


@pytest.fixture
def six_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> range:
    """Six ports that nobody else picks, and a counter of their own."""
    first = free_udp_ports(6)
    monkeypatch.setattr(free_ports, "PORTS", range(first, first + 6))
    monkeypatch.setattr(free_ports, "_COUNTER", tmp_path / "counter")
    return free_ports.PORTS


def test_processes_that_pick_at_once_never_get_the_same_port() -> None:
    picking = [subprocess.Popen([sys.executable, "-c", _PICK], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    ports = [int(line) for process in picking for line in process.communicate(timeout=60)[0].split()]
    assert len(set(ports)) == 300


def test_ports_are_none_that_linux_gives_to_others() -> None:
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert PORTS.stop <= first


def test_ports_in_use_are_left_out_and_the_last_is_followed_by_the_first(six_ports: range) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as used:
        used.bind((HOST, six_ports[1]))
        assert free_udp_ports(2) == six_ports[2]
        assert [free_udp_ports(1) for _ in range(4)] == [six_ports[at] for at in (4, 5, 0, 2)]
        with pytest.raises(RuntimeError, match="no 5 ports in a row are free"):
            free_udp_ports(5)


def test_ports_of_ipv6_are_given() -> None:
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", free_tcp_port("::1")))
