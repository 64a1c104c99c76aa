"""StdDaqDetector: a detector of std-daq in scans of bluesky."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from ophyd_async.core import (
    DetectorAcquireLogic,
    DetectorTrigger,
    DetectorTriggerLogic,
    PathProvider,
    StandardDetector,
    WatchableAsyncStatus,
    WatcherUpdate,
    soft_signal_r_and_setter,
)

from std_daq.bluesky.file_documents import FileDocuments
from std_daq.bluesky.logics import RecordedFiles, RecordImages, RecordTriggers
from std_daq.bluesky.recorder import ScanRecorder
from std_daq.client.daq_client import DaqClient
from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.registry import open_detector
from std_daq.recording.requests import RunReport

_SET_BY_THE_SCAN = {"output_file", "n_images", "start_image_id", "conflict", "format"}


class _Watcher:
    """Puts the updates of a status into a queue."""

    def __init__(self, updates: "asyncio.Queue[WatcherUpdate[int]]") -> None:
        self._updates = updates

    def __call__(self, *_: Any, **update: Any) -> None:
        self._updates.put_nowait(WatcherUpdate(**update))


class StdDaqDetector(StandardDetector):
    """Writes the images of a scan to files, by write requests, and tells bluesky where they are.

    Each ``trigger`` is a run with a file of its own, ``NAME_000001.h5`` and so on. In a fly scan the whole flight is
    one run, and its images are told as the writers report them. A scan that is aborted kills its run; what was written
    stays. A run that is refused, fails or loses images fails the trigger or the flight, with the reason of its verdict.

    std-daq records what the detector sends. What arms the detector is given as ``acquire_control`` and
    ``trigger_control``; it is called when the run waits for its first image.

    Parameters
    ----------
    config
        The configuration of the detector, or the path of its file.
    path_provider
        Says where the files go, as the writers see it. The name of a file needs no ending.
    name
        Name of the device, and of the data key of its images.
    acquire_control, trigger_control
        Logics of ophyd-async for what controls the detector; None: the detector sends images by itself.
    broker_url
        URL of the broker; by default as of `DaqClient`.
    request
        Further keys of the write requests, such as ``compression="bslz4"`` or ``experiment={"distance_m": 0.15}``.

    Raises
    ------
    ConfigError
        The configuration is wrong, or not that of a detector of images.
    ValueError
        ``request`` has a key that the scan sets.
    """

    def __init__(
        self,
        config: DetectorConfig | Path | str,
        path_provider: PathProvider,
        name: str = "",
        *,
        acquire_control: DetectorAcquireLogic | None = None,
        trigger_control: DetectorTriggerLogic | None = None,
        broker_url: str | None = None,
        **request: Any,
    ) -> None:
        if wrong := sorted(_SET_BY_THE_SCAN & set(request)):
            raise ValueError(f"{', '.join(wrong)}: these keys of the request are set by the scan; leave them out")
        client = DaqClient(config, broker_url)
        if not isinstance(client.config, DetectorConfig):
            raise ConfigError("bluesky scans take images; give the detector.json of a detector")
        self._images = client.config
        self._dtype = open_detector(client.config).image_dtype
        self._recorder = ScanRecorder(client, path_provider, request)
        self.add_detector_logics(
            RecordTriggers(self._recorder, trigger_control),
            RecordImages(self._recorder, acquire_control),
            RecordedFiles(self._recorder, self._make_documents),
        )
        self.detector_name, _ = soft_signal_r_and_setter(str, client.config.name)
        self.add_config_signals(self.detector_name)
        super().__init__(name=name)

    @property
    def last_report(self) -> RunReport | None:
        """The report of the run that ended last: verdict, counts, files."""
        return self._recorder.last_report

    @WatchableAsyncStatus.wrap
    async def trigger(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Take the images of one event into a file; fails as soon as the run does."""
        context = self._prepare_ctx
        if context is None or context.trigger_info.trigger is DetectorTrigger.INTERNAL:
            await self._recorder.stop()  # the run of a trigger that was interrupted
        async for update in self._until_failure(super().trigger()):
            yield update

    @WatchableAsyncStatus.wrap
    async def complete(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Wait until the images of the flight are written; fails as soon as the run does."""
        async for update in self._until_failure(super().complete()):
            yield update

    async def _until_failure(self, status: WatchableAsyncStatus[int]) -> AsyncIterator[WatcherUpdate[int]]:
        """Yield the updates of a status until it is done, or the run has failed."""
        updates: asyncio.Queue[WatcherUpdate[int]] = asyncio.Queue()
        status.watch(_Watcher(updates))
        failure = self._recorder.failure
        async with status:
            while not status.task.done() and not failure.done():
                update = asyncio.create_task(updates.get())
                awaited: set[asyncio.Future[Any]] = {update, status.task, failure}
                try:
                    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                    if update.done():
                        yield update.result()
                finally:
                    update.cancel()
            while not updates.empty():
                yield updates.get_nowait()
            if failure.done():
                raise failure.result()
            await status

    def _make_documents(self, data_key: str) -> FileDocuments:
        source = f"std-daq://{self._images.name}"
        return FileDocuments(data_key, source, self._images.image_shape, self._dtype)
