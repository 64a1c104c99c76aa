"""The runs of a scan that is interrupted."""

import asyncio
import threading
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider

from std_daq.bluesky.file_documents import FileDocuments
from std_daq.bluesky.recorder import ScanRecorder
from std_daq.client.daq_client import DaqClient
from std_daq.errors import BrokerError


class FakeRun:
    def __init__(self) -> None:
        self.told: list[str] = []

    def kill(self) -> None:
        self.told.append("kill")

    def close(self) -> None:
        self.told.append("close")


class SlowClient:
    """Sends a request when it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.run = FakeRun()
        self.has_begun = threading.Event()
        self.may_go = threading.Event()
        self._error = error

    def write(self, output_file: str, **_: Any) -> FakeRun:
        assert Path(output_file).name == "scan_000001.h5"
        self.has_begun.set()
        assert self.may_go.wait(10)
        if self._error is not None:
            raise self._error
        return self.run


async def interrupt_the_request(client: SlowClient, folder: Path) -> None:
    provider = StaticPathProvider(StaticFilenameProvider("scan"), folder)
    recorder = ScanRecorder(cast("DaqClient", client), provider, {})
    recorder.new_scan(FileDocuments("images", "std-daq://test", (4, 4), np.dtype("<u2")), "images")
    starting = asyncio.create_task(recorder.start())
    assert await asyncio.to_thread(client.has_begun.wait, 10)
    starting.cancel()
    await asyncio.sleep(0)
    client.may_go.set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not recorder.is_running
    await recorder.stop()


def test_run_whose_request_is_on_its_way_is_killed(tmp_path: Path) -> None:
    client = SlowClient()
    asyncio.run(interrupt_the_request(client, tmp_path))
    assert client.run.told == ["kill", "close"]


def test_request_that_cannot_be_sent_leaves_the_interruption_as_it_is(tmp_path: Path) -> None:
    client = SlowClient(BrokerError("no answer"))
    asyncio.run(interrupt_the_request(client, tmp_path))
    assert client.run.told == []
