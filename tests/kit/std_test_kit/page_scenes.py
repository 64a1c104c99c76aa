"""What the pages take for granted: configurations, services that run, recorded files, packets that come."""

from collections.abc import Mapping

from std_test_kit.page_commands import Scene

_JUNGFRAU = """
cat > detector.json <<'END'
{"detector_name": "jungfrau", "detector_type": "jungfrau", "n_modules": 1, "bit_depth": 16, "image_pixel_height": 512,
 "image_pixel_width": 1024, "start_udp_port": 50000, "ram_buffer_gb": 0.3, "shared_memory": {"frame_buffer_gb": 0.2},
 "live_stream_configs": {"tcp://127.0.0.1:20000": {"type": "periodic", "config": [1, 10]}},
 "detector": {"conversion": "raw"}}
END
"""
_TELESCOPE = """
cat > detector.json <<'END'
{"detector_name": "lick-ph", "detector_type": "telescope", "n_modules": 1, "bit_depth": 16, "image_pixel_height": 16,
 "image_pixel_width": 16, "start_udp_port": 60001, "detector": {"product": "ph256"}, "ram_buffer_gb": 0.1,
 "shared_memory": {"frame_buffer_gb": 0.1}}
END
"""
_CHAMBER = """
python - <<'END'
from pathlib import Path
from std_test_kit.chambers import write_chamber
write_chamber(Path(), ["127.0.0.1:46001", "127.0.0.1:46002"], [(c, a) for c in range(2) for a in range(4)])
END
"""
_TANK = """
python - <<'END'
from pathlib import Path
from std_test_kit.photon_tank import write_tank
write_tank(Path()).rename("tank.json")
END
"""
_GDML = """
python - <<'END'
from pathlib import Path
from std_test_kit.gdml import tank, write_gdml
write_gdml(Path(), tank())
END
"""
_PFF = """
python - <<'END'
from pathlib import Path
from std_daq.telescope.pff import PRODUCTS, PffWriter
from std_test_kit.telescope_frames import make_header, make_pixels
product = PRODUCTS["ph256"]
Path("run").mkdir()
with PffWriter(Path("run"), product, module_id=1, start="2024-07-25T04:34:46Z", max_file_bytes=10_000_000) as writer:
    for number in range(5):
        writer.write(make_pixels(product, number), make_header(product, number))
END
for file in run/*.pff; do name=${file##*/}; mv "$file" "${name//:/_}"; done
"""
# A server of a scene runs beside the page's commands, until the end.
_UP = """
std-daq up --config {config} > up.txt 2> server.log &
servers="$servers$! "
until grep -q ready up.txt; do kill -0 $!; sleep 0.1; done
"""


def _beside(command: str) -> str:
    return f'{command} >> server.log 2>&1 &\nservers="$servers$! "\n'


def _again_and_again(command: str) -> str:
    return _beside(f"while true; do {command}; done")


def _up(config: str = "detector.json") -> str:
    return _UP.format(config=config)


_SOON = _beside("sleep 2; std-daq simulate --config detector.json --n-images 100 --rate-hz 50")
_READY = "until grep -q '^ready' server.log; do sleep 0.1; done; "
_IMAGES_COME = _again_and_again("std-daq simulate --config detector.json --n-images 400 --rate-hz 100")
_KILLED_RUN = f"""
{_JUNGFRAU}{_up()}
id=$(std-daq write --config detector.json --output-file run_4.h5 --detach)
std-daq simulate --config detector.json --n-images 100 --rate-hz 50
pkill -9 -f std_h5_writer
until grep -q recover server.log; do sleep 0.1; done
"""
_RECORDED_CHAMBER = f"""
{_CHAMBER}
python - <<'END'
import shutil
import h5py
import numpy as np
from std_test_kit.helix_events import helix_event
with h5py.File("run_0001.h5", "w") as file:
    events = file.create_group("events")
    events.attrs["version"] = "libattpc_merger:1.0"
    for number in range(4):
        traces = events.create_dataset(f"event_{{number}}/get_traces", data=helix_event(number))
        traces.attrs.update(id=np.uint32(number), timestamp=np.uint64(number), timestamp_other=np.uint64(number))
for name in ("run_0002.h5", "run_0042.h5"):
    shutil.copy("run_0001.h5", name)
END
"""
# The test itself runs in what these lines make.
_IS_SET_UP = {"scripts/set-up": ":", "source .venv/bin/activate": ":"}
_DATA = {"/data/": "data/"}
_MADE_DATA = "mkdir -p data\n"

SCENES: Mapping[str, Scene] = {
    "README.md": Scene(replacements=_IS_SET_UP),
    "docs/tutorials/getting-started.md": Scene(replacements=_IS_SET_UP),
    "docs/how-to/analyse-a-chamber.md": Scene(
        _RECORDED_CHAMBER,
        {"std-daq analyse CoBo0_AsAd": ": "},  # tests/pipeline/test_analyse.py has such files
    ),
    "docs/how-to/configure-a-detector.md": Scene(
        _JUNGFRAU
        + _up()
        + _beside("sleep 2; std-daq simulate --config detector.json --n-images 20 --rate-hz 20")
        + "std-daq write --config detector.json --output-file run_1.h5 --n-images 20\n"
    ),
    "docs/how-to/pedestals.md": Scene(_JUNGFRAU + _up()),
    "docs/how-to/read-pff-files.md": Scene(_PFF),
    "docs/how-to/receive-a-chamber.md": Scene(
        _CHAMBER, {"std-daq status": _READY + "std-daq status", "tpc.json\n": "tpc.json --once\n"}
    ),
    "docs/how-to/receive-a-telescope.md": Scene(
        _TELESCOPE + _MADE_DATA,
        {
            **_DATA,
            "--n-images 10000": "--n-images 20",
            "--format pff": "--format pff --n-images 20",
            "std-daq replay --config detector.json capture.pcapng": ":",  # a recording of a real telescope
            "std-daq write ": _SOON + "std-daq write ",
        },
    ),
    "docs/how-to/record-and-replay.md": Scene(
        _JUNGFRAU + _MADE_DATA + _beside("sleep 6; std-daq simulate --config detector.json --n-images 40 --rate-hz 20"),
        _DATA,
    ),
    "docs/how-to/record-events.md": Scene(
        _CHAMBER + _MADE_DATA + _beside("std-daq simulate --config tpc.json --n-events 100000 --rate-hz 50"),
        {**_DATA, "--n-events 1000": "--n-events 50"},
    ),
    "docs/how-to/recover-a-file.md": Scene(_KILLED_RUN),
    "docs/how-to/secure-the-broker.md": Scene(_JUNGFRAU),
    "docs/how-to/tune-the-network.md": Scene(
        _JUNGFRAU + _up(), {"std-daq status --config detector.json ": "std-daq status --config detector.json --once "}
    ),
    "docs/how-to/watch-live.md": Scene(
        _JUNGFRAU + _up() + _IMAGES_COME,
        {
            "std-daq view --config detector.json": "std-daq view --config detector.json --n-images 1",
            "daq-server:20000 ": "127.0.0.1:20000 --n-images 1 ",
        },
    ),
    "docs/how-to/write-by-request.md": Scene(
        _JUNGFRAU + _MADE_DATA + _up() + _IMAGES_COME, {**_DATA, "--n-images 1000": "--n-images 50", "1800": "50"}
    ),
    "docs/how-to/simulate-photons-with-a-farm.md": Scene(
        _TANK, {"pip install 'std-daq[photons]'": ":", "std-sim ping": "until std-sim ping; do sleep 1; done"}
    ),
    "docs/how-to/bring-your-detector.md": Scene(_GDML, {"^pmt_": "^bulb"}),
    "docs/how-to/time-with-a-u-blox-receiver.md": Scene(replacements={"/tmp/f9t": "f9t", "&": "# in another terminal"}),
}
