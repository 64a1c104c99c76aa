"""The description of DaqData: it is made from the .proto, and all generations of clients fit it."""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_test_kit.daqdata_clients import GENERATIONS, messages_of

FOLDER = Path(messages.__file__).parent
FIRST_OWN_NUMBER = 100


def test_description_and_types_are_made_from_the_proto(tmp_path: Path) -> None:
    arguments = [f"--proto_path={FOLDER}", "--include_imports", f"--descriptor_set_out={tmp_path / 'x.binpb'}"]
    include = Path(protoc.__file__).parent / "_proto"
    assert (
        protoc.main(["protoc", f"--proto_path={include}", *arguments, f"--pyi_out={tmp_path}", "daq_data.proto"]) == 0
    )
    made, committed = (
        {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file}
        for path in (tmp_path / "x.binpb", FOLDER / "daq_data.binpb")
    )
    assert made["daq_data.proto"] == committed["daq_data.proto"], "run scripts/protos"
    assert (tmp_path / "daq_data_pb2.pyi").read_text() == (FOLDER / "daq_data_pb2.pyi").read_text()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_fields_of_every_generation_are_ours_with_number_type_and_name(generation: str) -> None:
    for name, theirs in messages_of(generation).items():
        ours = messages.DESCRIPTOR.message_types_by_name[name].fields_by_number
        for number, field in theirs.DESCRIPTOR.fields_by_number.items():
            own = ours[number]
            assert (own.name, own.type, own.is_repeated) == (field.name, field.type, field.is_repeated)


def test_what_std_daq_adds_has_numbers_from_100() -> None:
    newest = messages_of("2026-08")
    for name, message in newest.items():
        own = set(messages.DESCRIPTOR.message_types_by_name[name].fields_by_number)
        added = own - set(message.DESCRIPTOR.fields_by_number)
        assert all(number >= FIRST_OWN_NUMBER for number in added), name
