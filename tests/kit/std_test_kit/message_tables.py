"""Message classes made from tables of their fields; they know nothing of std-daq's own descriptions."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory, struct_pb2, timestamp_pb2

Fields = dict[str, str]
"""Of a message: numbers and names, with their type; ``*`` marks repeated ones, ``enum Type`` its enumerations."""

_SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("bool", "double", "uint32", "int32", "string", "bytes")
}
_KNOWN = {"Struct": struct_pb2, "Timestamp": timestamp_pb2}


def make_messages(
    package: str, tables: Mapping[str, Fields], enumerations: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return message classes by name, in a pool of their own.

    Parameters
    ----------
    package
        Package of the protocol.
    tables
        Fields of each message.
    enumerations
        Values of each ``Message.Enumeration``, numbered from 0.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    pool = descriptor_pool.DescriptorPool()
    for known in (*_KNOWN.values(), empty_pb2):
        file.dependency.append(known.DESCRIPTOR.name)
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    for name, fields in tables.items():
        message = file.message_type.add(name=name)
        for place, kind in fields.items():
            _add_field(package, message, place, kind)
        for enumeration, values in enumerations.items():
            owner, _, own_name = enumeration.partition(".")
            if owner == name:
                made = message.enum_type.add(name=own_name)
                for number, value in enumerate(values):
                    made.value.add(name=value, number=number)
    described = pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(one) for name, one in described.message_types_by_name.items()}


def _add_field(package: str, message: descriptor_pb2.DescriptorProto, place: str, kind: str) -> None:
    number, name = place.split()
    field = message.field.add(name=name, number=int(number))
    is_repeated, kind = kind.startswith("*"), kind.removeprefix("*")
    field.label = field.LABEL_REPEATED if is_repeated else field.LABEL_OPTIONAL
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    elif kind.startswith("enum "):
        field.type, field.type_name = field.TYPE_ENUM, f".{package}.{message.name}.{kind.removeprefix('enum ')}"
    else:
        owner = "google.protobuf" if kind in _KNOWN else package
        field.type, field.type_name = field.TYPE_MESSAGE, f".{owner}.{kind}"
