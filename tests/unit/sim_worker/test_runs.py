import itertools
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.errors import ResourceError
from std_daq.photons.backend import Channels
from std_daq.photons.protocol import digest_of, photon_request
from std_daq.photons.records import HIT, PHOTON
from std_sim_worker.runs.hdf5_file import write_hdf5
from std_sim_worker.runs.root_file import write_root
from std_sim_worker.runs.run_folder import RunFolder
from std_sim_worker.runs.run_name import run_name
from std_sim_worker.runs.runs import Runs
from std_test_kit.root_files import open_root
from std_test_kit.wait import wait_until

CHANNELS = Channels(np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 2], np.int32))


def hits(n: int) -> NDArray[np.void]:
    found = np.zeros(n, HIT)
    found["channel"] = np.arange(n)
    found["time"] = 0.5
    found["flags"] = 5
    return found


def request(event_id: int, n_photons: int = 2) -> list[bytes]:
    return photon_request(event_id, np.full(n_photons, event_id, PHOTON))


def digest(event_id: int) -> bytes:
    return digest_of(request(event_id))


@pytest.fixture
def open_run(tmp_path: Path) -> Iterator[Callable[[], RunFolder]]:
    opened: list[RunFolder] = []

    def open_it() -> RunFolder:
        if opened:
            opened.pop().close()  # as the kernel does for a process that is killed
        opened.append(RunFolder(tmp_path / "a.charon.run"))
        return opened[0]

    yield open_it
    opened.pop().close()


def test_run_goes_on_where_it_was_when_the_worker_was_killed(open_run: Callable[[], RunFolder]) -> None:
    run = open_run()
    for event_id in range(3):
        run.add(digest(event_id), request(event_id))
    run.store(digest(0), 0, hits(4))
    run = open_run()
    assert (run.n_received, run.n_done, list(run.waiting())) == (3, 1, [1, 2])
    assert run.digests == {digest(event_id) for event_id in range(3)}
    assert run.request(2)[0] == digest(2)
    assert run.photons(2).tobytes() == np.full(2, 2, PHOTON).tobytes()
    assert [(event_id, len(found)) for event_id, found in run.rows()] == [(0, 4)]


def test_row_that_was_not_written_to_its_end_is_cut_off_and_simulated_again(
    open_run: Callable[[], RunFolder], tmp_path: Path
) -> None:
    run = open_run()
    run.add(digest(0), request(0))
    run.add(digest(1), request(1))
    run.store(digest(0), 0, hits(4))
    file = tmp_path / "a.charon.run" / "hits"
    whole = file.read_bytes()
    for n_bytes in (1, 30, len(whole) - 1):
        file.write_bytes(whole + whole[:n_bytes])
        run = open_run()
        assert (run.n_done, run.n_received) == (1, 2)
        assert file.read_bytes() == whole


def test_event_whose_hits_are_there_is_not_simulated_again(open_run: Callable[[], RunFolder], tmp_path: Path) -> None:
    run = open_run()
    run.add(digest(0), request(0))
    stored = tmp_path / "a.charon.run" / "requests" / "000000000000"
    content = stored.read_bytes()
    run.store(digest(0), 0, hits(1))
    stored.write_bytes(content)  # killed between the two
    assert open_run().is_done
    assert not stored.exists()


def test_event_that_was_being_stored_was_not_accepted(open_run: Callable[[], RunFolder], tmp_path: Path) -> None:
    open_run()
    (tmp_path / "a.charon.run" / "making").write_bytes(b"half an event")
    assert open_run().n_received == 0


def test_starts_without_an_event_do_not_count(open_run: Callable[[], RunFolder]) -> None:
    assert [open_run().n_starts for _ in range(7)] == [1] * 7
    open_run().add(digest(0), request(0))
    assert open_run().n_starts == 2


def test_starts_are_counted_until_an_event_is_done(open_run: Callable[[], RunFolder]) -> None:
    run = open_run()
    run.add(digest(0), request(0))
    run.add(digest(1), request(1))
    assert [open_run().n_starts for _ in range(3)] == [2, 3, 4]
    open_run().store(digest(0), 0, hits(1))
    assert [open_run().n_starts for _ in range(2)] == [1, 2]


def test_hits_that_found_no_room_leave_no_half_row(open_run: Callable[[], RunFolder], tmp_path: Path) -> None:
    run = open_run()
    for event_id in range(2):
        run.add(digest(event_id), request(event_id))
    run.store(digest(0), 0, hits(4))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    n_bytes = (tmp_path / "a.charon.run" / "hits").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes + 50, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            run.store(digest(1), 1, hits(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert run.waiting() == range(1, 2)
    run.store(digest(1), 1, hits(100))
    assert [len(found) for _, found in open_run().rows()] == [4, 100]


def test_run_of_another_worker_is_left_alone(open_run: Callable[[], RunFolder], tmp_path: Path) -> None:
    open_run()
    with pytest.raises(ResourceError, match="another worker"):
        RunFolder(tmp_path / "a.charon.run")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (b"output.root", "output"),
        (b"/data/a.ntuple.root", "a"),
        (b"../../x", "x"),
        (b"..", "output"),
        (b"a/..", "output"),
        (b"c:\\data\\x.root", "x"),
        (b"", "output"),
        (b".root", "output"),
        (b"\xff", "output"),
        (b"a\0b\n", "a_b_"),
        ("müon".encode(), "müon"),
        (b"dir/", "dir"),
    ],
)
def test_name_of_a_run(given: bytes, name: str) -> None:
    assert run_name(given) == name


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode(errors="replace"))))
def test_no_name_leads_out_of_the_directory_or_is_too_long(given: bytes) -> None:
    name = run_name(given)
    path = Path("/out") / f"{name}.charon.ntuple.root"
    assert path.resolve().parent == Path("/out")
    assert len(path.name.encode()) < 255


def rows() -> list[tuple[int, NDArray[np.void]]]:
    return [(number * 3, hits(number % 4)) for number in range(1100)]


def test_root_file_has_a_row_for_each_event_and_the_counters_that_the_client_reads(tmp_path: Path) -> None:
    write_root(tmp_path / "a.root", CHANNELS, rows())
    with open_root(tmp_path / "a.root") as file:
        output = file["output"].arrays(library="np")
        detinfo = file["detinfo"].arrays(library="np")
        types = {name: file["output"][name].typename for name in ("event_id", "channel_id", "flag", "pol_x")}
    assert output["event_id"].tolist() == [number * 3 for number in range(1100)]
    assert output["nchannel_id"].tolist() == [number % 4 for number in range(1100)]
    assert output["channel_id"][3].tolist() == [0, 1, 2]
    assert types == {"event_id": "uint32_t", "channel_id": "uint32_t[]", "flag": "uint32_t[]", "pol_x": "float[]"}
    assert detinfo["pmt_y"].tolist() == [1, 4]
    assert detinfo["pmt_type"].tolist() == [1, 2]


@pytest.mark.parametrize("events", [[], [(7, hits(0))]])
def test_root_file_of_a_run_without_hits(tmp_path: Path, events: list[tuple[int, NDArray[np.void]]]) -> None:
    write_root(tmp_path / "a.root", CHANNELS, events)
    with open_root(tmp_path / "a.root") as file:
        assert file["output"].num_entries == len(events)


def test_hdf5_file_has_the_hits_of_each_event(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "a.h5", CHANNELS, rows()[:9])
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["output/n_hits"][:].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
        assert file["output/channel"][:].tolist() == [0, 0, 1, 0, 1, 2] * 2
        assert file["detinfo/pmt_z"][:].tolist() == [2, 5]


def test_file_of_an_earlier_run_is_kept_and_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    problems = [OSError("no space left")]

    def write(path: Path, channels: Channels, found: object) -> None:
        if problems:
            raise problems.pop()
        write_root(path, channels, found)  # type: ignore[arg-type]

    (tmp_path / "a.root").write_bytes(b"earlier")
    runs = Runs(tmp_path, ".root", write, CHANNELS)
    runs.begin("a")
    runs.begin("a")  # the client asks again when it has no answer
    run = runs.run_for_event()
    run.add(digest(0), request(0))
    assert runs.knows(digest(0))
    runs.end()
    assert runs.knows(digest(0))
    run.store(digest(0), 0, hits(2))
    now_s = itertools.count(step=20)

    def is_written() -> bool:
        runs.step(next(now_s))
        return not runs.ended

    wait_until(is_written, 10)
    assert not problems
    assert (tmp_path / "a.1.root").read_bytes() == b"earlier"
    with open_root(tmp_path / "a.root") as file:
        assert file["output"].num_entries == 1
    runs.close(1.0)
