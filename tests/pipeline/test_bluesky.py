"""Scans of bluesky with a simulated detector: real services, a real RunEngine, images read back by the documents."""

import asyncio
import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import event_model
import h5py
import hdf5plugin  # noqa: F401  (registers the filter of compressed images)
import numpy as np
import pytest
from bluesky.run_engine import RunEngine
from bluesky.utils import FailedStatus, RunEngineInterrupted
from numpy.typing import NDArray
from ophyd_async.core import (
    DetectorAcquireLogic,
    DetectorTrigger,
    DetectorTriggerLogic,
    StaticFilenameProvider,
    StaticPathProvider,
    TriggerInfo,
    init_devices,
)
from ophyd_async.sim import SimMotor

from std_daq.bluesky import RunOutcomeError, StdDaqDetector
from std_daq.imaging.detectors.registry import open_detector
from std_daq.recording.requests import Verdict
from std_test_kit.beamline import Beamline
from std_test_kit.beamline_documents import beamline_document
from std_test_kit.expected_images import expected_image
from std_test_kit.shared_place import SharedPlace
from std_test_kit.wait import wait_until

pytestmark = pytest.mark.timeout(240)

Document = dict[str, Any]
N_DIFFERENT = 6
EXPOSURE_TIMEOUT_S = 60


class SimulatedControl(DetectorAcquireLogic, DetectorTriggerLogic):
    """What arms the detector: sends the packets of as many images as were asked for, but for `n_left_out` amid them.

    Its frame numbers begin with `first`.
    """

    def __init__(self, config_file: Path, first: int) -> None:
        self.config_file = config_file
        self.n_images = 0
        self.n_left_out = 0
        self.n_acquired = 0
        self.first = self._first = first
        self._process: asyncio.subprocess.Process | None = None

    async def prepare_internal(self, num: int, livetime: float, deadtime: float) -> None:
        self.n_images = num

    async def prepare_edge(self, num: int, livetime: float) -> None:
        self.n_images = num

    async def start_acquiring(self) -> None:
        self.n_acquired += 1
        before = (self.n_images - self.n_left_out) // 2
        commands = [self._simulate(self._first, before)] if self.n_left_out else []
        skipped = before + self.n_left_out if self.n_left_out else 0
        commands.append(self._simulate(self._first + skipped, self.n_images - skipped))
        self._first += self.n_images
        *others, last = map(shlex.join, commands)
        text = " && ".join([*others, f"exec {last}"])
        self._process = await asyncio.create_subprocess_shell(text, stdout=asyncio.subprocess.DEVNULL)

    def _simulate(self, first: int, n_images: int) -> list[str]:
        options = {"config": self.config_file, "n-images": n_images, "rate-hz": 40, "first-frame": first}
        arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
        return [sys.executable, "-m", "std_daq.cli", "simulate", "--pattern", "counter", *arguments]

    @property
    def next(self) -> int:
        """The frame number with which the next series begins."""
        return self._first

    async def wait_for_idle(self) -> None:
        assert self._process is not None
        assert await self._process.wait() == 0

    async def ensure_stopped(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


def patient_info(**fields: Any) -> TriggerInfo:
    """Return what a detector is prepared for, with time enough for a machine that has much else to do."""
    return TriggerInfo(exposure_timeout=EXPOSURE_TIMEOUT_S, **fields)


def one_shot(detectors: Sequence[StdDaqDetector]) -> Iterator[Any]:
    for detector in detectors:
        yield from bps.prepare(detector, patient_info(), wait=True)
    yield from bps.one_shot(detectors)


class Documents:
    """The documents of a scan, checked against their schemas, and what they say."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Document]] = []

    def __call__(self, name: str, document: Document) -> None:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(document)
        self.all.append((name, document))

    def of(self, name: str) -> list[Document]:
        return [document for kind, document in self.all if kind == name]

    def read(self, data_key: str) -> dict[int, NDArray[Any]]:
        """Read what belongs to each event, by its number, from the files that the documents name."""
        (descriptor,) = [one for one in self.of("descriptor") if data_key in one["data_keys"]]
        described = descriptor["data_keys"][data_key]
        resources = {one["uid"]: one for one in self.of("stream_resource") if one["data_key"] == data_key}
        found: dict[int, NDArray[Any]] = {}
        for datum in self.of("stream_datum"):
            resource = resources.get(datum["stream_resource"])
            if resource is None:
                continue
            n_rows = described["shape"][0]
            with h5py.File(unquote(urlparse(resource["uri"]).path)) as file:
                dataset = file[resource["parameters"]["dataset"]]
                assert dataset.chunks == tuple(resource["parameters"]["chunk_shape"])
                assert dataset.dtype.str == described["dtype_numpy"]
                indices, numbers = datum["indices"], datum["seq_nums"]
                for index, number in zip(
                    range(indices["start"], indices["stop"]),
                    range(numbers["start"], numbers["stop"]),
                    strict=True,
                ):
                    found[number] = dataset[index * n_rows : (index + 1) * n_rows]
                    assert list(found[number].shape) == described["shape"]
        return found


@dataclass
class Station:
    """A beamline that the tests share, and the number of the next frame of its detector."""

    beamline: Beamline
    root: Path
    next_frame: int = 1


@pytest.fixture(scope="module")
def station(broker_url: str, shared_place: SharedPlace) -> Iterator[Station]:
    root = shared_place.folder / "data"
    root.mkdir()
    writer = {"output_roots": [str(root)], "image_timeout_s": 15.0}
    one_module = {"n_modules": 1, "image_pixel_height": 512, "module_positions": {}, "ram_buffer_gb": 0.2}
    document = beamline_document(
        "jungfrau", shared_place.name, root, shared_place.shm_dir,
        **one_module, detector={"conversion": "raw"}, writer=writer,
    )  # fmt: skip
    with Beamline(shared_place.folder, broker_url, document) as beamline:
        yield Station(beamline, root)


@pytest.fixture
def beamline(station: Station) -> Beamline:
    return station.beamline


@pytest.fixture
def folder(station: Station, request: pytest.FixtureRequest) -> Path:
    """Where the files of a test lie."""
    made: Path = station.root / f"{abs(hash(request.node.nodeid)):x}"
    made.mkdir()
    return made


async def cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def engine() -> Iterator[RunEngine]:
    made = RunEngine(call_returns_result=True)
    yield made
    # The engine leaves what an aborted plan was waiting for.
    asyncio.run_coroutine_threadsafe(cancel_others(), made.loop).result(10)
    made.loop.call_soon_threadsafe(made.loop.stop)
    made._th.join()
    made.loop.close()


@pytest.fixture
def documents(engine: RunEngine) -> Documents:
    made = Documents()
    engine.subscribe(made)
    return made


@pytest.fixture
def control(station: Station) -> Iterator[SimulatedControl]:
    made = SimulatedControl(station.beamline.config_file, station.next_frame)
    yield made
    station.next_frame = made.next


def make_detector(beamline: Beamline, control: SimulatedControl | None, folder: Path, **request: Any) -> StdDaqDetector:
    paths = StaticPathProvider(StaticFilenameProvider("scan"), folder)
    with init_devices():
        detector = StdDaqDetector(
            beamline.config_file,
            paths,
            "jungfrau",
            acquire_control=control,
            trigger_control=control,
            broker_url=beamline.broker_url,
            **request,
        )
    return detector  # noqa: RET504 - it has its name only behind the context


@pytest.fixture
def detector(engine: RunEngine, beamline: Beamline, control: SimulatedControl, folder: Path) -> StdDaqDetector:
    return make_detector(beamline, control, folder)


@pytest.fixture
def sent(beamline: Beamline) -> list[NDArray[Any]]:
    """The images of each series that is simulated."""
    device = open_detector(beamline.config)
    converter = device.converter()
    raw = islice(device.simulated_frames("counter", 0), N_DIFFERENT)
    return [expected_image(device, converter, image, number, {}) for number, image in enumerate(raw, 1)]


@pytest.mark.long
def test_each_point_of_a_step_scan_has_its_images_in_a_file_of_its_own(
    engine: RunEngine, detector: StdDaqDetector, documents: Documents, sent: list[NDArray[Any]],
    control: SimulatedControl,
) -> None:  # fmt: skip
    with init_devices():
        motor = SimMotor("motor", instant=True)

    def prepared() -> Iterator[Any]:
        yield from bps.stage(detector)
        yield from bps.prepare(detector, patient_info(collections_per_event=3), wait=True)

    def scan() -> Iterator[Any]:
        @bpp.run_decorator()
        def points() -> Iterator[Any]:
            for position in (0.0, 1.0, 2.0):
                yield from bps.mv(motor, position)
                yield from bps.trigger_and_read([detector, motor])

        yield from prepared()
        yield from points()
        yield from bps.unstage(detector)

    engine(scan())
    images = documents.read("jungfrau")
    assert sorted(images) == [1, 2, 3]
    for of_event in images.values():
        np.testing.assert_array_equal(of_event, sent[:3])
    ids = documents.read("jungfrau-image_id")
    first = control.first
    assert [list(ids[number]) for number in (1, 2, 3)] == [list(range(first + n, first + n + 3)) for n in (0, 3, 6)]
    assert not np.concatenate(list(documents.read("jungfrau-status").values())).any()
    files = {Path(one["uri"]).name for one in documents.of("stream_resource")}
    assert files == {"scan_000001.h5", "scan_000002.h5", "scan_000003.h5"}
    assert detector.last_report is not None
    assert detector.last_report.verdict is Verdict.COMPLETE


@pytest.mark.long
def test_plan_of_bluesky_counts_single_images(
    engine: RunEngine, beamline: Beamline, control: SimulatedControl, documents: Documents, sent: list[NDArray[Any]],
    folder: Path,
) -> None:  # fmt: skip
    detector = make_detector(beamline, control, folder, compression="bslz4")
    engine(bp.count([detector], num=2, per_shot=one_shot))
    assert {number: image.shape for number, image in documents.read("jungfrau").items()} == {
        1: (1, 512, 1024),
        2: (1, 512, 1024),
    }
    np.testing.assert_array_equal(documents.read("jungfrau")[2][0], sent[0])
    assert documents.of("descriptor")[0]["configuration"]["jungfrau"]["data"] == {
        "jungfrau-detector_name": beamline.config.name
    }
    with h5py.File(folder / "scan_000001.h5") as file:
        assert "32008" in file["/entry/data/data"]._filters


@pytest.mark.long
@pytest.mark.parametrize("trigger", [DetectorTrigger.INTERNAL, DetectorTrigger.EXTERNAL_EDGE])
def test_flight_is_one_file_and_is_told_while_it_is_written(
    trigger: DetectorTrigger, engine: RunEngine, detector: StdDaqDetector, documents: Documents,
    control: SimulatedControl, sent: list[NDArray[Any]],
) -> None:  # fmt: skip
    n_events = 160 if trigger is DetectorTrigger.INTERNAL else 3  # 8 s, told each second
    engine(flight(detector, patient_info(number_of_events=n_events, collections_per_event=2, trigger=trigger)))
    images = documents.read("jungfrau")
    assert sorted(images) == list(range(1, n_events + 1))
    for number in (1, 2, 3):
        np.testing.assert_array_equal(images[number], sent[2 * number - 2 : 2 * number])
    ids = np.concatenate([documents.read("jungfrau-image_id")[number] for number in sorted(images)])
    assert list(ids) == list(range(control.first, control.first + 2 * n_events))
    of_pixels = [one["uid"] for one in documents.of("stream_resource") if one["data_key"] == "jungfrau"]
    n_told = sum(one["stream_resource"] in of_pixels for one in documents.of("stream_datum"))
    assert len(of_pixels) == 1
    assert n_told > 1 or trigger is not DetectorTrigger.INTERNAL
    assert control.n_acquired == 1


def flight(detector: StdDaqDetector, info: TriggerInfo) -> Iterator[Any]:
    @bpp.stage_decorator([detector])
    @bpp.run_decorator()
    def fly() -> Iterator[Any]:
        yield from bps.prepare(detector, info, wait=True)
        yield from bps.declare_stream(detector, name="main", collect=True)
        yield from bps.kickoff(detector, wait=True)
        yield from bps.collect_while_completing([detector], [detector], flush_period=0.3, stream_name="main")

    yield from fly()


def cause_of(error: BaseException | None) -> BaseException | None:
    while error is not None and not isinstance(error, RunOutcomeError):
        error = error.__cause__ or error.__context__ or next((a for a in error.args if isinstance(a, Exception)), None)
    return error


@pytest.mark.long
def test_lost_images_fail_the_flight_and_are_named(
    engine: RunEngine, detector: StdDaqDetector, documents: Documents, control: SimulatedControl
) -> None:
    control.n_left_out = 2
    with pytest.raises(FailedStatus) as failed:
        engine(flight(detector, patient_info(number_of_events=10)))
    error = cause_of(failed.value)
    assert isinstance(error, RunOutcomeError)
    assert (error.report.verdict, error.report.n_written, error.report.n_lost) == (Verdict.INCOMPLETE, 8, 2)
    assert set(documents.read("jungfrau")) <= set(range(1, 5))
    assert documents.of("stop")[0]["exit_status"] == "fail"


def test_refused_path_fails_the_trigger_with_the_reason_of_the_agent(
    engine: RunEngine, beamline: Beamline, control: SimulatedControl, documents: Documents, tmp_path: Path
) -> None:
    detector = make_detector(beamline, control, tmp_path)
    with pytest.raises(FailedStatus) as failed:
        engine(bp.count([detector], per_shot=one_shot))
    error = cause_of(failed.value)
    assert isinstance(error, RunOutcomeError)
    assert error.report.verdict is Verdict.REFUSED
    assert str(tmp_path) in str(error)
    assert control.n_acquired == 0
    assert not documents.of("stream_resource")


@pytest.mark.long
def test_scan_that_is_aborted_kills_its_run_and_keeps_what_was_written(
    engine: RunEngine, beamline: Beamline, detector: StdDaqDetector, control: SimulatedControl, folder: Path
) -> None:
    def interrupt() -> None:
        wait_until(lambda: (folder / "scan_000001.h5").exists(), 30)
        engine.request_pause()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(RunEngineInterrupted):
        engine(flight(detector, patient_info(number_of_events=2000)))
    thread.join()
    engine.abort("test")
    assert detector.last_report is not None
    assert detector.last_report.verdict is Verdict.KILLED
    with h5py.File(folder / "scan_000001.h5") as file:
        assert file["/entry/std_daq/verdict"][()] == b"killed"
        assert 0 < len(file["/entry/data/data"]) < 2000
    # The next scan begins anew.
    (folder / "scan_000001.h5").unlink()
    engine(bp.count([detector], per_shot=one_shot))
    assert detector.last_report.verdict is Verdict.COMPLETE


@pytest.mark.long
def test_flight_without_an_end_is_ended_by_its_completion(
    engine: RunEngine, detector: StdDaqDetector, control: SimulatedControl
) -> None:
    @bpp.stage_decorator([detector])
    @bpp.run_decorator()
    def fly() -> Iterator[Any]:
        yield from bps.prepare(detector, patient_info(number_of_events=0), wait=True)
        control.n_images = 400
        yield from bps.kickoff(detector, wait=True)
        yield from bps.sleep(2)
        control.n_images = 0
        yield from bps.complete(detector, wait=True)

    engine(fly())
    assert detector.last_report is not None
    assert detector.last_report.verdict is Verdict.KILLED
    assert detector.last_report.n_lost == 0


def test_wrong_calls_say_what_to_do(engine: RunEngine, beamline: Beamline, tmp_path: Path) -> None:
    paths = StaticPathProvider(StaticFilenameProvider("scan"), tmp_path)
    with pytest.raises(ValueError, match="n_images: these keys of the request are set by the scan"):
        StdDaqDetector(beamline.config_file, paths, n_images=3)
    detector = make_detector(beamline, None, tmp_path)
    with pytest.raises(FailedStatus) as failed:
        engine(bps.prepare(detector, TriggerInfo(livetime=0.1), wait=True))
    assert "sets no times" in repr(failed.value.__cause__ or failed.value)
