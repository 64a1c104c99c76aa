"""A writer that the agent has given up ends before it writes anything more, wherever it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from std_daq.errors import ConfigError
from std_daq.recording.addresses import fence_path
from std_daq.recording.fence import Fence
from std_daq.recording.store_stream import ReportKind
from std_test_kit.store_driver import RUN_ID


class EndedError(BaseException):
    """Stands for the end of the process."""


def end(code: int) -> None:
    raise EndedError(code)


@pytest.mark.parametrize("what", ["image", "end", "finish", "close", "master"])
def test_nothing_is_written_after_the_writer_was_given_up(bench: Any, tmp_path: Path, what: str) -> None:
    writer = bench.writer
    writer._end_process = end
    publisher = bench.make_ring(n_slots=16)
    path = tmp_path / "run.h5"
    bench.agent.start(path, run_id=RUN_ID, n_images=4)
    bench.agent.send(publisher.publish(1), 0, run_id=RUN_ID)
    while not bench.n_handled:
        writer.step()
    if what == "finish":
        bench.agent.end(1, run_id=RUN_ID)
        bench.step_until(ReportKind.DRAINED)
    before = path.read_bytes()
    fence = Fence(fence_path(bench.config, 0))
    fence.give_up(writer._reporter.instance, RUN_ID)
    fence.close()
    act: dict[str, Callable[[], object]] = {
        "image": lambda: bench.agent.send(publisher.publish(2), 1, run_id=RUN_ID),
        "end": lambda: bench.agent.end(1, run_id=RUN_ID),
        "finish": lambda: bench.agent.finish(run_id=RUN_ID),
        "close": writer.close,
        "master": lambda: bench.agent.master(tmp_path / "master.h5", [str(path)]),
    }

    def go_on() -> None:
        act[what]()
        while True:
            writer.step()

    with pytest.raises(EndedError):
        go_on()
    assert path.read_bytes() == before
    assert not (tmp_path / "master.h5").exists()
    writer._end_process = lambda code: None


def test_mark_is_for_one_process_in_one_run(tmp_path: Path) -> None:
    agent, writer = Fence(tmp_path / "fence"), Fence(tmp_path / "fence")
    assert not writer.is_given_up("a" * 32, 1)
    agent.give_up("a" * 32, 1)
    assert writer.is_given_up("a" * 32, 1)
    assert not writer.is_given_up("a" * 32, 2)
    assert not writer.is_given_up("b" * 32, 1)
    agent.close()
    assert Fence(tmp_path / "fence").is_given_up("a" * 32, 1)  # also after a restart of the agent
    writer.close()


def test_link_in_the_place_of_a_fence_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "fence").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="cannot be opened"):
        Fence(tmp_path / "fence")
