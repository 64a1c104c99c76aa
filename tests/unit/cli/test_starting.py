"""Commands that need the services wait for those that are starting, and say so."""

import multiprocessing
import threading
from pathlib import Path

import pytest

from std_daq.cli import starting
from std_daq.cli.starting import wait_for_run, wait_for_services
from std_daq.config.platform import PlatformConfig
from std_daq.config.system import load_any_config
from std_daq.config.up_lock import UpLock, running_up
from std_daq.errors import ResourceError


@pytest.fixture
def config(config_file: str, runtime: Path) -> PlatformConfig:
    return load_any_config(Path(config_file))


def test_services_that_are_starting_are_waited_for(config: PlatformConfig, capsys: pytest.CaptureFixture[str]) -> None:
    with UpLock(config) as lock:
        threading.Timer(0.3, lock.note_ready).start()
        wait_for_services(config)
        up = running_up(config)
    assert up is not None
    assert up.is_ready
    assert "are starting (process" in capsys.readouterr().err


def test_nothing_is_waited_for_where_all_is_ready(config: PlatformConfig, capsys: pytest.CaptureFixture[str]) -> None:
    with UpLock(config) as lock:
        lock.note_ready()
        wait_for_services(config, needs_broker=True)
    wait_for_services(config)
    wait_for_services(config, broker_url="amqp://127.0.0.1/", needs_broker=True)
    assert capsys.readouterr().err == ""


def test_services_that_end_while_they_start_are_told(config: PlatformConfig) -> None:
    lock = UpLock(config)
    lock.__enter__()
    threading.Timer(0.3, lock.__exit__).start()
    with pytest.raises(ResourceError, match="ended before they were ready"):
        wait_for_services(config)


def test_up_that_is_about_to_begin_is_waited_for(config: PlatformConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "GRACE_S", 20.0)
    lock = UpLock(config)

    def begin() -> None:
        lock.__enter__()
        lock.note_ready()

    threading.Timer(0.3, begin).start()
    wait_for_services(config, needs_broker=True)
    lock.__exit__()


def test_a_run_is_not_waited_for_where_no_agent_could_begin_one(
    config: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "GRACE_S", 0.2)
    with pytest.raises(ResourceError, match=r"no writer agent of .* runs on this machine.*leave --when-requested out"):
        wait_for_run(config)


def test_second_up_is_told_who_is_there(config: PlatformConfig) -> None:
    with UpLock(config), pytest.raises(ResourceError, match=r"another 'std-daq up'.*\(process \d+ on "):
        UpLock(config).__enter__()


def hold(config: PlatformConfig, held: "multiprocessing.synchronize.Event") -> None:
    with UpLock(config):
        held.set()
        threading.Event().wait(60.0)


def test_lock_of_a_killed_process_is_free(config: PlatformConfig) -> None:
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=hold, args=(config, held))
    process.start()
    assert held.wait(20.0)
    assert running_up(config) is not None
    process.kill()
    process.join()
    assert running_up(config) is None
    with UpLock(config):
        pass
