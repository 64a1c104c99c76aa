"""The pages of all services have the same anatomy, and name what there is: options, keys, pages, figures."""

import argparse
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from std_assembler.frame_source import STALE_NS
from std_daq.config.system import systems
from std_daq.grpc_server.server import MAX_CONNECTIONS
from std_daq.imaging.buffers.image_buffer import MIN_SLOTS
from std_daq.imaging.protocols.replication import MAX_INLINE_BYTES
from std_daq.imaging.recording import IMAGES
from std_daq.photons.config import FarmConfig
from std_daq.photons.endpoints import MAX_PEERS
from std_daq.photons.engine import NAMES
from std_daq.photons.known_replies import KEPT_BYTES, KEPT_S
from std_daq.service.arguments import service_parser
from std_daq.service.registry import service_descriptions
from std_daq.shm.journal import MAX_SOURCES
from std_daq.tpc.events.event_buffer import MIN_EVENTS
from std_h5_writer.reporter import ALIVE_PERIOD_S
from std_h5_writer.writer import CLOSE_DEADLINE_S
from std_live_stream.output import QUEUE_BYTES
from std_live_view.selection import MAX_WAITING, MAX_WAITING_BYTES
from std_stream_send.sender import MAX_SESSIONS
from std_test_kit.metric_pages import CATALOGUE
from std_udp_recv.quarantine_kernels import FRACTION_OF_SOME
from std_udp_recv.records import (
    MAX_FRAMES_AHEAD,
    MAX_QUARANTINED,
    QUEUE_LENGTH,
    SILENCE_NS,
    STRANGER_SILENCE_NS,
)
from std_udp_recv.same_packets import MIN_FRAMES
from std_udp_recv.sender_filter import CALM_S
from std_web.limits import BODY_ROOM, BODY_ROOM_OF_CLIENT, SMALL_BODY_BYTES
from std_web.older.acquisitions import MAX_KEPT
from std_web.options import WebOptions
from std_writer_agent.agent import BATCH_S, DRAIN_DEADLINE_S
from std_writer_agent.desk import PATIENCE_IN_RUN_S, PATIENCE_S
from std_writer_agent.journal_reserve import RESERVED_BYTES
from std_writer_agent.run import START_TIMEOUT_S

ROOT = Path(__file__).parents[3]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir())
ANATOMY = ["What it does", "In and out", "Parameters", "Metrics", "When it fails"]
DESCRIPTIONS = {one.name.replace("-", "_"): one for one in service_descriptions()}
# What all services have, as the page on services says.
COMMON_OPTIONS = {"--help", "--config", "--log-level", "--metrics-port", "--version"}
# Sections of a configuration, each of whose keys is on one of these pages.
SECTIONS = {
    "udp": ["udp_recv"],
    "assembler": ["assembler"],
    "writer": ["h5_writer", "writer_agent"],
    "broker": ["writer_agent"],
    "builder": ["event_builder"],
    "viewer": ["event_view"],
}
# What a page says, with the figures that the code has.
FIGURES = [
    ("assembler", f"the exposures of the last {STALE_NS // 10**9} s"),
    ("assembler", f"more than {MAX_SOURCES} receivers"),
    ("assembler", f"less than {MIN_SLOTS} images"),
    ("event_builder", f"less than {MIN_EVENTS} of the largest events"),
    ("h5_writer", f"entries of {IMAGES.entry.itemsize} bytes"),
    ("h5_writer", f"`alive` every {ALIVE_PERIOD_S:g} s"),
    ("h5_writer", f"it writes what was sent, for at most {CLOSE_DEADLINE_S:g} s"),
    ("live_stream", f"other streams is {QUEUE_BYTES >> 20} MiB"),
    ("live_view", f"more than {MAX_CONNECTIONS} connections"),
    ("live_view", f"at most {MAX_WAITING} images, or {MAX_WAITING_BYTES >> 20} MiB"),
    ("sim_router", f"known for {KEPT_S:g} s, or as many as {KEPT_BYTES >> 20} MiB hold"),
    ("sim_router", f"more than {MAX_PEERS} connections"),
    ("stream_send", f"more than {MAX_SESSIONS} receivers"),
    ("stream_send", f"images of up to {MAX_INLINE_BYTES >> 10} KiB are copied"),
    ("udp_recv", f"If {MIN_FRAMES} frames of a port"),
    ("udp_recv", f"while {QUEUE_LENGTH} others"),
    ("udp_recv", f"more than {MAX_FRAMES_AHEAD} ahead"),
    ("udp_recv", f"{MAX_QUARANTINED} packets at most"),
    ("udp_recv", f"alive for {SILENCE_NS // 10**9} s after its last packet"),
    ("udp_recv", f"has to wait for {STRANGER_SILENCE_NS // 10**9} s"),
    ("udp_recv", f"at least one in {FRACTION_OF_SOME}"),
    ("udp_recv", f"for {CALM_S:g} s none of a stranger"),
    ("web", f"the last {MAX_KEPT} runs"),
    ("web", "connections at once, altogether ({max_connections}) and of one address ({max_connections_of_client})"),
    ("web", "WebSockets at once, altogether ({max_websockets}) and of one address ({max_websockets_of_client})"),
    ("web", f"bodies above {SMALL_BODY_BYTES >> 10} KiB have {BODY_ROOM >> 20} MiB at one moment"),
    ("web", f"those of one address {BODY_ROOM_OF_CLIENT >> 20} MiB"),
    ("writer_agent", f"({PATIENCE_S:g} s; during a run {PATIENCE_IN_RUN_S:g} s)"),
    ("writer_agent", f"the run fails after {START_TIMEOUT_S:g} s"),
    ("writer_agent", f"drained for at most {DRAIN_DEADLINE_S:g} s"),
    ("writer_agent", f"looked at every {1000 * BATCH_S:g} ms"),
    ("writer_agent", f"({RESERVED_BYTES >> 20} MiB)"),
]


SOURCES = "".join(path.read_text() for folder in ("std_daq", "services") for path in (ROOT / folder).rglob("*.py"))


def page_of(service: str) -> str:
    return (ROOT / "services" / service / "README.md").read_text()


def parameters_of(service: str) -> str:
    return page_of(service).split("\n## Parameters\n")[1].split("\n## ")[0]


def actions_of(service: str) -> dict[str, argparse.Action]:
    """Return the options of a service that not all services have."""
    actions = service_parser(DESCRIPTIONS[service])._actions
    return {action.option_strings[-1]: action for action in actions if action.option_strings[-1] not in COMMON_OPTIONS}


def keys_of(schema: dict[str, Any], node: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the keys below a part of a JSON schema, with dots between them."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    items = [node["items"]] if isinstance(node.get("items"), dict) else []
    for part in (*node.get("anyOf", ()), *node.get("oneOf", ()), *items):
        yield from keys_of(schema, part, path)
    for name, part in node.get("properties", {}).items():
        key = f"{path}.{name}".removeprefix(".")
        yield key
        yield from keys_of(schema, part, key)


def configuration_keys() -> set[str]:
    schemas = [system.model.model_json_schema() for system in systems().values()]
    keys = {key for schema in schemas for key in keys_of(schema, schema)}
    for description in service_descriptions():
        if description.options is not None:
            keys.add(f"services.{description.name}")
            keys |= {f"services.{description.name}.{key}" for key in description.options.model_fields}
    # The options of a detector type are rows of the page on the configuration.
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/reference/configuration.md").read_text(), re.MULTILINE)
    return keys | {f"detector.{row}" for row in rows}


@pytest.mark.parametrize("service", SERVICES)
def test_page_of_a_service_has_the_anatomy_of_all(service: str) -> None:
    text = (ROOT / "services" / service / "README.md").read_text()
    (entry,) = entry_points(group="std_daq.services", name=service.replace("_", "-"))
    description = entry.load()
    (file,) = {system.file for system in systems().values() if system.model is description.config} or {"detector.json"}
    config = f" --config {file}" if description.config_of is None else ""
    assert text.startswith(f"# {service}\n\n`{description.command}{config}")
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert [heading for heading in headings if heading in ANATOMY] == ANATOMY


@pytest.mark.parametrize("service", SERVICES)
def test_page_names_each_option_of_its_service_and_no_other_among_the_parameters(service: str) -> None:
    parameters = parameters_of(service)
    rows = {option for row in re.findall(r"^\| (.+?) \|", parameters, re.MULTILINE) for option in options_in(row)}
    assert set(actions_of(service)) - options_in(parameters) == set()
    assert rows - set(actions_of(service)) == set()


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


@pytest.mark.parametrize("service", ["sim_router", "sim_worker"])
def test_defaults_on_the_page_are_those_of_the_options(service: str) -> None:
    rows = dict(re.findall(r"^\| `(--[a-z-]+)[^`]*` \|([^|]*)\|", parameters_of(service), re.MULTILINE))
    actions = actions_of(service)
    assert set(rows) == set(actions)
    for option, cell in rows.items():
        default, value = cell.strip(" `"), actions[option].default
        if value is None or value is False:
            assert default in {"", "required", "all cores", "sim-worker-PID", "sim-router"}, option
        else:
            assert default == (f"{value:g}" if isinstance(value, float) else str(value)), option


def test_engines_are_the_same_on_the_page_in_the_option_and_in_the_configuration() -> None:
    (row,) = re.findall(r"^\| `--backend .*$", parameters_of("sim_worker"), re.MULTILINE)
    choices = FarmConfig.model_json_schema()["properties"]["engine"]["enum"]
    assert choices == [*(actions_of("sim_worker")["--backend"].choices or ())] == [*NAMES]
    assert all(f"`{name}`" in row for name in NAMES)


@pytest.mark.parametrize("service", SERVICES)
def test_keys_with_dots_on_a_page_are_keys_of_a_configuration(service: str) -> None:
    known = configuration_keys()
    named = set(re.findall(r"`([a-z][a-z_-]*(?:\[\])?(?:\.[a-z_*-]+(?:\[\])?)+)`", page_of(service)))
    # Files, and settings of the kernel.
    named = {key for key in named if not re.search(r"\.(json|json5|py|h5|run|lost|rrd|nbc)$|^net\.", key)}
    for key in named:
        plain = key.replace("[]", "").removesuffix(".*")
        assert plain in known, key


@pytest.mark.parametrize("section", SECTIONS)
def test_each_key_of_a_section_is_on_the_page_of_the_service_that_uses_it(section: str) -> None:
    text = "".join(parameters_of(service) for service in SECTIONS[section])
    schemas = [system.model.model_json_schema() for system in systems().values()]
    keys = {key for schema in schemas for key in keys_of(schema, schema) if key.startswith(f"{section}.")}
    assert keys
    named = set(re.findall(r"`([\w.]+)`", text))
    if section == "udp":
        keys.remove("udp.receivers")  # its entries are what --modules takes
    assert {key for key in keys if not {key, key.rpartition(".")[2]} & named} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_metrics_in_the_text_of_a_page_are_some_service_s(service: str) -> None:
    assert set(re.findall(r"`(daq_\w+)`", page_of(service))) <= set(re.findall(r"\bdaq_\w+", CATALOGUE.read_text()))


@pytest.mark.parametrize("service", SERVICES)
def test_page_names_what_its_service_tells_at_its_unix_socket(service: str) -> None:
    sources = (ROOT / "services" / service).glob("std_*/*.py")
    paths = {path for source in sources for path in re.findall(r'^PATH = "(/[^"]+)"', source.read_text(), re.MULTILINE)}
    assert {path for path in paths if f"`{path}`" not in page_of(service)} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_page_finds_in_the_log_is_an_event_of_the_code(service: str) -> None:
    failures = page_of(service).split("\n## When it fails\n")[1]
    events = set(re.findall(r"`([a-z_]+)`(?: and `[a-z_]+`)? in the log", failures))
    events |= set(re.findall(r"\(`((?!daq_)[a-z]+_[a-z_]+)`\)", failures))
    assert {event for event in events if f'"{event}"' not in SOURCES} == set()


@pytest.mark.parametrize(("service", "figure"), FIGURES)
def test_figure_on_a_page_is_that_of_the_code(service: str, figure: str) -> None:
    assert figure.format(**WebOptions().model_dump()) in re.sub(r"\s+", " ", page_of(service))


def test_architecture_tells_how_long_the_entry_of_an_image_is() -> None:
    text = (ROOT / "docs" / "explanations" / "architecture.md").read_text()
    assert f"{IMAGES.entry.itemsize} bytes for each image" in text
