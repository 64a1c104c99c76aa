"""``run-conduit`` and ``gen-conduit-script``."""

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from std_daq.cli import chamber_services, event_view, gen_conduit_script, rerun_importer, run_conduit
from std_daq.cli.__main__ import main as std_daq
from std_daq.tpc.config import TpcConfig
from std_test_kit.event_results import chamber_document


def test_a_script_is_what_the_command_is_and_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "mine.py"
    assert gen_conduit_script.main([str(script)]) == 0
    assert str(script) in capsys.readouterr().out
    assert script.read_text() == Path(run_conduit.__file__).read_text()
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "--viewer-ip" in done.stdout


def test_a_script_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "mine.py"
    script.write_text("mine")
    assert gen_conduit_script.main([str(script)]) == 1
    assert script.read_text() == "mine"
    assert "exists" in capsys.readouterr().err
    assert gen_conduit_script.main([str(tmp_path / "nowhere" / "mine.py")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_the_chamber_of_the_command_is_the_at_tpc_with_eleven_exporters() -> None:
    chamber = TpcConfig.model_validate(run_conduit.CHAMBER)
    assert chamber.exporters[0] == "192.168.41.60:46491"
    assert chamber.exporters[-1] == "192.168.41.70:46491"
    assert (len(chamber.exporters), chamber.pads) == (11, "attpc_spyral")


def test_what_is_wrong_is_told_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "tpc.json"
    config.write_text(json.dumps({**chamber_document(tmp_path), "typo": 1}))
    assert run_conduit.main(["--config", str(config), "--event-cache-size", "440", "--n-threads", "11"]) == 2
    assert "typo" in capsys.readouterr().err
    assert run_conduit.main(["--config", str(tmp_path / "nothing.json")]) == 2


def test_the_services_of_the_command_are_installed() -> None:
    installed = {entry.name: entry.value.partition(".")[0] for entry in entry_points(group="std_daq.services")}
    assert chamber_services.PACKAGES.items() <= installed.items()


def test_the_commands_for_rerun_are_installed() -> None:
    scripts = {
        entry.name: entry.load()
        for entry in entry_points(group="console_scripts")
        if entry.value.startswith("std_daq.")
    }
    assert scripts["rerun-importer-merged-file"] is scripts["rerun-loader-merged-file"] is rerun_importer.main
    assert scripts["run-conduit"] is run_conduit.main
    assert scripts["gen-conduit-script"] is gen_conduit_script.main


def test_a_command_to_the_view_needs_something_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert std_daq(["event-view", "--config", str(tmp_path / "tpc.json")]) == 2
    assert "give --reset or --pads" in capsys.readouterr().err
    assert event_view.__doc__ is not None
