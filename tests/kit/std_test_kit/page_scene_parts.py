"""What scenes of pages are made of: configurations, and commands that run beside those of a page."""

# A simulated detector may stop within an image, as it shares the cores with other tests.
PATIENT = '"udp": {"idle_flush_s": 3.0, "module_timeout_s": 3.0}'
JUNGFRAU = f"""
cat > detector.json <<'END'
{{"detector_name": "jungfrau", "detector_type": "jungfrau", "n_modules": 1, "bit_depth": 16, "image_pixel_height": 512,
 "image_pixel_width": 1024, "start_udp_port": 50000, "ram_buffer_gb": 0.3, "shared_memory": {{"frame_buffer_gb": 0.2}},
 "live_stream_configs": {{"tcp://127.0.0.1:20000": {{"type": "periodic", "config": [1, 10]}}}}, {PATIENT},
 "detector": {{"conversion": "raw"}}, "measured_values": {{"sample_x": "mm", "cryostream": "K"}}}}
END
"""
MADE_DATA = "mkdir -p data\n"
# Folders of the page are those of the test.
DATA = {"/data/": "FOLDER/data/"}
CLONE = "cp -r $CLONE/examples $CLONE/docker .\n"
# Packages are put beside those of the test, into a folder of the scene.
SITE = "mkdir site; export PYTHONPATH=FOLDER/site PATH=FOLDER/site/bin:$PATH\n"
INSTALL = {
    "pip install ": "python -m pip install --quiet --no-index --no-deps --no-build-isolation --target FOLDER/site "
}
# The test itself runs in what these lines make.
IS_SET_UP = {"scripts/set-up": ":", "source .venv/bin/activate": ":"}
CONSOLE_ANSWERS = "until curl -sf http://127.0.0.1:5000/ > page.html; do sleep 0.2; done\n"
OPENED = {"; then open http://127.0.0.1:5000\n": f"\n{CONSOLE_ANSWERS}"}
READY = "until grep -q '^ready' server.log; do sleep 0.1; done; "
_UP = """
std-daq up --config {config} > up.txt 2> server.log &
servers="$servers$! "
until grep -q ready up.txt; do kill -0 $!; sleep 0.1; done
"""


def without(*commands: str) -> dict[str, str]:
    """Return replacements that leave commands out, such as those that install what is there."""
    return dict.fromkeys(commands, ":")


def beside(command: str) -> str:
    """Return bash that runs a command until the end of the page."""
    return f'{command} >> server.log 2>&1 &\nservers="$servers$! "\n'


def beside_when(event: str, command: str) -> str:
    """Return bash that runs a command beside the page's, from an event on for which other bash waits."""
    return beside(f"({event}; exec {command})")


def again_and_again(command: str) -> str:
    """Return bash that runs a command until the end of the page, as often as it ends."""
    return beside(f"while true; do {command}; done")


def up(config: str = "detector.json") -> str:
    """Return bash that starts the services of a system, which run until the end of the page."""
    return _UP.format(config=config)


def named(*names: str, **changes: object) -> str:
    """Return bash that writes ``NAME.json`` for each name: the detector of ``detector.json`` with ports of its own.

    Parameters
    ----------
    names
        Of the detectors.
    changes
        Other values of keys of the configuration.
    """
    return f"""
python - <<'END'
import json
from pathlib import Path
document = json.loads(Path("detector.json").read_text())
document["live_stream_configs"] = {{}}
for number, name in enumerate({names!r}):
    port = 50100 + 10 * number
    memory = Path(f"/dev/shm/{{name}}")
    memory.mkdir()
    changed = document | {{"detector_name": name, "start_udp_port": port}} | {changes!r}
    changed["shared_memory"] = changed["shared_memory"] | {{"directory": str(memory)}}
    Path(f"{{name}}.json").write_text(json.dumps(changed))
END
"""
