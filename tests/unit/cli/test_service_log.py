import io
import json

from std_daq.cli.service_log import ServiceLog

EVENT = {"event": "started", "service": "assembler", "level": "info", "timestamp": "2026-01-01T00:00:00Z", "n": 3}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_stay_as_they_are_where_no_person_reads_them() -> None:
    output = io.StringIO()
    log = ServiceLog(output, ["assembler", "writer-agent"])
    log.write("assembler", json.dumps(EVENT))
    assert output.getvalue() == f"assembler    | {json.dumps(EVENT)}\n"


def test_json_becomes_text_on_a_terminal() -> None:
    output = Terminal()
    log = ServiceLog(output, ["assembler"])
    log.write("assembler", json.dumps(EVENT))
    log.write("assembler", "Segmentation fault")
    log.write("assembler", '["event"]')
    first, second, third = output.getvalue().splitlines()
    assert "started" in first
    assert "{" not in first
    assert second == "assembler | Segmentation fault"
    assert third == 'assembler | ["event"]'


def test_line_of_any_kind_is_shown_and_controls_nothing() -> None:
    for output in (io.StringIO(), Terminal()):
        log = ServiceLog(output, ["assembler"])
        for line in ("[" * 100_000, "\x1b[2J", json.dumps({**EVENT, "why": "\x1b[2J"}), '{"event": '):
            log.write("assembler", line)
        assert "\x1b[2J" not in output.getvalue()
        assert "\\x1b[2J" in output.getvalue()
        assert output.getvalue().count("\n") == 4
