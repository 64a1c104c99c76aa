import pytest

from std_daq.errors import ConfigError
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.sls_import import import_sls_config, parse_sls_commands
from std_daq.imaging.detectors.registry import open_detector

EIGER = """
detsize 1024 512
hostname beb059+beb058+   # two halves of a module
rx_tcpport 1991
udp_dstport 50032
udp_dstport2 50033
0:udp_dstip 10.0.0.1
1:udp_dstip 10.0.0.1
dr 32
exptime 10 ms
period 0.02
fpath /data/eiger
highvoltage 150
"""
JUNGFRAU = """
hostname jf-00+jf-01+jf-02+jf-03
detsize 2048 1024
rx_udpport 50004
0-3:udp_dstip 10.1.2.4
powerchip 1
readnrows 256
"""


def test_module_prefix_old_names_and_comments_are_understood() -> None:
    commands = list(parse_sls_commands("# all\n0:rx_udpport 50001\n0-1:udp_dstport 50002 # last\n\n=== nonsense\n"))
    assert [(command.module, command.name, command.values) for command in commands] == [
        (0, "udp_dstport", ("50001",)),
        (1, "udp_dstport", ("50002",)),
    ]


def test_draft_of_an_eiger_module_is_a_valid_configuration() -> None:
    imported = import_sls_config(EIGER, detector_name="det")
    config = parse_config(imported.document)
    detector = open_detector(config)
    assert detector.n_ports == 4
    assert config.image_shape == (514, 1030)
    assert config.module_positions == {
        0: (0, 255, 513, 0),
        1: (516, 255, 1029, 0),
        2: (0, 258, 513, 513),
        3: (516, 258, 1029, 513),
    }
    assert config.start_udp_port == 50032
    assert config.bit_depth == 32
    assert config.udp.address == "10.0.0.1"
    assert config.nexus.count_time_s == pytest.approx(0.01)
    assert config.nexus.frame_time_s == pytest.approx(0.02)
    assert [str(root) for root in config.writer.output_roots] == ["/data/eiger"]


def test_what_was_not_taken_over_is_told() -> None:
    remarks = "\n".join(import_sls_config(EIGER, detector_name="det").remarks)
    assert "rx_tcpport" in remarks
    assert "highvoltage" in remarks
    for taken in ("detsize", "udp_dstport", "exptime", "fpath"):
        assert taken not in remarks


def test_jungfrau_modules_are_placed_column_by_column() -> None:
    imported = import_sls_config(JUNGFRAU, detector_name="jf")
    config = parse_config(imported.document)
    assert config.detector_type == "jungfrau"
    assert open_detector(config).n_ports == 4
    assert config.n_modules == 4
    assert config.start_udp_port == 50004
    corners = [config.module_positions[module][:2] for module in range(4)]
    assert corners == [(0, 0), (0, 514), (1030, 0), (1030, 514)]
    assert config.detector == {"readnrows": 256}
    assert not any("readnrows" in remark for remark in imported.remarks)


def test_two_interfaces_of_a_jungfrau_take_two_ports_a_module() -> None:
    text = """
    hostname jf-00+jf-01
    detsize 1024 1024
    numinterfaces 2
    0:udp_dstport 32410
    0:udp_dstport2 32411
    1:udp_dstport 32412
    1:udp_dstport2 32413
    0:udp_dstip 10.0.0.1
    0:udp_dstip2 10.0.0.1
    1:udp_dstip 10.0.0.1
    1:udp_dstip2 10.0.0.1
    """
    imported = import_sls_config(text, detector_name="jf")
    config = parse_config(imported.document)
    assert (config.n_modules, config.udp.numinterfaces, config.udp.address) == (2, 2, "10.0.0.1")
    assert (config.start_udp_port, open_detector(config).n_ports) == (32410, 4)
    assert imported.remarks == ["module_positions leave no gap between modules: enter their true positions"]


def test_ports_of_two_interfaces_count_up_from_one_command_for_all_modules() -> None:
    text = "hostname jf-00+jf-01\nnuminterfaces 2\nudp_dstport 50010\nudp_dstport2 50011\n"
    imported = import_sls_config(text, detector_name="jf")
    assert imported.document["start_udp_port"] == 50010
    assert not any("count up" in remark for remark in imported.remarks)


def test_an_eiger_over_1_gb_with_12_bits_and_fewer_rows_is_taken_over() -> None:
    text = EIGER.replace("dr 32", "dr 12\ntengiga 0\nreadnrows 64\nquad 1")
    imported = import_sls_config(text, detector_name="det")
    config = parse_config(imported.document)
    assert config.bit_depth == 12
    assert config.detector == {"tengiga": False, "readnrows": 64}
    assert open_detector(config).packet_layout(0).packets_per_frame == 48
    assert any("quad" in remark for remark in imported.remarks)
    assert not any("tengiga" in remark or "readnrows" in remark for remark in imported.remarks)


def test_an_eiger_of_which_the_file_does_not_say_how_it_sends_is_remarked_on() -> None:
    remarks = import_sls_config(EIGER, detector_name="det").remarks
    assert any("tengiga" in remark and "10 Gb" in remark for remark in remarks)
    assert not any(
        "tengiga" in remark for remark in import_sls_config(f"{EIGER}tengiga 1\n", detector_name="d").remarks
    )


def test_servers_that_get_frames_in_turn_are_counted() -> None:
    text = JUNGFRAU + "".join(f"0:{i}:udp_dstlist ip=10.1.2.{4 + i} port=50004\n" for i in range(4))
    imported = import_sls_config(text, detector_name="jf")
    config = parse_config(imported.document)
    assert config.udp.numdst == 4
    assert config.udp.address == "0.0.0.0"
    assert any("4 servers in turn" in remark for remark in imported.remarks)


def test_rows_that_differ_between_modules_are_told() -> None:
    text = "hostname jf-00+jf-01\n0:readnrows 64\n1:readnrows 128\n"
    imported = import_sls_config(text, detector_name="jf")
    assert "detector" not in imported.document
    assert any("readnrows differs" in remark for remark in imported.remarks)


def test_gap_pixels_separate_the_modules() -> None:
    config = parse_config(import_sls_config(f"{JUNGFRAU}gappixels 1\n", detector_name="jf").document)
    assert config.module_positions[3][:2] == (1038, 550)


def test_ports_that_do_not_count_up_are_told_with_the_remedy() -> None:
    text = "hostname jf-00+jf-01\n0:udp_dstport 32410\n1:udp_dstport 42410\n"
    remarks = import_sls_config(text, detector_name="jf").remarks
    assert any("32410 to 32411" in remark for remark in remarks)


def test_several_receiving_addresses_are_told() -> None:
    text = "hostname jf-00+jf-01\n0:udp_dstip 10.0.0.1\n1:udp_dstip 10.0.0.2\n"
    imported = import_sls_config(text, detector_name="jf")
    assert "udp" not in imported.document
    assert any("10.0.0.1, 10.0.0.2" in remark for remark in imported.remarks)


@pytest.mark.parametrize("text", ["", "dr 16\n", "\x00\xff", "hostname\n", "hostname +\n"])
def test_file_without_detector_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="no hostname"):
        import_sls_config(text, detector_name="det", detector_type="eiger")


def test_unknown_kind_of_detector_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="--detector-type"):
        import_sls_config("hostname host1\n", detector_name="det")
    assert import_sls_config("hostname host1\n", detector_name="det", detector_type="jungfrau").document
