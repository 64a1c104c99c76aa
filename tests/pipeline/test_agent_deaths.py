"""The agent is killed before and after each of its effects: each request ends once, and no confirmed kill is lost.

With ``--every-effect`` the longest test takes each one, which takes six minutes, and otherwise some by ``--seed``.
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.requests import Verdict
from std_test_kit.agent import AgentProcess, AgentThread, Client, MakeRing, make_config, publish
from std_test_kit.store_writer import FakeStoreWriter, StoreWriterThread
from std_test_kit.wait import wait_until

DEADLINE_S = 120.0
N_IMAGES = 3
N_DEATHS = 8


class Scene:
    """Two runs, one request that waits behind them and is killed, and a refused one; the agent may die meanwhile."""

    def __init__(self, client: Client, agent: AgentProcess, writer: FakeStoreWriter, folder: Path) -> None:
        self._client = client
        self._agent = agent
        self._writer = writer
        self._folder = folder
        self._numbers = count()

    def play(self, moment: str, point: int) -> list[str]:
        """Play with an agent that dies at an effect, and then with one that goes on; return the effects until then."""
        number = next(self._numbers)
        record = self._folder / f"effects-{number}"
        record.touch()
        self._agent.start("std_test_kit.mortal_agent", record, moment, point)
        try:
            written, killed, refused = self._send(number)
            if point < 0:
                self._check_ends(written, killed, refused)
            else:
                wait_until(lambda: not self._agent.is_alive, DEADLINE_S, lambda: f"it lives on: {record.read_text()}")
                self._agent.start()
                self._check_ends(written, killed, refused)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"killed {moment} effect {point} of {record.read_text().split()}") from error
        finally:
            self._agent.kill()
        return record.read_text().split()

    def _send(self, number: int) -> tuple[list[str], str, str]:
        folder = self._folder
        written = [
            self._client.write(folder / f"{number}-{name}.h5", n_images=N_IMAGES, start_image_id=5) for name in "ab"
        ]
        killed = self._client.write(folder / f"{number}-killed.h5", n_images=N_IMAGES)
        refused = str(uuid4())
        self._client.send(b"no request", refused)
        self._client.kill(killed)
        return written, killed, refused

    def _check_ends(self, written: list[str], killed: str, refused: str) -> None:
        verdicts = {}
        for request_id in (*written, killed, refused):
            end = self._client.wait_for_end(request_id, timeout_s=DEADLINE_S)
            assert end.report is not None
            verdicts[request_id] = end.report.verdict
        assert {verdicts[request_id] for request_id in written} <= {Verdict.COMPLETE, Verdict.FAILED}
        assert verdicts[killed] is Verdict.KILLED
        assert verdicts[refused] is Verdict.REFUSED
        for request_id in verdicts:  # an end whose confirmation died with the agent is told again, and is the same
            assert len({status.message for status in self._client.ends(request_id, 0.1)}) == 1
        begun = [start.request_id for start in self._writer.runs.values()]
        assert len(begun) == len(set(begun)), "a request was written twice"


@pytest.fixture
def scene(broker_url: str, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path) -> Iterator[Scene]:
    config: DetectorConfig = make_config(shm_dir, tag, max_queued_requests=10)
    ring = ring_of(config)
    publish(ring, range(20))
    writer = FakeStoreWriter()
    with AgentThread(config, broker_url):
        pass  # the queue is declared now
    agent = AgentProcess(config, broker_url, tmp_path)
    with Client(broker_url, tag) as client, StoreWriterThread(config, writer):
        yield Scene(client, agent, writer, tmp_path)


def points_of(effects: list[str]) -> list[int]:
    """Return the first and the last point of each effect, in their order."""
    first = {name: effects.index(name) for name in effects}
    last = {name: len(effects) - 1 - effects[::-1].index(name) for name in effects}
    return sorted({*first.values(), *last.values()})


@pytest.mark.long
@pytest.mark.timeout(600)
def test_agent_killed_around_its_first_effects_ends_each_request_once(scene):
    effects = scene.play("before", -1)
    for name in ("RequestJournal.add", "RequestConsumer.accept", "RequestJournal.start", "RequestJournal.end"):
        scene.play("after", effects.index(name))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_agent_killed_before_and_after_its_effects_ends_each_request_once(scene, pytestconfig):
    deaths = [(moment, point) for moment in ("before", "after") for point in points_of(scene.play("before", -1))]
    if not pytestconfig.getoption("--every-effect"):
        deaths = Random(pytestconfig.getoption("--seed")).sample(deaths, N_DEATHS)
    for moment, point in deaths:
        scene.play(moment, point)
