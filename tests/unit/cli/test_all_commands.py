"""What every installed command does with a wrong call, and with a configuration that is not there."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from std_daq.cli.__main__ import COMMANDS
from std_daq.cli.sim import COMMANDS as SIM_COMMANDS
from std_daq.errors import EXIT_WRONG_CALL
from std_daq.service.registry import service_descriptions

SCRIPTS = {
    script.name: script
    for script in entry_points(group="console_scripts")
    if script.dist is not None and script.dist.name == "std-daq"
}
# Rerun calls these with whatever it was given itself, for each file that it opens.
IMPORTERS = {"rerun-importer-merged-file", "rerun-loader-merged-file"}
SERVICES = {f"std-{service.name}" for service in service_descriptions()} & set(SCRIPTS)
CALLS = [
    *([name] for name in SCRIPTS if name not in IMPORTERS),
    *(["std-daq", command] for command in COMMANDS),
    *(["std-sim", command] for command in SIM_COMMANDS),
]


def call(monkeypatch: pytest.MonkeyPatch, program: str, *arguments: str) -> int:
    """Return the exit code of a command, started as its script does."""
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    try:
        return int(SCRIPTS[program].load()() or 0)
    except SystemExit as ended:
        return int(ended.code or 0)


def test_each_service_has_a_command() -> None:
    assert len(SERVICES) == 15


@pytest.mark.parametrize("command", CALLS, ids=" ".join)
def test_wrong_option_ends_with_2_and_the_usage(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = "std-daq live" if command == ["std-live"] else " ".join(command)
    for option in ("--nonsense", "--confi"):
        assert call(monkeypatch, *command, option, "x") == EXIT_WRONG_CALL
        out, err = capsys.readouterr()
        assert err.startswith(f"usage: {called} ")
        assert out == ""


@pytest.mark.parametrize("name", sorted(SERVICES | {"run-conduit"}))
def test_configuration_that_is_wrong_or_not_there_ends_with_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.json").write_text('{"detector_nmae": "x"}')
    (tmp_path / "text.json").write_text("no JSON")
    for file in ("none.json", "wrong.json", "text.json"):
        arguments = ["--config", str(tmp_path / file)]
        if name == "std-sim-worker":  # it ends its process at once
            command = [sys.executable, "-m", "std_sim_worker", "--geometry", "none", *arguments]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            exit_code, told = ended.returncode, ended.stdout + ended.stderr
        else:
            exit_code = call(monkeypatch, name, *arguments)
            told = "".join(capsys.readouterr())
        assert exit_code == EXIT_WRONG_CALL
        assert file in told
        assert "Traceback" not in told
