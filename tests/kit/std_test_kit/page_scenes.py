"""What the pages take for granted: configurations, services that run, recorded files, packets that come."""

from collections.abc import Mapping

from std_test_kit.chamber_page_scenes import CHAMBER_SCENES, RECOVERED_EVENTS
from std_test_kit.page_commands import Scene
from std_test_kit.page_scene_parts import (
    CLONE,
    CONSOLE_ANSWERS,
    DATA,
    INSTALL,
    IS_SET_UP,
    JUNGFRAU,
    MADE_DATA,
    PATIENT,
    READY,
    SITE,
    beside,
    beside_when,
    named,
    up,
    without,
)
from std_test_kit.photon_page_scenes import PHOTON_SCENES
from std_test_kit.telescope_page_scenes import TELESCOPE_SCENES

_IMAGES_COME = beside("std-daq simulate --config detector.json --n-images 100000 --rate-hz 50")
_DARK_IMAGES = "std-daq simulate --config detector.json --pattern pedestal --n-images 300 --rate-hz 100; wait\n"


def _begun(log: str) -> str:
    """Return bash that waits until std-daq pedestal takes images: it tells so on standard error."""
    return f"until [ -s {log}.txt ]; do sleep 0.1; done"


_KILLED_RUN = f"""
{JUNGFRAU}{up()}
id=$(std-daq write --config detector.json --output-file run_4.h5 --detach)
std-daq simulate --config detector.json --n-images 100 --rate-hz 50
pkill -9 -f std_h5_writer
until grep -q recover server.log; do sleep 0.1; done
"""
_DUMP_LISTENS = "until grep -q ':C350 ' /proc/net/udp; do sleep 0.1; done"  # port 50000
_URL_FILES = (
    "mkdir secrets; for to in client.url secrets/jungfrau-agent.url; do cp /dev/shm/run/jungfrau/broker-url $to; done\n"
)
_BROKER = (
    beside("python -m std_test_kit.set_up_broker secrets")
    + "until grep -q 'broker is ready' server.log; do sleep 0.1; done\n"
)
_LISTENS = "--host 127.0.0.1 --listen-on 127.0.0.1 --mounted-at FOLDER/secrets"
_AGENT = "export STD_DAQ_BROKER_URL_FILE=FOLDER/secrets/jungfrau-agent.url\n"

_IMAGE_SCENES: Mapping[str, Scene] = {
    "README.md": Scene(
        replacements={
            **IS_SET_UP,
            "--n-images 1000": "--n-images 200",
            '"start_udp_port": 50000': f'"start_udp_port": 50000, {PATIENT}',
        }
    ),
    "docs/tutorials/getting-started.md": Scene(
        replacements={**IS_SET_UP, '"start_udp_port": 50100,': f'"start_udp_port": 50100, {PATIENT},'}
    ),
    "docs/how-to/add-a-detector.md": Scene(
        CLONE + SITE,
        {
            "pip install --no-deps -e ": INSTALL["pip install "],
            "/tmp/": "FOLDER/",
            "std-daq write": READY + "std-daq write",
        },
    ),
    "docs/how-to/add-a-service.md": Scene(
        CLONE + SITE + JUNGFRAU, {**INSTALL, "std-daq status": READY + "std-daq status --once"}
    ),
    "docs/how-to/configure-a-detector.md": Scene(
        JUNGFRAU
        + up()
        + beside("std-daq simulate --config detector.json --n-images 20 --rate-hz 20 --when-requested")
        + "std-daq write --config detector.json --output-file FOLDER/run_1.h5 --n-images 20\n"
        + "end_servers\nprintf 'hostname jf1+jf2\\nhighvoltage 150\\n' > jf.config\n",
    ),
    "docs/how-to/deploy-a-beamline.md": Scene(CLONE + JUNGFRAU),
    "docs/how-to/deploy-with-systemd.md": Scene(
        JUNGFRAU + MADE_DATA + up() + _URL_FILES,
        {
            **DATA,
            "sudo /opt/std-daq/bin/": "",
            "/etc/std-daq": "FOLDER",
            "/etc/systemd/system": "FOLDER/units",
            "~/": "FOLDER/",
        },
    ),
    "docs/how-to/install.md": Scene(JUNGFRAU, {"source ~/std-daq/bin/activate": ":"}),
    "docs/how-to/open-the-console.md": Scene(
        "unset STD_DAQ_RUNTIME_DIR; export XDG_RUNTIME_DIR=/dev/shm/run; mkdir -m 0700 /dev/shm/run\n"
        + JUNGFRAU
        + named("eiger"),
        {
            **without("pip install 'std-daq[web]'"),
            "std-web --config eiger.json --config jungfrau.json": (
                READY + "end_servers; std-web --config eiger.json --config detector.json"
            ),
            "token=": CONSOLE_ANSWERS + "token=",
            "DETECTOR": "eiger",
            "curl -X": "curl --fail-with-body -X",
            "/writer/stop\n": "/writer/stop | grep -v 'Token needed'\n",
            # This interface answers each request with 200.
            "/daq/config\n": "/daq/config | grep '\"ok\"'; grep -q periodic eiger.json\n",
        },
    ),
    "docs/how-to/pedestals.md": Scene(
        JUNGFRAU + up(),
        {
            **{
                f"std-daq pedestal --config detector.json --output {name}.h5\n": (
                    f"std-daq pedestal --config detector.json --output {name}.h5 --n-images-per-gain 20 "
                    f"2> {name}.txt &\n{_begun(name)}\n{_DARK_IMAGES}"
                )
                for name in ("pedestals", "new")
            },
            "--n-images-per-gain 50 &\nsleep 4 ": f"--n-images-per-gain 50 2> dark.txt &\n{_begun('dark')} ",
        },
    ),
    "docs/how-to/record-and-replay.md": Scene(
        JUNGFRAU
        + MADE_DATA
        + beside_when(_DUMP_LISTENS, "std-daq simulate --config detector.json --n-images 40 --rate-hz 20"),
        DATA,
    ),
    "docs/how-to/recover-a-file.md": Scene(
        _KILLED_RUN, {"std-daq recover run_0001.h5 ": f"end_servers\n{RECOVERED_EVENTS}std-daq recover run_0001.h5 "}
    ),
    "docs/how-to/secure-the-broker.md": Scene(
        JUNGFRAU + MADE_DATA,
        {
            **DATA,
            "--output secrets\n": f"--output secrets {_LISTENS}\n",
            "export ": _BROKER + _AGENT + up() + _IMAGES_COME + "export ",
        },
    ),
    "docs/how-to/start-runs-in-a-browser.md": Scene(
        JUNGFRAU
        + MADE_DATA
        + up()
        + "(umask 077; openssl rand -hex 32 > web-token)\n"
        + beside("std-web --config detector.json --token-file web-token")
        + CONSOLE_ANSWERS,
        {**DATA, "/eiger/": "/jungfrau/", "curl ": "curl --fail-with-body "},
    ),
    "docs/how-to/tune-the-network.md": Scene(
        JUNGFRAU + "ip link add eth1 type veth\n" + up(),
        {"std-daq status --config detector.json ": "std-daq status --config detector.json --once ", "sudo ": ""},
    ),
    "docs/how-to/watch-with-grafana.md": Scene(JUNGFRAU),
    "docs/how-to/watch-live.md": Scene(
        JUNGFRAU + up() + _IMAGES_COME,
        {
            "std-daq view --config detector.json": "std-daq view --config detector.json --n-images 1",
            "daq-server:20000 ": "127.0.0.1:20000 --n-images 1 ",
        },
    ),
    "docs/how-to/write-by-request.md": Scene(
        JUNGFRAU + MADE_DATA + up() + _IMAGES_COME,
        {
            **DATA,
            "--n-images 1000": "--n-images 50",
            "1800": "50",
        },
    ),
}
SCENES = {**_IMAGE_SCENES, **CHAMBER_SCENES, **PHOTON_SCENES, **TELESCOPE_SCENES}
