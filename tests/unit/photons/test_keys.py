"""Files of keys, and who may connect."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from std_daq.cli.sim import main as std_sim
from std_daq.errors import ArgumentError
from std_daq.photons.endpoints import bind_router, bound_address, connect_dealer
from std_daq.photons.gate import Gate
from std_daq.photons.keys import SERVER_FILE, ClientKeys, KeyFolder, ServerKeys

ANY = "tcp://127.0.0.1:*"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    KeyFolder(tmp_path).add(["worker-1", "laptop"])
    return tmp_path


def test_each_has_a_file_that_nobody_else_reads_and_the_server_knows_all(folder: Path) -> None:
    server = ServerKeys.load("--keys", folder / SERVER_FILE)
    assert server.clients.keys() == {"worker-1", "laptop"}
    for name, public in server.clients.items():
        keys = ClientKeys.load("--keys", folder / f"{name}.json")
        assert (keys.public, keys.server) == (public, server.public)
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert len({file.read_text() for file in folder.iterdir()}) == 3


def test_folder_that_is_not_there_is_made_for_its_user_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "farm" / "keys"
    assert std_sim(["keys", "--output", str(made), "laptop"]) == 0
    assert str(made / "laptop.json") in capsys.readouterr().out
    assert made.stat().st_mode & 0o777 == 0o700


def test_more_are_added_and_none_is_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = ServerKeys.load("--keys", folder / SERVER_FILE)
    laptop = (folder / "laptop.json").read_text()
    assert std_sim(["keys", "--output", str(folder), "worker-2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [str(folder / SERVER_FILE), str(folder / "worker-2.json")]
    after = ServerKeys.load("--keys", folder / SERVER_FILE)
    assert after.secret == before.secret
    assert after.clients.keys() == {"worker-1", "laptop", "worker-2"}
    assert std_sim(["keys", "--output", str(folder), "worker-3", "laptop"]) == 2
    assert "there is a file of this name" in capsys.readouterr().err
    assert (folder / "laptop.json").read_text() == laptop
    assert not (folder / "worker-3.json").exists()


@pytest.mark.parametrize("name", ["server", "../up", "", ".hidden", "a b", "a/b"])
def test_names_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArgumentError):
        KeyFolder(tmp_path / "new").add([name])
    assert not (tmp_path / "new").exists()


def test_files_of_the_other_kind_broken_or_missing_are_refused_with_their_name(folder: Path) -> None:
    (folder / "broken.json").write_text('{"public": "short"}')
    for kind, file in (
        (ClientKeys, SERVER_FILE), (ServerKeys, "laptop.json"), (ClientKeys, "broken.json"), (ClientKeys, "none.json"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=file):
            kind.load("--keys", folder / file)


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def say(context: "zmq.Context[zmq.Socket[bytes]]") -> Iterator[Callable[..., None]]:
    """Connect to an address and send a word; the connections stay until the end."""
    opened = []

    def send(word: bytes, address: str, keys: ClientKeys | None) -> None:
        opened.append(connect_dealer(context, address, keys=keys))
        opened[-1].send(word)

    yield send
    for socket in opened:
        socket.close(linger=0)


def test_who_has_a_key_is_heard_and_nobody_else(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    context: "zmq.Context[zmq.Socket[bytes]]",
    say: Callable[..., None],
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    KeyFolder(elsewhere).add(["stranger"])
    server = ServerKeys.load("--keys", folder / SERVER_FILE)
    known = ClientKeys.load("--keys", folder / "laptop.json")
    stranger = ClientKeys.load("--keys", elsewhere / "stranger.json")
    with Gate(context, server) as gate:
        router, places = bind_router(context, "--frontend", ANY, gate=gate)
        address = bound_address(router)
        # One that has found out the public key of the server, one of another server, and one in plain.
        others = (stranger.model_copy(update={"server": server.public}), stranger, None)
        for keys in others:
            say(b"stranger", address, keys)
        assert not router.poll(300)
        say(b"known", address, known)
        assert router.poll(5000)
        assert router.recv_multipart()[1] == b"known"
        assert not router.poll(300)
        places.close()
        router.close(linger=0)


def test_a_client_with_keys_says_nothing_to_a_server_in_plain(
    folder: Path, context: "zmq.Context[zmq.Socket[bytes]]", say: Callable[..., None]
) -> None:
    router, places = bind_router(context, "--frontend", ANY)
    keys = ClientKeys.load("--keys", folder / "laptop.json")
    say(b"secret", bound_address(router), keys)
    assert not router.poll(500)
    places.close()
    router.close(linger=0)


def test_nobody_is_let_in_when_the_thread_that_decides_has_ended(
    folder: Path, context: "zmq.Context[zmq.Socket[bytes]]", say: Callable[..., None]
) -> None:
    gate = Gate(context, ServerKeys.load("--keys", folder / SERVER_FILE))
    router, places = bind_router(context, "--frontend", ANY, gate=gate)
    gate.close()
    keys = ClientKeys.load("--keys", folder / "laptop.json")
    say(b"known", bound_address(router), keys)
    assert not router.poll(500)
    places.close()
    router.close(linger=0)
