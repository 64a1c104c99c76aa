import stat
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from std_daq.cli.__main__ import main
from std_daq.errors import ConfigError
from std_daq.streams.curve_keys import (
    make_keys,
    public_keys,
    read_client_keys,
    read_public_key,
    read_secret_key,
    read_server_keys,
)
from std_daq.streams.gatekeeper import Gatekeeper


def test_pair_belongs_together_and_only_its_owner_reads_the_secret_one(tmp_path: Path) -> None:
    public, secret = make_keys(tmp_path, "near")
    assert zmq.curve_public(read_secret_key(secret)) == read_public_key(public)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_existing_key_is_left_alone(tmp_path: Path) -> None:
    public, secret = make_keys(tmp_path, "near")
    before = secret.read_bytes(), public.read_bytes()
    with pytest.raises(ConfigError, match=r"near\.secret.*File exists"):
        make_keys(tmp_path, "near")
    assert (secret.read_bytes(), public.read_bytes()) == before


def test_secret_key_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    public, secret = make_keys(tmp_path, "near")
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match=r"near\.secret: everybody may read.*chmod 600"):
        read_client_keys(secret, public)


@pytest.mark.parametrize("text", ["", "x" * 39, "é" * 20, "\0" * 40])
def test_file_that_holds_no_key_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "near.public"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"near\.public: this is no key"):
        read_public_key(file)
    assert public_keys(tmp_path) == frozenset()


def test_missing_files_are_named(tmp_path: Path) -> None:
    _, secret = make_keys(tmp_path, "near")
    with pytest.raises(ConfigError, match=r"gone\.public.*std-daq keys"):
        read_client_keys(secret, tmp_path / "gone.public")
    with pytest.raises(ConfigError, match="no such folder"):
        read_server_keys(secret, tmp_path / "clients")


def test_command_makes_a_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "far", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "far.public"), str(tmp_path / "far.secret")]
    assert main(["keys", "far", "--folder", str(tmp_path)]) == 2


class Asked:
    """A gatekeeper, and the socket library that asks it."""

    def __init__(self, clients: Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.gatekeeper = Gatekeeper(self.context, clients)
        self.socket = self.context.socket(zmq.REQ)
        self.socket.connect("inproc://zeromq.zap.01")

    def ask(self, *parts: bytes) -> list[bytes]:
        self.socket.send_multipart(parts)
        self.gatekeeper.step()
        assert self.socket.poll(2000)
        return self.socket.recv_multipart()

    def close(self) -> None:
        self.gatekeeper.close()
        self.context.destroy(linger=0)


def test_gatekeeper_lets_in_who_has_a_key_in_the_folder(tmp_path: Path) -> None:
    public, _ = make_keys(tmp_path, "far")
    key = z85.decode(read_public_key(public))
    asked = Asked(tmp_path)
    assert asked.ask(b"1.0", b"7", b"std-daq", b"10.0.0.1", b"", b"CURVE", key)[1:3] == [b"7", b"200"]
    public.unlink()
    assert asked.ask(b"1.0", b"8", b"std-daq", b"10.0.0.1", b"", b"CURVE", key)[1:3] == [b"8", b"400"]
    asked.close()


@pytest.mark.parametrize(
    "parts",
    [
        (b"",),
        (b"1.0", b"1"),
        (b"2.0", b"1", b"std-daq", b"a", b"", b"CURVE", bytes(32)),
        (b"1.0", b"1", b"std-daq", b"a", b"", b"NULL"),
        (b"1.0", b"1", b"std-daq", b"a", b"", b"PLAIN", bytes(32)),
        (b"1.0", b"1", b"std-daq", b"a", b"", b"CURVE", bytes(31)),
    ],
)
def test_gatekeeper_lets_in_nobody_else(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    make_keys(tmp_path, "far")
    asked = Asked(tmp_path)
    assert asked.ask(*parts)[2] == b"400"
    asked.close()
