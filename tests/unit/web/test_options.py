"""The options of the console: of the command line, and of the configuration."""

import json
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main as check_command
from std_daq.config.load import check_config
from std_daq.config.system import load_any_config
from std_daq.errors import ConfigError
from std_daq.service.arguments import service_parser
from std_daq.service.registry import wanted_instances
from std_web.__main__ import main
from std_web.options import WebOptions, options_of
from std_web.service import SERVICE


def parsed(*arguments: str, configured: WebOptions | None = None) -> WebOptions:
    return options_of(service_parser(SERVICE).parse_args(["--config", "x", *arguments]), configured or WebOptions())


def test_first_configuration_is_that_of_the_process_and_the_others_follow() -> None:
    arguments = service_parser(SERVICE).parse_args(["--config", "a.json", "--config", "b.json", "--config", "c.json"])
    assert arguments.config == Path("a.json")
    assert arguments.further_configs == [Path("b.json"), Path("c.json")]
    assert service_parser(SERVICE).parse_args(["--config", "a.json"]).further_configs == []


def test_it_listens_on_this_machine_unless_told_otherwise() -> None:
    assert (parsed().address, parsed().port, parsed().anybody_may_change) == ("127.0.0.1", 5000, False)
    assert parsed("--host", "0.0.0.0", "--port", "8080").address == "0.0.0.0"


def test_command_line_goes_before_the_configuration() -> None:
    configured = WebOptions(port=1, token_file=Path("/a"))
    assert parsed(configured=configured).token_file == Path("/a")
    assert parsed("--no-token", configured=configured).anybody_may_change
    changed = parsed("--token-file", "/b", configured=WebOptions(anybody_may_change=True))
    assert (changed.token_file, changed.anybody_may_change) == (Path("/b"), False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "65536 is not a port number from 0 to 65535"),
        (["--port", "x"], "argument --port"),
        (["--token-file", "x", "--no-token"], "argument --no-token: not allowed with argument --token-file"),
    ],
)
def test_wrong_option_is_explained(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--config", "x.json", *arguments])
    assert message in capsys.readouterr().err


def test_system_wants_it_if_its_configuration_has_the_section(detector_file: Path) -> None:
    document = json.loads(detector_file.read_text())
    assert "web" not in [one.instance.name for one in wanted_instances(load_any_config(detector_file))]
    config = check_config(document | {"services": {"web": {"port": 0}}}, type(load_any_config(detector_file)))
    assert "web" in [one.instance.name for one in wanted_instances(config)]
    wrong = check_config(document | {"services": {"web": {"prot": 0}}}, type(config))
    with pytest.raises(ConfigError, match=r"services\.web\.prot"):
        wanted_instances(wrong)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"anybody_may_change": True, "reading_needs_token": True}, "reading_needs_token asks for a token that"),
        ({"anybody_may_change": True, "token_file": "/a"}, "token_file is not used where anybody_may_change is set"),
    ],
)
def test_section_that_contradicts_itself_is_refused_at_the_start_and_by_the_check(
    section: dict[str, object], message: str, detector_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(detector_file.read_text()) | {"services": {"web": section}}
    detector_file.write_text(json.dumps(document))
    assert main(["--config", str(detector_file)]) == 2
    assert message in capsys.readouterr().err
    assert check_command(["config", "check", str(detector_file)]) == 2
    assert message in "".join(capsys.readouterr())


def test_option_without_token_is_refused_where_reading_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"services\.web.*reading_needs_token.*leave out --no-token"):
        parsed("--no-token", configured=WebOptions(reading_needs_token=True))
