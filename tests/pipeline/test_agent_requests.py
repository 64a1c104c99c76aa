"""Which requests the writer agent carries out, refuses and repeats, with a real broker."""

import contextlib
import itertools
from pathlib import Path
from typing import Any

import pika
import pytest

from std_daq.amqp.address import VARIABLE
from std_daq.amqp.topology import refused_queue
from std_daq.cli.__main__ import main
from std_daq.errors import EXIT_FAILED
from std_daq.recording.requests import Action, Verdict, new_request_id
from std_test_kit.agent import AgentThread, Client, MakeRing, make_config, publish
from std_test_kit.store_writer import FakeStoreWriter, StoreWriterThread
from std_writer_agent.run import AgentRun


def test_bad_requests_are_refused_and_kept_as_dead_letters(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag, output_roots=[str(tmp_path)])
    (tmp_path / "there.h5").touch()
    bodies = [b"", b"null", b"[1, 2]", b"\xff\xfe", b'{"output_file": 3}', b'{"output_file": "/x", "nimages": 1}']
    with Client(broker_url, tag) as client, AgentThread(config, broker_url):
        for body in bodies:
            request_id = new_request_id()
            client.send(body, request_id)
            end = client.wait_for_end(request_id)
            assert (end.action, end.body) == (Action.FAIL, body)
            assert end.report is not None
            assert end.report.verdict is Verdict.REFUSED
        client.send(b'{"output_file": "/x"}', "no uuid")
        assert "is not a UUID" in client.wait_for_end("no uuid").message
        for path, reason in [
            ("relative.h5", "must be an absolute path"),
            (f"{tmp_path}/../x.h5", "must not contain '..'"),
            ("/elsewhere/x.h5", "outside the allowed folders"),
            (tmp_path / "there.h5", "exists"),
        ]:
            assert reason in client.wait_for_end(client.write(path, n_images=1)).message
    dead = take_dead_letters(broker_url, tag, len(bodies) + 1)
    assert sorted(dead) == sorted([*bodies, b'{"output_file": "/x"}'])


def take_dead_letters(url: str, tag: str, n: int) -> list[bytes]:
    """Wait for the messages of the queue of refused requests, and take n of them."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    with contextlib.closing(connection), contextlib.closing(connection.channel()) as channel:
        coming = channel.consume(refused_queue(tag), auto_ack=True, inactivity_timeout=10.0)
        bodies = [body for _, _, body in itertools.islice(coming, n)]
        channel.cancel()
    assert None not in bodies, f"{n} dead letters were expected: {bodies}"
    return bodies


def test_repeated_request_is_not_run_again_but_answered(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    publish(ring, range(10))
    writer = FakeStoreWriter()
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer), AgentThread(config, broker_url):
        request_id = client.write(tmp_path / "run.h5", n_images=3, start_image_id=0)
        client.wait_for_end(request_id)
        client.heard.clear()
        client.write(tmp_path / "run.h5", n_images=3, start_image_id=0, request_id=request_id)
        assert client.wait_for_end(request_id).action is Action.SUCCESS
        assert len(client.heard[request_id]) == 1
    assert len(writer.runs) == 1


def test_kill_that_is_faster_than_its_request_is_not_forgotten(
    broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    with Client(broker_url, tag) as client, AgentThread(config, broker_url):
        request_id, witness = new_request_id(), new_request_id()
        client.kill(request_id)
        client.send(b"", witness)
        client.wait_for_end(witness)
        client.write(tmp_path / "run.h5", request_id=request_id)
        assert client.wait_for_end(request_id).action is Action.KILLED


def test_kill_of_a_run_that_has_ended_or_was_never_known_says_so(
    broker_url: str,
    tag: str,
    shm_dir: Path,
    ring_of: MakeRing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = make_config(shm_dir, tag)
    file = tmp_path / "detector.json"
    file.write_text(config.model_dump_json(by_alias=True, exclude_unset=True))
    monkeypatch.setenv(VARIABLE, broker_url)
    ring = ring_of(config)
    publish(ring, range(10))
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, FakeStoreWriter()),
        AgentThread(config, broker_url),
    ):
        ended, unknown = client.write(tmp_path / "run.h5", n_images=3, start_image_id=0), new_request_id()
        client.wait_for_end(ended)
        assert main(["kill", "--config", str(file), ended]) == EXIT_FAILED
        assert "had ended before, as complete; nothing was killed" in capsys.readouterr().err
        assert main(["kill", "--config", str(file), ended, "--wait-s", "10"]) == Verdict.COMPLETE.exit_code
        for wait in ([], ["--wait-s", "10"]):
            assert main(["kill", "--config", str(file), unknown, *wait]) == EXIT_FAILED
            assert "no request of this id is known" in capsys.readouterr().err
        running = client.write(tmp_path / "second.h5")
        client.wait_for(running, Action.ACCEPTED)
        assert main(["kill", "--config", str(file), running]) == 0
        assert client.wait_for_end(running).action is Action.KILLED


@pytest.mark.long
@pytest.mark.parametrize("name", ["poll", "feed_images", "feed_report", "__init__"])
def test_error_that_nobody_foresaw_in_a_run_ends_the_run_and_not_the_agent(
    broker_url: str,
    tag: str,
    shm_dir: Path,
    ring_of: MakeRing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    work = getattr(AgentRun, name)

    def fail_in_the_first_run(run: AgentRun, *args: Any, **kwargs: Any) -> Any:
        done = work(run, *args, **kwargs)
        if run.plan.output_file.endswith("first.h5") and (name != "poll" or run.has_writers):
            raise ZeroDivisionError("nobody thought of it")
        return done

    monkeypatch.setattr(AgentRun, name, fail_in_the_first_run)
    with (
        Client(broker_url, tag) as client,
        StoreWriterThread(config, FakeStoreWriter()),
        AgentThread(config, broker_url),
    ):
        first = client.write(tmp_path / "first.h5", n_images=3)
        if name == "feed_images":
            client.wait_until(first, lambda status: "waiting" in status.message)
            publish(ring, range(3))
        end = client.wait_for_end(first)
        assert end.report is not None
        assert end.report.verdict is Verdict.FAILED
        assert "ZeroDivisionError('nobody thought of it')" in end.report.reason
        second = client.write(tmp_path / "second.h5", n_images=2)
        client.wait_until(second, lambda status: "waiting" in status.message)
        publish(ring, range(10, 12))
        assert client.wait_for_end(second).action is Action.SUCCESS
