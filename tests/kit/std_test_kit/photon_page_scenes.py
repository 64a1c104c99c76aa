"""What pages of the photon simulation take for granted."""

from collections.abc import Mapping

from std_test_kit.page_commands import Scene
from std_test_kit.page_scene_parts import CLONE, DATA, MADE_DATA, OPENED, without

_TANK = """
python - <<'END'
from pathlib import Path
from std_test_kit.photon_tank import write_tank
write_tank(Path()).rename("tank.json")
END
"""
_RAT_EXPORT = """
python - <<'END'
from pathlib import Path
from std_test_kit.rat_export import write_rat_export
write_rat_export(Path())
END
"""
_GDML = """
python - <<'END'
from pathlib import Path
from std_test_kit.gdml import tank, write_gdml
write_gdml(Path(), tank())
END
"""
_PING = "until std-sim ping; do sleep 1; done"
_MAP = "tank.json --output map.h5 --voxel-mm 2000 --photons"
_ALONE = "std-sim-worker --standalone --geometry tank.json > server.log 2>&1 &\nservers=$!\n"
_PHOTONS = """
python - <<'END'
import numpy as np
from std_test_kit.photon_tank import event_photons
photons = np.concatenate([event_photons(200, number) for number in range(5)])
arrays = {name: photons[name] for name in photons.dtype.names}
np.savez("photons.npz", event_id=np.repeat(np.arange(5, dtype=np.uint32), 200), **arrays)
END
"""
_SEEN = (
    " & drawing=$!; until curl -sf http://127.0.0.1:9090/ > page.html; do kill -0 $drawing; sleep 0.2; done; "
    "kill $drawing; builtin wait $drawing || true"
)

PHOTON_SCENES: Mapping[str, Scene] = {
    "docs/how-to/simulate-photons-with-a-farm.md": Scene(
        _TANK + MADE_DATA,
        {
            **without("pip install 'std-daq[photons]'", "pip install 'std-daq[web]'"),
            **without("pip install 'std-daq[photons,root]'"),
            **DATA,
            **OPENED,
            "router-host": "127.0.0.1",
            '"n_workers": 4': '"n_workers": 2',
            "std-sim ping\n": f"{_PING}\n",
            "std-sim-router": "end_servers; std-sim-router",
            "--keys worker-1.json": "--keys keys/worker-1.json",
            "--keys laptop.json": "--keys keys/laptop.json",
            "std-daq up": "end_servers; std-daq up",
            "std-daq status": "until grep -q '^ready' server.log; do sleep 0.1; done; std-daq status",
            "std-sim-worker --standalone --async": "end_servers; std-sim-worker --standalone --async",
            "--voxel-mm 500 --photons 100000": "--voxel-mm 2000 --photons 1000",
            f"std-sim map {_MAP} 1000 --router": f"end_servers; {_ALONE}{_PING}\nstd-sim map {_MAP} 2000 --router",
        },
    ),
    "docs/reference/command-line.md": Scene(
        f"{_TANK}{_PHOTONS}{_RAT_EXPORT}{_ALONE}{_PING}\n",
        {
            "echo $?": "[ $? = 2 ]",
            "--events 1000": "--events 100",
            "--voxel-mm 500 --photons 100000": "--voxel-mm 2000 --photons 1000",
            "std-sim display geometry.json": "std-sim display tank.json",
            "--browser": f"--browser{_SEEN}",
        },
    ),
    "docs/how-to/bring-your-detector.md": Scene(
        _RAT_EXPORT,
        {
            "std-sim convert detector.gdml --sensors '^pmt_' --list": _GDML + "std-sim convert detector.gdml --list",
            "^pmt_": "^bulb",
        },
    ),
    "docs/how-to/hand-over-photons-from-geant4.md": Scene(
        CLONE, {"python muons.py --events": f"{_PING}; python muons.py --events"}
    ),
}
