"""What server reflection tells, as text: services, their methods, and the messages of these. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

_Request = reflection_pb2.ServerReflectionRequest
LIST_SERVICES = _Request(list_services="")


def requests_for(answer: Any) -> list[Any]:
    """Return the requests that ask for the services of which a list tells."""
    return [_Request(file_containing_symbol=service.name) for service in answer.list_services_response.service]


def describe(answers: Iterable[Any]) -> str:
    """Return the services and methods of the answers to `requests_for`, a line for each."""
    return "\n".join(line for answer in answers for line in _lines(answer))


def _lines(answer: Any) -> Iterator[str]:
    name = answer.original_request.file_containing_symbol
    if answer.HasField("error_response"):
        yield f"{name}: {answer.error_response.error_message}"
        return
    for raw in answer.file_descriptor_response.file_descriptor_proto:
        file = descriptor_pb2.FileDescriptorProto.FromString(raw)
        for service in file.service:
            if f"{file.package}.{service.name}" == name:
                yield name
                yield from (f"    {_method(method)}" for method in service.method)


def _method(method: Any) -> str:
    request = f"{'stream ' if method.client_streaming else ''}{method.input_type.rpartition('.')[2]}"
    response = f"{'stream ' if method.server_streaming else ''}{method.output_type.rpartition('.')[2]}"
    return f"{method.name}({request}) returns ({response})"
