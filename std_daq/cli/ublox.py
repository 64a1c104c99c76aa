"""Configure a GNSS timing receiver, show its messages, or ask it for some, by a std-ublox-control."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from std_daq.cli.argument_types import port_number, positive_integer, positive_number, regular_expression
from std_daq.cli.shared_options import add_json_option
from std_daq.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from std_daq.telescope.ubloxcontrol.client import UbloxControlClient

_PULSE = "TIM-TP"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="the server: a name, host:port, unix:/path; by default %(default)s"
    )
    parser.add_argument("--port", type=port_number, default=50052, help="its port; by default %(default)s")
    parser.add_argument(
        "--tls-ca", type=Path, metavar="PEM", help="authority of the server's certificate; turns TLS on"
    )
    parser.add_argument("--tls-cert", type=Path, metavar="PEM", help="certificate of this client")
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="key of --tls-cert")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token of the server")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = actions.add_parser("init", help="configure a chip, as a f9t_config.json5 says")
    init.add_argument("file", type=Path, metavar="FILE", help="the f9t_config.json5")
    init.add_argument("--uid", help="the chip in the file, if it has several")
    init.add_argument("--device", help="its serial device, if it is another one than in the file")
    init.add_argument("--force", action="store_true", help="end the streams of clients")
    add_json_option(init)
    capture = actions.add_parser("capture", help="show the messages as they come")
    capture.add_argument(
        "patterns",
        nargs="*",
        type=regular_expression,
        metavar="PATTERN",
        help="regular expressions; by default all messages",
    )
    capture.add_argument("--seconds", type=positive_number, metavar="SECONDS", help="end after so long")
    capture.add_argument("--messages", type=positive_integer, metavar="N", help="end after N messages")
    add_json_option(capture, "print each message as a JSON object in a line")
    poll = actions.add_parser("poll", help="ask the chip for messages, or for keys of its configuration")
    poll.add_argument(
        "patterns", nargs="*", type=regular_expression, metavar="PATTERN", help="for example MON-VER, NAV-.*, CFG_TP_.*"
    )
    add_json_option(poll, "print each message as a JSON object in a line")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked for; returns the exit code."""
    from std_daq.cli.path_checks import check_input_file, check_tls_files
    from std_daq.telescope.client import Access
    from std_daq.telescope.ubloxcontrol.client import UbloxControlClient

    check_tls_files(arguments)
    if arguments.token_file is not None:
        check_input_file(arguments.token_file, "--token-file")
    access = Access(
        ca_file=arguments.tls_ca,
        cert_file=arguments.tls_cert,
        key_file=arguments.tls_key,
        token_file=arguments.token_file,
    )
    with UbloxControlClient(arguments.host, arguments.port, access) as client:
        return {"init": _init, "capture": _capture, "poll": _poll}[arguments.action](client, arguments)


def _init(client: "UbloxControlClient", arguments: argparse.Namespace) -> int:
    from std_daq.telescope.ubx.f9t_config import read_f9t_file

    document = read_f9t_file(arguments.file, arguments.uid)
    if arguments.device is not None:
        document["device"] = arguments.device
    answer = client.init(document, force=arguments.force)
    print(json.dumps(answer) if arguments.json else answer["message"])
    return EXIT_DONE


def _capture(client: "UbloxControlClient", arguments: argparse.Namespace) -> int:
    n_messages = 0
    for message in client.capture(arguments.patterns, reconnect=True, seconds=arguments.seconds):
        print(_line(message, as_json=arguments.json), flush=True)
        n_messages += 1
        if n_messages == arguments.messages:
            break
    if not n_messages:
        print("std-daq ublox: no message has come", file=sys.stderr)
    return EXIT_DONE if n_messages else EXIT_FAILED


def _poll(client: "UbloxControlClient", arguments: argparse.Namespace) -> int:
    for message in client.poll(arguments.patterns):
        print(_line(message, as_json=arguments.json))
    return EXIT_DONE


def _line(message: dict[str, Any], *, as_json: bool) -> str:
    if as_json:
        return json.dumps(message | {"payload": message["payload"].hex()})
    seconds, rest_ns = divmod(message["time_ns"], 10**9)
    when = f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}.{rest_ns // 10**6:03}"
    fields = dict(sorted(message["fields"].items()))
    if message["name"] == _PULSE and "qErr" in fields:
        fields = {"qErr": f"{fields['qErr']:g} ps"} | {key: fields[key] for key in ("week", "towMS") if key in fields}
    text = ", ".join(
        f"{key} {value:.10g}" if isinstance(value, float) else f"{key} {value}" for key, value in fields.items()
    )
    lost = f"  ({message['dropped']} lost)" if message["dropped"] else ""
    return f"{when}  {message['name']:<12} {text}{lost}"
