"""The runner: a process for each benchmark, figures and failures into the result."""

import json
from pathlib import Path

import pytest

import std_benchmarks
from std_benchmarks.__main__ import main
from std_benchmarks.runner import run_suite
from std_benchmarks.suite import BENCHMARKS, load, select
from std_daq.errors import ConfigError

PROGRAM = """
import json, os, signal, sys
figure = {"name": "a", "unit": "s", "median": 1, "ours": [1.0]}
print(json.dumps({"progress": "measuring"}))
print(json.dumps({"figure": figure}), flush=True)
name = sys.argv[1]
if name == "refused":
    print(json.dumps({"failure": "no compiler"}), flush=True)
    sys.exit(1)
if name == "broken":
    raise AssertionError("not the same bytes")
if name == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package of this name, found first by the processes that the runner starts."""
    package = tmp_path / "std_benchmarks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "one.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("stand_in")
def test_figures_of_all_and_the_reasons_of_those_that_failed(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    names = ["fine", "refused", "broken", "killed"]
    result = run_suite(names, repeats=1, folder=tmp_path, progress=lambda *text: told.append(text))
    assert {name: [figure.name for figure in result.figures[name]] for name in names} == {name: ["a"] for name in names}
    assert result.failures.keys() == {"refused", "broken", "killed"}
    assert result.failures["refused"] == "no compiler"
    assert "code 1" in result.failures["broken"]
    assert "killed" in result.failures["killed"]
    assert ("fine", "measuring") in told
    assert {"processor", "kernel", "cores", "numba", "python"} <= result.machine.keys()


def test_every_benchmark_of_the_suite_is_there_and_says_what_it_measures() -> None:
    for name in BENCHMARKS:
        benchmark = load(name)
        assert callable(benchmark.measure)
        assert benchmark.__doc__


def test_every_module_that_measures_is_in_the_suite() -> None:
    folder = Path(std_benchmarks.__path__[0])
    measuring = {path.stem for path in folder.glob("*.py") if "\ndef measure(setting" in path.read_text()}
    assert measuring == BENCHMARKS.keys()


def test_selection_keeps_the_order_of_the_suite_and_refuses_what_is_not_there() -> None:
    assert select([]) == list(BENCHMARKS)
    with pytest.raises(ConfigError, match="memory"):
        select(["memroy"])


def test_command_lists_without_measuring(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(BENCHMARKS)


@pytest.mark.usefixtures("stand_in")
def test_command_writes_the_document_and_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, markdown = tmp_path / "bench.json", tmp_path / "bench.md"
    arguments = ["memory", "--folder", str(tmp_path), "--output", str(output), "--markdown", str(markdown)]
    arguments += ["--picture", str(tmp_path / "bench.svg")]
    assert main(arguments) == 0
    assert "│ a" in capsys.readouterr().out
    assert main([*arguments, "--compare", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["benchmarks"]["memory"]["figures"][0]["name"] == "a"
    assert "| a | 1 s |" in markdown.read_text()
    assert (tmp_path / "bench.svg").read_text().startswith("<svg")


def test_command_refuses_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(tmp_path / "none")]) == 2
    assert "--folder" in capsys.readouterr().err
