"""What pages of a chamber take for granted."""

from collections.abc import Mapping

from std_test_kit.page_commands import Scene
from std_test_kit.page_scene_parts import CLONE, DATA, MADE_DATA, OPENED, READY, again_and_again, beside, up, without

_CHAMBER = """
python - <<'END'
from pathlib import Path
from std_test_kit.chambers import write_chamber
write_chamber(
    Path(), ["127.0.0.1:46001", "127.0.0.1:46002"], [(c, a) for c in range(2) for a in range(4)],
    builder={"keep_frames": True, "ram_buffer_gb": 0.2},
)
END
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
_EVENTS_COME = beside("std-daq simulate --config tpc.json --n-events 100000 --rate-hz 50")
# Exporters of a simulation end with it.
_FEW_EVENTS_COME = again_and_again("std-daq simulate --config tpc.json --n-events 100 --rate-hz 50 --n-made 10")
_CLUSTER = beside("dask scheduler --host 127.0.0.1 --port 8786 --no-dashboard") + beside(
    "dask worker tcp://127.0.0.1:8786 --nworkers 1 --nthreads 1 --no-dashboard --local-directory FOLDER/dask"
)
_KILLED_WRITER = """
std-daq write --config tpc.json --output-file FOLDER/run_0001.h5 --detach
until std-daq status --config tpc.json --period-s 0.05 --json | grep -q '"n_written": [1-9]'; do sleep 0.1; done
pkill -9 -f std_h5_writer
until grep -q recover server.log; do sleep 0.1; done
"""

CHAMBER_SCENES: Mapping[str, Scene] = {
    "docs/how-to/analyse-a-chamber.md": Scene(
        _RECORDED_CHAMBER + _CLUSTER,
        {
            "/data/": "",
            "10.0.0.1": "127.0.0.1",
            "std-daq analyse CoBo0_AsAd": ": ",  # tests/pipeline/test_analyse.py has such files
        },
    ),
    "docs/how-to/deploy-a-chamber.md": Scene(CLONE + _CHAMBER),
    "docs/how-to/receive-a-chamber.md": Scene(
        _CHAMBER, {"std-daq status": READY + "std-daq status", "tpc.json\n": "tpc.json --once\n"}
    ),
    "docs/how-to/record-events.md": Scene(
        _CHAMBER + MADE_DATA + _EVENTS_COME, {**DATA, "--n-events 1000": "--n-events 50"}
    ),
    "docs/how-to/simulate-a-chamber.md": Scene(
        _CHAMBER
        + up("tpc.json")
        + "std-daq simulate --config tpc.json --n-events 300 --rate-hz 10 --n-made 2 & simulation=$!\n"
        + "std-daq write --config tpc.json --output-file FOLDER/run_0001.h5 --n-events 10 --format hdf5+graw\n"
        + "kill $simulation; builtin wait $simulation || true; mkdir run_0001; mv run_0001_graw run_0001\n",
        {
            "--n-events 1000": "--n-made 4 --n-events 20",
            "std-daq dump": _FEW_EVENTS_COME + "std-daq dump",
            "--duration-s 60": "--duration-s 4",
        },
    ),
    "docs/how-to/watch-a-chamber.md": Scene(
        _RECORDED_CHAMBER,
        {
            **OPENED,
            **without("pip install 'std-daq[web,tpc]'"),
            "rerun --memory-limit": "rerun --serve-grpc --memory-limit",
            "gen-conduit-script": (
                READY + "std-daq simulate --config tpc.json --n-events 20 --rate-hz 10 --n-made 2; gen-conduit-script"
            ),
            "std-web": "end_servers; std-web",
            "rerun run_0042.h5 ": "rerun --port 9877 --save opened.rrd run_0042.h5 ",
        },
    ),
}
RECOVERED_EVENTS = _CHAMBER + up("tpc.json") + _EVENTS_COME + _KILLED_WRITER
