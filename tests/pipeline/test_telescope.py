"""A telescope through all services: packets of its boards, images, files of both formats, live view."""

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_daq.imaging.files.validate import validate
from std_daq.telescope.pff import PRODUCTS, PffFile
from std_daq.telescope.pff.hdf5_copy import copy_to_hdf5
from std_daq.telescope.pff.header import HeaderForm
from std_daq.telescope.pff.writer import PffWriter, encode_frame
from std_test_kit.beamline import Beamline
from std_test_kit.daqdata_clients import TableClient
from std_test_kit.free_ports import free_udp_ports
from std_test_kit.live_view_process import LiveViewProcess
from std_test_kit.shared_data import REAL_TELESCOPE, needs_data
from std_test_kit.telescope_boards import Boards, board_packet, telescope_document
from std_test_kit.telescope_captures import write_capture
from std_test_kit.telescope_frames import START, as_frame, as_upload, make_run
from std_test_kit.wait import wait_until

OpenTelescope = Callable[..., Beamline]
REAL_PIXELS = "f764aa532f8778e9d98219a913e07d6ba8f24b5c2e3340dfad83983b7ca30a8f"
REAL_COUNTS = {(254, 0): 161, (254, 1): 139, (254, 2): 61, (254, 3): 142}


@pytest.fixture
def open_telescope(
    tmp_path: Path, shm_dir: Path, runtime: Path, open_beamline: Callable[[dict[str, Any]], Beamline]
) -> OpenTelescope:
    """Starts the services of a telescope: ``open_telescope("img16", modules=(1, 2))``."""

    def start(product: str, changes: dict[str, Any] | None = None, **options: Any) -> Beamline:
        return open_beamline(
            telescope_document(product, name=f"tel{os.getpid()}", **options)
            | {
                "start_udp_port": free_udp_ports(1),
                "ram_buffer_gb": 0.01,
                "shared_memory": {"directory": str(shm_dir), "frame_buffer_gb": 0.02},
                "writer": {"output_roots": [str(tmp_path)], "min_free_gb": 0, "image_timeout_s": 5.0},
                "udp": {"address": "127.0.0.1"},
            }
            | (changes or {})
        )

    return start


def comparable(image: Any) -> dict[str, Any]:
    """Return of an image of the live view what its way must not change."""
    fields = ("type", "image_array", "shape", "bytes_per_pixel", "module_id")
    return {name: getattr(image, name) for name in fields} | {"header": image.header.SerializeToString(True)}


@contextlib.contextmanager
def live_view(**config: Any) -> Iterator[tuple[LiveViewProcess, TableClient]]:
    with LiveViewProcess(**config) as process, TableClient(process.target) as client:
        yield process, client


@pytest.mark.long
@pytest.mark.parametrize("product", ["ph256", "img16"])
def test_same_images_reach_a_client_by_packets_upload_socket_and_file(
    product: str, open_telescope: OpenTelescope, tmp_path: Path
) -> None:
    of = PRODUCTS[product]
    beamline = open_telescope(product, orientation="none")
    sources = {
        "unix_sockets": {"path_template": "sock_{dp_name}"},
        "run_directory": {"method": "poll"},
        "image_buffers": [{"config": str(beamline.config_file)}],
    }
    sent = [(0, 1), (1, 254), (2, 1), (3, 300)]
    data_dir = tmp_path / "data"
    runs = {module: make_run(data_dir, module) for module in {module for _, module in sent}}
    with live_view(sources=sources) as (process, client), Boards(of, beamline.config.start_udp_port) as boards:
        client.init(data_dir=str(data_dir))
        stream = client.stream(update_interval_seconds=0.001)
        wait_until(lambda: _n_streams(client) == 1, 10.0)
        by_packets = []
        for number, module in sent:
            boards.send(number, module)
            by_packets.append(next(stream).pano_image)
        for (number, module), image in zip(sent, by_packets, strict=True):
            bits = np.array(image.image_array, np.uint32).astype(f"<u{of.dtype.itemsize}")
            assert bits.tobytes() == boards.pixels(number, module).tobytes()
            assert (image.module_id, image.file) == (module, f"udp_{product}")
        client.upload([client.image(**as_upload(image)) for image in by_packets])
        assert [comparable(next(stream).pano_image) for _ in sent] == [comparable(image) for image in by_packets]
        frames = [(image.module_id, *as_frame(image, of)) for image in by_packets]
        with socket.socket(socket.AF_UNIX) as producer:
            producer.connect(str(process.folder / f"sock_{product}"))
            for expected, (module, header, pixels) in zip(by_packets, frames, strict=True):
                producer.sendall(module.to_bytes(2, "big") + encode_frame(pixels, header, of, HeaderForm.SOCKET))
                assert comparable(next(stream).pano_image) == comparable(expected)
        with contextlib.ExitStack() as writers:
            files = {
                module: writers.enter_context(PffWriter(folder, of, module, START)) for module, folder in runs.items()
            }
            for expected, (module, header, pixels) in zip(by_packets, frames, strict=True):
                files[module].write(pixels, header)
                files[module].flush()
                assert comparable(next(stream).pano_image) == comparable(expected)


def _n_streams(client: TableClient) -> int:
    from std_daq.telescope.daqdata import daq_data_pb2 as messages

    raw = client.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=5)
    return len(messages.StatusResponse.FromString(raw).clients)


@pytest.mark.parametrize("product", ["ph256", pytest.param("img8", marks=pytest.mark.long)])
def test_run_in_pff_has_what_a_run_of_the_same_images_in_hdf5_has(
    product: str, open_telescope: OpenTelescope, tmp_path: Path
) -> None:
    beamline = open_telescope(product, modules=(1, 254))
    index, hdf5 = tmp_path / "night.json", tmp_path / "night.h5"
    code, report = beamline.record(
        hdf5, ["--n-images", "40"], ["simulate", "--n-images", "40", "--rate-hz", "400", "--pattern", "counter"]
    )
    assert (code, report["verdict"], report["n_written"]) == (0, "complete", 40)
    assert validate(hdf5).is_valid
    wanted = ["--n-images", "40", "--start-image-id", "1", "--format", "pff", "--images-per-file", "8"]
    with beamline.write(index, *wanted) as writing:
        code, out, err = writing.finish(60.0)
    assert code == 0, err
    assert (json.loads(out)["verdict"], json.loads(out)["n_written"]) == ("complete", 40)
    told = json.loads(index.read_text())
    assert told["report"]["verdict"] == "complete"
    assert (told["format"], told["product"]) == ("pff", product)
    n_compared = 0
    for module in (1, 254):
        (run,) = (tmp_path / f"module_{module}").iterdir()
        assert run.name.startswith("obs_night.start_")
        assert run.name.endswith(".runtype_sci-data.pffd")
        assert (run / "recording_ended").read_text().endswith("Z\n")
        paths = sorted(run.glob("*.pff"), key=lambda path: int(path.name.split("seqno_")[1].split(".")[0]))
        assert {str(path.relative_to(tmp_path)) for path in paths} <= set(told["files"])
        for path in paths[:-1]:
            with PffFile(path) as file:
                assert (len(file), file.n_tail_bytes) == (8, 0)
        copy = tmp_path / f"{module}.h5"
        copy_to_hdf5(paths, copy)
        n_compared += assert_same(copy, hdf5, module)
        exit_code, out, _ = run_pff("info", paths[0])
        assert exit_code == 0
        assert product in out
    assert n_compared == 40


def run_pff(command: str, path: Path) -> tuple[int, str, str]:
    """Run ``std-daq pff``."""
    done = subprocess.run(
        [sys.executable, "-m", "std_daq.cli", "pff", command, str(path)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def assert_same(copy: Path, recorded: Path, module: int) -> int:
    """Compare a copy of PFF files with the images of the same module in an HDF5 file; returns their number."""
    with h5py.File(copy) as ours, h5py.File(recorded) as theirs:
        rows = theirs["/entry/frames/module_id"][:] == module
        assert np.array_equal(ours["/entry/data/data"][:], theirs["/entry/data/data"][:][rows])
        assert ours["/entry/frames/is_sound"][:].all()
        for name in ("quabo_num", "pkt_num", "pkt_tai", "pkt_nsec", "tv_sec", "tv_usec"):
            assert np.array_equal(ours[f"/entry/frames/{name}"][:], theirs[f"/entry/frames/{name}"][:][rows]), name
        for name in ("received_ns", "white_rabbit_ns"):
            times = ours[f"/entry/frames/{name}"][:]
            assert np.array_equal(times, theirs[f"/entry/frames/{name}"][:][rows]), name
            assert (times > 0).all(), "the simulated boards are synchronised"
        return int(rows.sum())


def test_lost_packets_are_in_the_verdict(open_telescope: OpenTelescope, tmp_path: Path) -> None:
    beamline = open_telescope("ph256", {"udp": {"address": "127.0.0.1", "idle_flush_s": 0.05}})
    ledger = tmp_path / "ledger.json"
    code, report = beamline.record(
        tmp_path / "lossy.h5",
        ["--n-images", "60"],
        ["simulate", "--n-images", "100", "--rate-hz", "500", "--loss", "0.2", "--ledger", str(ledger)],
    )
    assert (code, report["verdict"]) == (3, "incomplete")
    assert report["n_written"] + report["n_lost"] == 60
    with h5py.File(tmp_path / "lossy.h5") as file:
        frames = file["/entry/frames"]
        for quarter in range(4):
            of_board = frames["pkt_num"][:, 0][frames["quabo_num"][:, 0] == quarter].tolist()
            lost = sum(step - 1 for step in np.diff(of_board).tolist())
            assert lost <= report["n_lost"]
    assert 0 < report["n_lost"] <= len(json.loads(ledger.read_text())["lost"])


@pytest.mark.long
def test_capture_gives_the_images_of_its_boards_and_nothing_of_what_answers_quote(
    open_telescope: OpenTelescope, tmp_path: Path
) -> None:
    capture, packets = tmp_path / "own.pcapng", own_packets()
    beamline = open_telescope("ph256", orientation="none")
    write_capture(capture, packets, beamline.config.start_udp_port)
    code, report = beamline.record(
        tmp_path / "own.h5", ["--n-images", str(len(packets))], ["replay", "--rate-hz", "500", str(capture)]
    )
    assert (code, report["n_written"], report["n_lost"]) == (0, len(packets), 0)
    with h5py.File(tmp_path / "own.h5") as file:
        assert file["/entry/data/data"][:].tobytes() == b"".join(packet[16:] for packet in packets)
        nsec = file["/entry/frames/pkt_nsec"][:, 0]
        assert (nsec == 999_999_999).sum() == sum(int.from_bytes(packet[10:14], "little") > 10**9 for packet in packets)
        numbers, quarters = file["/entry/frames/pkt_num"][:, 0], file["/entry/frames/quabo_num"][:, 0]
        for quarter in range(4):
            assert set(np.diff(numbers[quarters == quarter]) % 65536) == {1}


def own_packets() -> list[bytes]:
    """Return packets with what a capture of real boards has: numbers that turn, and half of the clocks not in step."""
    rng = np.random.default_rng(5)
    numbers = [65500, 20, 65535, 3000]
    packets = []
    for _ in range(200):
        quarter = int(rng.integers(4))
        numbers[quarter] = (numbers[quarter] + 1) % 65536
        nsec = int(rng.integers(0, 2**32 if quarter < 2 else 10**9))
        pixels = rng.integers(-50, 3000, (16, 16)).astype("<i2")
        packets.append(
            board_packet("ph256", module=254, quarter=quarter, number=numbers[quarter], nsec=nsec, pixels=pixels)
        )
    return packets


@pytest.mark.long
@needs_data(REAL_TELESCOPE)
def test_real_capture_gives_the_known_packets_of_each_board(open_telescope: OpenTelescope, tmp_path: Path) -> None:
    (capture,) = REAL_TELESCOPE.glob("*.pcapng")
    beamline = open_telescope("ph256", {"start_udp_port": 60001}, orientation="none")
    code, report = beamline.record(
        tmp_path / "real.h5", ["--n-images", "503"], ["replay", "--rate-hz", "500", str(capture)]
    )
    assert (code, report["verdict"], report["n_written"]) == (0, "complete", 503)
    with h5py.File(tmp_path / "real.h5") as file:
        assert hashlib.sha256(file["/entry/data/data"][:].tobytes()).hexdigest() == REAL_PIXELS
        frames = file["/entry/frames"]
        boards = zip(frames["module_id"][:].tolist(), frames["quabo_num"][:, 0].tolist(), strict=True)
        assert Counter(boards) == REAL_COUNTS
        assert (frames["pkt_nsec"][:] == 999_999_999).sum() == 266
