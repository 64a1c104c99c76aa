"""From packets to files, byte for byte, with everything real: processes, sockets, rings, RabbitMQ, HDF5."""

import hashlib
import json
import urllib.request
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - HDF5 finds the compression of the files
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from std_daq.imaging.detectors.registry import open_detector
from std_test_kit.beamline import Beamline
from std_test_kit.expected_images import expected_image
from std_test_kit.frame_sender import FrameSender

SPECIFIC = "/entry/instrument/detector/detectorSpecific"
REAL_IMAGES = {
    29512: "dc037fc6956d334bf7e8f9ae735c1a75a39b1ea83c979b10caff89d6a77684a0",
    29513: "b2dbc6a24428a1b752d5efc7163a5bf7417f10446dc0d31bd924434efa4dd313",
    29514: "e1bd6a2af379fd37d3b89b43d8e8b99a1a0ca07bc5aebaa07993455fa84f3515",
    29515: "e7d1fca86ed17bcc6b35087a6139691c19ddc3e0c0ae430a99ac9379b73396a9",
    29516: "528066d97cdb55b205a758746f2265d3bc2bf7902910e45ca80ab08e9819e023",
}

N_IMAGES = 30
N_BETWEEN = 9  # more than the windows of two ports that take turns

MakeConfig = Callable[..., dict[str, Any]]
OpenBeamline = Callable[[dict[str, Any]], Beamline]


MODES: dict[str, tuple[str, dict[str, Any]]] = {
    "jungfrau with two interfaces a module": ("jungfrau", {"udp": {"numinterfaces": 2}}),
    "jungfrau of which 64 rows are read": ("jungfrau", {"detector": {"readnrows": 64}}),
    "jungfrau with two interfaces, 200 rows and four servers": (
        "jungfrau",
        {"udp": {"numinterfaces": 2, "numdst": 4}, "detector": {"readnrows": 200}},
    ),
    "eiger over 1 Gb": ("eiger", {"detector": {"tengiga": False}}),
    "eiger over 1 Gb with 32 bits": ("eiger", {"bit_depth": 32, "detector": {"tengiga": False}}),
    "eiger with 12 bits, 128 rows and two servers": (
        "eiger",
        {"bit_depth": 12, "detector": {"readnrows": 128}, "udp": {"numdst": 2}},
    ),
}


def lost_packets(ledger: Path, port_to_submodule: Callable[[int], int]) -> dict[int, dict[int, set[int]]]:
    """Return for each frame and submodule the packets that were not sent."""
    lost: dict[int, dict[int, set[int]]] = {}
    for packet in json.loads(ledger.read_text())["lost"]:
        submodules = lost.setdefault(packet["frame"], {})
        submodules.setdefault(port_to_submodule(packet["port"]), set()).add(packet["packet"])
    return lost


def packet_counts(beamline: Beamline) -> Counter[str]:
    """Return what std-udp-recv has counted, over all modules; rejections by their reason."""
    counts: Counter[str] = Counter()
    with urllib.request.urlopen(f"{beamline.record_of('udp-recv').url}/metrics", timeout=5) as answer:
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                if sample.name == "daq_udp_packets_rejected_total":
                    counts[sample.labels["reason"]] += int(sample.value)
                elif sample.name.startswith("daq_udp") and sample.name.endswith("_total"):
                    counts[sample.name] += int(sample.value)
    return counts


@pytest.mark.long
def test_recorded_packets_of_a_real_eiger_give_the_images_listed(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, eiger_data: Path, tmp_path: Path
) -> None:
    document = json.loads((eiger_data / "detector.json").read_text())
    changes = {key: value for key, value in document.items() if key != "detector_name"}
    beamline = open_beamline(beamline_config("eiger", **changes))
    captures = sorted(str(path) for path in eiger_data.glob("*.dat"))
    exit_code, report = beamline.record(
        tmp_path / "real.h5", ["--n-images", "5"], ["replay", "--rate-hz", "20", *captures]
    )
    assert (exit_code, report["verdict"], report["n_written"]) == (0, "complete", 5)
    with h5py.File(tmp_path / "real.h5") as file:
        images = file["/entry/data/data"][:]
        ids = file[f"{SPECIFIC}/image_id"][:].tolist()
    assert {i: hashlib.sha256(image.tobytes()).hexdigest() for i, image in zip(ids, images, strict=True)} == REAL_IMAGES


@pytest.mark.parametrize("kind", ["jungfrau", "eiger", "gigafrost"])
def test_every_packet_that_arrived_is_in_its_place_and_every_other_is_listed(
    lossy_config: MakeConfig,
    open_beamline: OpenBeamline,
    jungfrau_tables: dict[str, Any],
    tmp_path: Path,
    kind: str,
) -> None:
    options = {"detector": jungfrau_tables} if kind == "jungfrau" else {}
    check_with_bad_network(open_beamline(lossy_config(kind, **options)), tmp_path)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.long
def test_every_packet_is_in_its_place_in_each_mode_of_packets_and_geometry(
    lossy_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path, mode: str
) -> None:
    kind, changes = MODES[mode]
    check_with_bad_network(open_beamline(lossy_config(kind, **changes)), tmp_path)


@pytest.fixture
def lossy_config(beamline_config: MakeConfig) -> MakeConfig:
    """As `beamline_config`, for frames that lack packets: neither they nor the run end because a sender is held up."""

    def make(kind: str, **changes: Any) -> dict[str, Any]:
        udp = {**changes.pop("udp", {}), "idle_flush_s": 30.0, "module_timeout_s": 30.0}
        return beamline_config(kind, udp=udp, writer={"image_timeout_s": 40.0}, **changes)

    return make


def check_with_bad_network(beamline: Beamline, folder: Path) -> None:
    """Record runs over a network with faults, and compare pixels and counts."""
    n_sent = n_lost = n_duplicated = 0
    for seed, compression in enumerate(("none", "bslz4")):
        ledger = record_with_bad_network(beamline, folder, seed, compression)
        n_lost += len(ledger["lost"])
        n_duplicated += len(ledger["duplicated"])
        n_whole = sum(len(frame.packets) for frame in _one_exposure(beamline)) * (N_IMAGES + N_BETWEEN)
        n_sent += n_whole - len(ledger["lost"]) + len(ledger["duplicated"])
    counts = packet_counts(beamline)
    assert counts["daq_udp_packets_received_total"] + counts["daq_udp_kernel_drops_total"] == n_sent
    assert counts["daq_udp_packets_lost_total"] == n_lost
    assert counts["duplicate"] + counts["late"] == n_duplicated


def record_with_bad_network(
    beamline: Beamline, folder: Path, seed: int, compression: str
) -> dict[str, list[dict[str, int]]]:
    """Record a run over a network with faults and compare everything; returns the ledger of the faults."""
    file, ledger_file = folder / f"run_{seed}.h5", folder / f"ledger_{seed}.json"
    step, n_interfaces = beamline.config.udp.numdst, beamline.config.udp.numinterfaces
    first_frame = 1 + seed * (N_IMAGES + N_BETWEEN) * step
    exit_code, report = beamline.record(
        file,
        ["--n-images", str(N_IMAGES), "--compression", compression],
        ["simulate", "--n-images", str(N_IMAGES), "--rate-hz", "30", "--pattern", "counter", "--seed", str(seed),
         "--first-frame", str(first_frame), "--loss", "0.01", "--reorder", "0.05", "--duplicate", "0.001",
         "--window", "3", "--ledger", str(ledger_file)],
        and_then=lambda: send_whole_frames(beamline, first_frame + N_IMAGES * step),
    )  # fmt: skip
    detector = open_detector(beamline.config)
    converter = detector.converter()
    lost = lost_packets(ledger_file, detector.submodule_of_port)
    assert lost
    assert (exit_code, report["verdict"]) == (3, "incomplete")
    assert (report["n_written"], report["n_incomplete"], report["lost_image_ids"]) == (N_IMAGES, len(lost), [])
    numbers = [first_frame + step * index for index in range(N_IMAGES)]
    n_gone = np.array([[len(lost.get(n, {}).get(s, ())) for s in range(beamline.config.n_submodules)] for n in numbers])
    with h5py.File(file) as opened:
        assert opened[f"{SPECIFIC}/image_id"][:].tolist() == numbers
        missing, status = opened[f"{SPECIFIC}/missing_packets"][:], opened[f"{SPECIFIC}/status"][:]
        np.testing.assert_array_equal(missing, n_gone.reshape(N_IMAGES, -1, n_interfaces).sum(axis=2))
        assert [bool(value) for value in status] == [number in lost for number in numbers]
        for index, raw in enumerate(islice(detector.simulated_frames("counter", seed), N_IMAGES)):
            expected = expected_image(detector, converter, raw, numbers[index], lost.get(numbers[index], {}))
            what = f"image {numbers[index]}, status {status[index]}, missing packets {missing[index].tolist()}"
            np.testing.assert_array_equal(opened["/entry/data/data"][index], expected, err_msg=what)
    ledger: dict[str, list[dict[str, int]]] = json.loads(ledger_file.read_text())
    return ledger


def send_whole_frames(beamline: Beamline, first_frame: int) -> None:
    """Send frames that no run asks for; they push all frames before them out of the window."""
    with FrameSender(beamline.config) as sender:
        for index in range(N_BETWEEN):
            for submodule in range(beamline.config.n_submodules):
                sender.send(submodule, first_frame + index * beamline.config.udp.numdst)


def _one_exposure(beamline: Beamline) -> list[Any]:
    detector = open_detector(beamline.config)
    raw = next(detector.simulated_frames("counter", 0))
    return [detector.packets(m, 1, raw[m], pulse_id=1, timestamp=0) for m in range(beamline.config.n_submodules)]


@pytest.mark.alone
@pytest.mark.long
def test_72_ports_at_once_give_whole_images(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    positions = {}
    for index in range(72):
        module, quarter = divmod(index, 4)
        x = module % 3 * 1038 + quarter % 2 * 516
        y = module // 3 * 550 + (258 if quarter < 2 else 0)
        positions[str(index)] = [x, y, x + 513, y + 255] if quarter < 2 else [x, y + 255, x + 513, y]
    document = beamline_config(
        "eiger",
        n_modules=72,
        image_pixel_width=3106,
        image_pixel_height=3264,
        module_positions=positions,
        deactivate=[62, 63, 66, 67],
        ram_buffer_gb=0.3,
        shared_memory={"frame_buffer_gb": 0.4},
    )
    beamline = open_beamline(document)
    n_images = 6
    exit_code, report = beamline.record(
        tmp_path / "9m.h5",
        ["--n-images", str(n_images)],
        ["simulate", "--n-images", str(n_images), "--rate-hz", "3", "--pattern", "counter"],
    )
    assert (exit_code, report["verdict"], report["n_written"]) == (0, "complete", n_images)
    detector = open_detector(beamline.config)
    with h5py.File(tmp_path / "9m.h5") as file:
        for index, raw in enumerate(islice(detector.simulated_frames("counter", 0), n_images)):
            expected = expected_image(detector, detector.converter(), raw, index + 1, {})
            np.testing.assert_array_equal(file["/entry/data/data"][index], expected)
