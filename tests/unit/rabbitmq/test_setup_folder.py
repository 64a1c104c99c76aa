import base64
import hashlib
import json
import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.amqp.address import BrokerAddress
from std_daq.amqp.topology import writer_queues
from std_daq.cli.__main__ import main
from std_daq.errors import ConfigError
from std_daq.rabbitmq.definitions import hash_password, is_hash_of, make_definitions
from std_daq.rabbitmq.roles import all_roles
from std_daq.rabbitmq.setup_folder import BrokerSetup, write_setup

SETUP = BrokerSetup(
    tags=["jungfrau", "eiger"],
    hosts=["rabbitmq"],
    port=5672,
    listen_on="0.0.0.0",
    vhost="std-daq",
    has_tls=False,
    queue_type="default",
    mounted_at=Path("/etc/rabbitmq"),
)
SECRETS = ["jungfrau-agent", "jungfrau-client", "eiger-agent", "eiger-client", "listener", "monitor", "admin"]


def password(folder: Path, role: str) -> str:
    return (folder / f"{role}.url").read_text().partition(f"{role}:")[2].partition("@")[0]


def test_each_role_gets_a_url_of_its_own_that_nobody_else_reads(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "secrets"
    written = write_setup(SETUP, folder)
    assert [file.stem for _, file in written] == SECRETS
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for _, file in written:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    passwords = {password(folder, role) for role in SECRETS}
    assert len(passwords) == len(SECRETS)
    assert all(len(one) >= 40 for one in passwords)
    public = (folder / "definitions.json").read_text() + (folder / "rabbitmq.conf").read_text()
    assert not [one for one in passwords if one in public]


def test_rabbitmq_can_read_its_files_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_setup(SETUP, tmp_path)
    finally:
        os.umask(before)
    for name in ("definitions.json", "rabbitmq.conf"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o644


def test_password_is_what_the_hash_in_the_definitions_was_made_of(tmp_path: Path) -> None:
    write_setup(SETUP, tmp_path)
    for user in json.loads((tmp_path / "definitions.json").read_text())["users"]:
        raw = base64.b64decode(user["password_hash"])
        assert raw[4:] == hashlib.sha256(raw[:4] + password(tmp_path, user["name"]).encode()).digest()


def test_run_again_changes_nothing_and_a_new_host_keeps_the_passwords(tmp_path: Path) -> None:
    def contents() -> dict[str, str]:
        return {file.name: file.read_text() for file in tmp_path.iterdir()}

    write_setup(SETUP, tmp_path)
    first = contents()
    write_setup(SETUP, tmp_path)
    assert contents() == first
    write_setup(replace(SETUP, hosts=["node-0", "node-1", "::1"]), tmp_path)
    moved = contents()
    assert moved["definitions.json"] == first["definitions.json"]
    address = BrokerAddress.parse(moved["listener.url"])
    assert str(address) == "amqp://node-0:5672/std-daq, amqp://node-1:5672/std-daq, amqp://[::1]:5672/std-daq"
    assert password(tmp_path, "listener") == first["listener.url"].partition("listener:")[2].partition("@")[0]


def test_removed_url_file_gets_a_new_password(tmp_path: Path) -> None:
    write_setup(SETUP, tmp_path)
    before = (tmp_path / "definitions.json").read_text()
    (tmp_path / "listener.url").unlink()
    write_setup(SETUP, tmp_path)
    assert (tmp_path / "definitions.json").read_text() != before


def test_tls_needs_its_certificates(tmp_path: Path) -> None:
    setup = replace(SETUP, has_tls=True, port=5671)
    with pytest.raises(ConfigError, match=r"ca\.pem.*secure-the-broker"):
        write_setup(setup, tmp_path)
    for name in ("ca.pem", "broker-cert.pem", "broker-key.pem"):
        (tmp_path / name).touch()
    write_setup(setup, tmp_path)
    text = (tmp_path / "rabbitmq.conf").read_text()
    assert "listeners.tcp = none" in text
    assert "listeners.ssl.1 = 0.0.0.0:5671" in text
    assert (tmp_path / "admin.url").read_text().startswith("amqps://admin:")


@pytest.mark.parametrize("text", ["amqp://somebody:else@host", "", "nonsense", "amqp://listener:hu℀sh@[host"])
def test_file_that_is_something_else_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "listener.url").write_text(text)
    with pytest.raises(ConfigError, match="listener") as caught:
        write_setup(SETUP, tmp_path)
    assert "hu" not in str(caught.value)
    assert (tmp_path / "listener.url").read_text() == text


def test_tag_that_cannot_be_one_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tag"):
        write_setup(replace(SETUP, tags=["a*"]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_definitions_have_the_queues_that_the_agent_declares() -> None:
    hashes = dict.fromkeys(SECRETS, "")
    definitions = make_definitions(["jungfrau", "eiger"], "v", hashes, "classic")
    declared = {queue.name: dict(queue.arguments) for tag in SETUP.tags for queue in writer_queues(tag, "classic")}
    assert {queue["name"]: queue["arguments"] for queue in definitions["queues"]} == declared
    assert {(one["source"], one["destination"], one["routing_key"]) for one in definitions["bindings"]} == {
        (exchange, f"{tag}.{exchange}", tag) for tag in SETUP.tags for exchange in ("request", "kill", "refused")
    }
    assert not make_definitions(["jungfrau", "eiger"], "v", hashes, "quorum")["queues"]


@pytest.mark.parametrize("queue", ["a.request", "a.kill", "a.refused", "status.listener.5"])
def test_no_queue_can_fill_the_disk(queue: str) -> None:
    policies = make_definitions(["a"], "v", dict.fromkeys([role.name for role in all_roles(["a"])], ""))["policies"]
    (policy,) = [policy for policy in policies if re.search(policy["pattern"], queue)]
    assert policy["definition"]["max-length-bytes"] <= 1 << 30


@given(st.text(), st.text())
def test_hash_is_one_of_its_password_only(password: str, other: str) -> None:
    made = hash_password(password)
    assert is_hash_of(password, made)
    assert is_hash_of(other, made) == (password == other)


@pytest.mark.parametrize("text", ["", "é", "AA", "not base64"])
def test_nonsense_is_no_hash(text: str) -> None:
    assert not is_hash_of("", text)


def test_command_tells_where_the_secrets_are_and_not_what_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["broker-setup", "--tag", "jungfrau", "jungfrau", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "jungfrau-agent.url" in said
    assert not [file for file in tmp_path.glob("*.url") if password(tmp_path, file.stem) in said]


def test_command_tells_of_files_that_are_left_of_a_system_whose_agent_was_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["broker-setup", "--tag", "jungfrau", "eiger", "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "eiger-agent.url").unlink()
    assert main(["broker-setup", "--tag", "jungfrau", "--output", str(tmp_path)]) == 0
    assert "rabbitmqctl delete_user eiger-client" in capsys.readouterr().err
    assert (tmp_path / "eiger-client.url").exists()


def detector(folder: Path, name: str, **broker: str) -> str:
    file = folder / f"{name}.json"
    document = {
        "detector_name": name,
        "detector_type": "eiger",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 256,
        "image_pixel_width": 514,
        "start_udp_port": 50000,
        "module_positions": {},
        "broker": broker,
    }
    file.write_text(json.dumps(document))
    return str(file)


def test_detectors_tell_their_tags_and_the_type_of_their_queues(tmp_path: Path) -> None:
    files = [detector(tmp_path, "a", queue_type="classic", tag="x"), detector(tmp_path, "b", queue_type="classic")]
    folder = tmp_path / "secrets"
    assert main(["broker-setup", "--config", *files, "--output", str(folder)]) == 0
    assert {file.stem for file in folder.glob("*-agent.url")} == {"x-agent", "b-agent"}
    queues = json.loads((folder / "definitions.json").read_text())["queues"]
    assert {queue["arguments"]["x-queue-type"] for queue in queues} == {"classic"}


def test_detectors_that_disagree_on_their_queues_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [detector(tmp_path, "a", queue_type="quorum"), detector(tmp_path, "b")]
    assert main(["broker-setup", "--config", *files, "--output", str(tmp_path / "secrets")]) == 2
    assert "another configuration has quorum (got 'default')" in capsys.readouterr().err
    assert not (tmp_path / "secrets").exists()
