"""The lines that README.md tells to paste do what it says."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from std_test_kit.free_ports import free_udp_ports

README = Path(__file__).parents[2] / "README.md"


def lines_to_paste(shm_dir: Path) -> str:
    """Return the lines of "Use it" after the set-up, with a port and a folder for rings that no other test has."""
    found = re.search(r"\n## Use it\n.*?\n```bash\nscripts/set-up.*?\n(cat > .*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    rings = f'"shared_memory": {{"directory": "{shm_dir}", "frame_buffer_gb": 0.2}}, "ram_buffer_gb": 0.3'
    port = '"start_udp_port": 50000'
    assert port in found[1]
    return found[1].replace(port, f'"start_udp_port": {free_udp_ports(1)}, {rings}')


@pytest.mark.long
@pytest.mark.timeout(300)
def test_lines_to_paste_write_a_whole_file(tmp_path: Path, runtime: Path, shm_dir: Path, broker_url: str) -> None:
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (tmp_path / "output.txt").open("w") as output:
        shell = subprocess.Popen(
            ["bash", "-c", f"{lines_to_paste(shm_dir)}\nwait"],
            cwd=tmp_path,
            env={**os.environ, "PATH": commands, "STD_DAQ_BROKER_URL": broker_url},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            exit_code = shell.wait(timeout=240)  # the services may have to be compiled first
        finally:
            with suppress(ProcessLookupError):  # the usual case: the lines end what they have started
                os.killpg(shell.pid, signal.SIGTERM)
    told = (tmp_path / "output.txt").read_text()
    assert exit_code == 0, told
    assert "1000 of 1000 written, 0 of them incomplete, 0 lost" in told
    assert "run_1.h5: sound" in told
