import json
import time
from pathlib import Path

import pytest

from std_daq.config.platform import PlatformConfig
from std_daq.service.supervisor import ServiceCommand, ServiceFailedError, Supervisor


@pytest.fixture
def config(runtime: Path) -> PlatformConfig:
    assert runtime.is_dir()
    return PlatformConfig(name="supervised")


def step_until(supervisor: Supervisor, deadline: float) -> None:
    while time.monotonic() < deadline:
        supervisor.step()


def run_until_it_fails(config: PlatformConfig, folder: Path, code: str) -> ServiceFailedError:
    (folder / "service.py").write_text(code)
    supervisor = Supervisor(
        config, [ServiceCommand("one", "service", ())], lambda *_: None, {"PYTHONPATH": str(folder)}
    )
    supervisor.start()
    try:
        deadline = time.monotonic() + 20.0
        with pytest.raises(ServiceFailedError) as caught:
            step_until(supervisor, deadline)
        assert supervisor.not_ready() == ["one"]
    finally:
        supervisor.stop()
    return caught.value


def test_service_that_ends_at_the_start_is_told_with_its_last_error(config: PlatformConfig, tmp_path: Path) -> None:
    lines = [
        {"event": "began", "level": "info"},
        {"event": "configuration_wrong", "level": "error", "error": "a.h5: there is no such file"},
        {"event": "ended", "level": "info"},
    ]
    code = f"import sys\nfor line in {[json.dumps(line) for line in lines]!r}: print(line)\nsys.exit(2)"
    error = run_until_it_fails(config, tmp_path, code)
    assert str(error) == "one ended with exit code 2 before it was ready: a.h5: there is no such file"
    assert error.exit_code == 2


def test_what_a_container_sets_for_its_one_service_is_not_passed_on(
    config: PlatformConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STD_DAQ_METRICS_PORT", "8080")
    monkeypatch.setenv("STD_DAQ_HOLD", "1")
    monkeypatch.setenv("STD_DAQ_METRICS_ADDRESS", "127.0.0.1")
    code = (
        "import json, os, sys\n"
        "names = sorted(name for name in os.environ if name.startswith(('STD_DAQ_M', 'STD_DAQ_H')))\n"
        "print(json.dumps({'level': 'error', 'error': ' '.join(names)}))\nsys.exit(1)"
    )
    assert str(run_until_it_fails(config, tmp_path, code)).endswith(": STD_DAQ_METRICS_ADDRESS")


def test_service_that_ends_without_a_word_is_told_with_its_exit_code(config: PlatformConfig, tmp_path: Path) -> None:
    error = run_until_it_fails(config, tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert "one ended with exit code -9" in str(error)
    assert error.exit_code == 1
