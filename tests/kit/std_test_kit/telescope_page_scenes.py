"""What pages of telescopes take for granted."""

from collections.abc import Mapping

from std_test_kit.page_commands import Scene
from std_test_kit.page_scene_parts import DATA, MADE_DATA, OPENED, beside, without

_TELESCOPE = """
cat > detector.json <<'END'
{"detector_name": "lick-ph", "detector_type": "telescope", "n_modules": 1, "bit_depth": 16, "image_pixel_height": 16,
 "image_pixel_width": 16, "start_udp_port": 60001, "detector": {"product": "ph256"}, "ram_buffer_gb": 0.1,
 "shared_memory": {"frame_buffer_gb": 0.1}}
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
_IMAGES_COME = beside("std-daq simulate --config detector.json --n-images 100 --rate-hz 50 --when-requested")
_HOSTS = """
echo '{"daq_nodes": [{"ip_addr": "127.0.0.1", "data_dir": "/data"}]}' > daq_config.json
echo '{"daq_nodes": [{"ip_addr": "127.0.0.1", "grpc_port": 50051}]}' > network_config.json
"""

TELESCOPE_SCENES: Mapping[str, Scene] = {
    "docs/how-to/read-pff-files.md": Scene(_PFF),
    "docs/how-to/receive-a-telescope.md": Scene(
        _TELESCOPE + MADE_DATA,
        {
            **DATA,
            "--n-images 10000": "--n-images 20",
            "--format pff": "--format pff --n-images 20",
            "std-daq replay --config detector.json capture.pcapng": ":",  # a recording of a real telescope
            "std-daq write ": _IMAGES_COME + "std-daq write ",
        },
    ),
    "docs/how-to/watch-a-telescope.md": Scene(
        _HOSTS,
        {
            **OPENED,
            **without("pip install 'std-daq[web,live]'"),
            '"start": {"data_dir": "/data", "update_interval_s": 0.05}': '"start": {"simulate": true}',
            "std-live --host 127.0.0.1 --status": (
                "until std-live --host 127.0.0.1 --ping; do sleep 0.5; done; std-live --host 127.0.0.1 --status"
            ),
            # On a terminal, as `script` gives one.
            "std-live --host 127.0.0.1 --plot-view  ": (
                "script -qec 'std-live --host 127.0.0.1 --plot-view --frames 2' /dev/null > seen.txt  "
            ),
            "--plot-speed": "--plot-speed --frames 2",
        },
    ),
    "docs/how-to/time-with-a-u-blox-receiver.md": Scene(
        replacements={
            "/tmp/f9t": "f9t",
            "&": "# in another terminal",
            "capture TIM-TP": "capture TIM-TP --messages 2",
            "std-daq status": "until std-daq status --config ublox.json --once; do sleep 0.5; done; std-daq status",
        }
    ),
}
