"""The parts of which ophyd-async makes a detector: how it is triggered, how images are taken, what they are."""

from collections.abc import Callable, Sequence

from ophyd_async.core import (
    DetectorAcquireLogic,
    DetectorDataLogic,
    DetectorTriggerLogic,
    SignalDict,
    SignalR,
    StreamableDataProvider,
)

from std_daq.bluesky.file_documents import FileDocuments
from std_daq.bluesky.recorder import ScanRecorder


class RecordTriggers(DetectorTriggerLogic):
    """Notes how many images a run shall have; whoever controls the detector sets its exposures.

    Parameters
    ----------
    recorder
        Requests the runs.
    control
        Logic of what controls the detector; None: nobody in this scan, it was set up before.
    """

    def __init__(self, recorder: ScanRecorder, control: DetectorTriggerLogic | None) -> None:
        self._recorder = recorder
        self._control = control

    def config_sigs(self) -> set[SignalR]:  # type: ignore[type-arg]
        """Return the signals of the control."""
        return set() if self._control is None else self._control.config_sigs()

    def get_deadtime(self, config_values: SignalDict) -> float:
        """Return the dead time that the control tells, in seconds."""
        if self._control is None:
            raise NotImplementedError("std-daq does not know the dead time of the detector; give its trigger_control")
        return self._control.get_deadtime(config_values)

    async def prepare_internal(self, num: int, livetime: float, deadtime: float) -> None:
        """Prepare for images that the detector takes by itself."""
        self._note(num, livetime, deadtime)
        if self._control is not None:
            await self._control.prepare_internal(num, livetime, deadtime)

    async def prepare_edge(self, num: int, livetime: float) -> None:
        """Prepare for images that an edge starts."""
        self._note(num, livetime, 0.0)
        if self._control is not None:
            await self._control.prepare_edge(num, livetime)

    async def prepare_level(self, num: int) -> None:
        """Prepare for images that a level starts and ends."""
        self._note(num, 0.0, 0.0)
        if self._control is not None:
            await self._control.prepare_level(num)

    def _note(self, num: int, livetime: float, deadtime: float) -> None:
        if self._control is None and (livetime or deadtime):
            raise ValueError(
                f"livetime={livetime:g}, deadtime={deadtime:g}: std-daq records what the detector sends and sets no "
                "times; leave them at 0, or give the detector's trigger_control"
            )
        self._recorder.n_images = num


class RecordImages(DetectorAcquireLogic):
    """Requests a run before the detector starts, and waits for its verdict.

    Parameters
    ----------
    recorder
        Requests the runs.
    control
        Logic of what starts and stops the detector; None: the detector sends images by itself.
    """

    def __init__(self, recorder: ScanRecorder, control: DetectorAcquireLogic | None) -> None:
        self._recorder = recorder
        self._control = control

    async def ensure_ready(self) -> None:
        """End what an earlier scan has left."""
        await self._recorder.stop()
        if self._control is not None:
            await self._control.ensure_ready()

    async def start_acquiring(self) -> None:
        """Request a run unless the prepared one goes on, then start the detector."""
        if self._recorder.is_running:
            return
        await self._recorder.start()
        if self._control is not None:
            await self._control.start_acquiring()

    async def wait_for_idle(self) -> None:
        """Wait for the verdict, then for the detector."""
        await self._recorder.wait_end()
        if self._control is not None:
            await self._control.wait_for_idle()

    async def ensure_stopped(self) -> None:
        """Stop the detector, and kill the run if it has not ended."""
        try:
            if self._control is not None:
                await self._control.ensure_stopped()
        finally:
            await self._recorder.stop()


class RecordedFiles(DetectorDataLogic):
    """Begins the documents of a scan.

    Parameters
    ----------
    recorder
        Requests the runs.
    make_documents
        Makes them, given the name of the data key.
    """

    def __init__(self, recorder: ScanRecorder, make_documents: Callable[[str], FileDocuments]) -> None:
        self._recorder = recorder
        self._make_documents = make_documents

    async def prepare_unbounded(self, datakey_name: str) -> StreamableDataProvider:
        """Return the documents of a new scan."""
        documents = self._make_documents(datakey_name)
        self._recorder.new_scan(documents, datakey_name)
        return documents

    def get_hinted_fields(self, datakey_name: str) -> Sequence[str]:
        """Return the key of the images."""
        return [datakey_name]
