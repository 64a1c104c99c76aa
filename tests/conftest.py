"""Fixtures that several kinds of tests use."""

import gc
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import structlog
from hypothesis import HealthCheck, settings
from zmq.utils.garbage import GarbageCollectorThread

from std_daq.amqp.address import FILE_VARIABLE, VARIABLE
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_test_kit.broker_container import BrokerContainer, find_image
from std_test_kit.exchanges import declare_exchanges
from std_test_kit.shared_place import SharedPlace
from std_test_kit.small_disk import SmallDisk, can_mount

# Test sessions side by side on one machine keep apart.
SHM_PREFIX = f"std-daq-test-{os.getpid()}-"


PIPELINES = {Path(__file__).parent / "pipeline", Path(__file__).parent / "browser"}
LAST_PIPELINE = 0.75  # of the other files are begun before the last pipeline

# A pause of the machine makes no property wrong. All else is as Hypothesis has it, which knows whether this is CI.
settings.register_profile("std-daq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("std-daq")

BROKER_IMAGE = pytest.StashKey[str | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--broker",
        choices=("auto", "container", "node"),
        default="auto",
        help="RabbitMQ of the tests: a throwaway container, or a throwaway node of the machine's own installation; "
        "auto takes the container where there are an engine and an image (docker/build.sh makes it)",
    )
    parser.addoption("--requests", type=int, default=100, help="write requests of the test with kills; 1000 in CI")
    parser.addoption("--seed", type=int, default=1, help="which kills and when")
    parser.addoption("--every-effect", action="store_true", help="kill the agent around each of its effects, not some")
    parser.addoption(
        "--alone",
        choices=("with", "without", "only"),
        default="with",
        help="tests of that mark with the others, or not",
    )
    parser.addoption(
        "--require-containers", action="store_true", help="fail tests that need containers where none can be started"
    )


def pytest_configure(config: pytest.Config) -> None:
    wanted = config.getoption("broker")
    image = None if wanted == "node" else find_image()
    if wanted == "container" and image is None:
        raise pytest.UsageError("--broker container: no engine, or no RabbitMQ image (docker/build.sh makes one)")
    config.stash[BROKER_IMAGE] = image


def pytest_report_header(config: pytest.Config) -> str:
    image = config.stash[BROKER_IMAGE]
    if image is not None:
        return f"broker: a throwaway container of {image}"
    why = "" if config.getoption("broker") == "node" else " (no engine with a RabbitMQ image here)"
    return f"broker: a throwaway node{why}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what ``--alone`` says, and put the others in the order in which processes share them best."""
    wanted = config.getoption("alone")
    if wanted != "with":
        left_out = [item for item in items if (item.get_closest_marker("alone") is None) == (wanted == "only")]
        others = {*left_out}
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=left_out)
    if hasattr(config, "workerinput"):
        _mix(items)


def _mix(items: list[pytest.Item]) -> None:
    """Put the files that mostly wait among those that mostly compute.

    The pipelines come early enough that no long one is left to a single process at the end.
    """
    files = list(dict.fromkeys(item.path for item in items))
    pipelines = [file for file in files if PIPELINES & {*file.parents}]
    others = [file for file in files if not PIPELINES & {*file.parents}]
    places = {file: index / len(pipelines) * LAST_PIPELINE for index, file in enumerate(pipelines)}
    places |= {file: index / len(others) for index, file in enumerate(others)}
    items.sort(key=lambda item: places[item.path])


@pytest.fixture(scope="session")
def broker_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """URL of one real RabbitMQ for all tests; each test uses a tag of its own."""
    image = pytestconfig.stash[BROKER_IMAGE]
    with ThrowawayBroker() if image is None else BrokerContainer(image) as broker:
        declare_exchanges(broker.url)
        yield broker.url


@pytest.fixture(autouse=True)
def _no_broker_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the broker that the caller's environment may name."""
    for variable in (VARIABLE, FILE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def _logs_of_each_test_are_its_own() -> Iterator[None]:
    """Undo what a command did to the logs: it sends them to the standard error of its test."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> str:
    """Tag that no other test uses."""
    return f"t{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def shm_dir() -> Iterator[Path]:
    """A directory of shared memory for one test."""
    path = Path(tempfile.mkdtemp(prefix=SHM_PREFIX, dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory for one test, short enough for sockets, that services find by the environment."""
    path = Path(tempfile.mkdtemp(prefix="sdt-"))
    monkeypatch.setenv("STD_DAQ_RUNTIME_DIR", str(path))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def shared_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedPlace]:
    """The place of services that the tests of a module share; fails if they leave something behind.

    Services find its runtime directory by the environment, unless a test has one of its own (``runtime``).
    """
    before = _resources()
    shm_dir = Path(tempfile.mkdtemp(prefix=SHM_PREFIX, dir="/dev/shm"))
    runtime_dir = Path(tempfile.mkdtemp(prefix="sdt-"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STD_DAQ_RUNTIME_DIR", str(runtime_dir))
        for variable in (VARIABLE, FILE_VARIABLE):
            environment.delenv(variable, raising=False)
        yield SharedPlace(tmp_path_factory.mktemp("shared"), shm_dir, f"t{abs(hash(request.node.nodeid)) % 10**8}")
    shutil.rmtree(shm_dir)
    shutil.rmtree(runtime_dir)
    left = _wait_for(lambda: _resources() - before, until_empty_s=3.0)
    assert not left, f"the tests of the module left behind: {sorted(left)}"


@pytest.fixture
def mount_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is not there yet and on which a test mounts a `SmallDisk`; skips the test if it may not mount."""
    if not can_mount(tmp_path):
        pytest.skip("only root mounts")
    folder = tmp_path / "disk"
    yield folder
    if folder.is_mount():
        SmallDisk(folder).close()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, a child process, a socket or a file in shared memory behind."""
    before = _resources()
    yield
    left = _wait_for(lambda: _resources() - before, until_empty_s=3.0)
    assert not left, f"the test left behind: {sorted(left)}"


def _resources() -> set[str]:
    found = {f"thread {thread.name}" for thread in threading.enumerate() if not _is_of_the_process(thread)}
    found |= {f"process {child.pid} {' '.join(child.cmdline()[:4])}" for child in _children()}
    found |= {f"shm {path.name}" for path in Path("/dev/shm").glob(f"{SHM_PREFIX}*")}
    return found | {f"fd {target}" for target in _open_sockets_and_rings()}


def _is_of_the_process(thread: threading.Thread) -> bool:
    """Return whether a thread is pytest's, or that of pyzmq, which a large message not copied starts."""
    return thread.name.startswith("pytest") or isinstance(thread, GarbageCollectorThread)


def _children() -> list[psutil.Process]:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []  # known at once, while a look at all processes takes milliseconds
    children = []
    for child in psutil.Process().children():
        try:
            if child.status() != psutil.STATUS_ZOMBIE:
                children.append(child)
        except psutil.NoSuchProcess:
            continue
    return children


def _open_sockets_and_rings() -> set[str]:
    targets = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue
        if target.startswith(("socket:", "/dev/shm")):
            targets.add(target)
    return targets


def _wait_for(left: Callable[[], set[str]], until_empty_s: float) -> set[str]:
    deadline = time.monotonic() + until_empty_s
    found = left()
    while found and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
        found = left()
    return found
