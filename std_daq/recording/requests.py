"""Messages about a run that go over the broker: the write request, its statuses, its verdict and its report.

This module only models the messages; `std_daq.amqp` transports them. They follow the convention of std-daq: the
correlation id is the request id, the headers are ``action``, ``source`` and ``message``, and the body is the JSON of
the request. The headers ``verdict`` and ``report``, and the actions ``request_accepted``, ``request_progress``,
``request_killed`` and ``request_unknown`` are extensions; listeners written for the convention ignore them.
"""

import difflib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, from_json

from std_daq.config.bounds import LAST_USER_ID, MAX_SECONDS
from std_daq.config.load import config_error
from std_daq.config.section import Section
from std_daq.errors import RequestRefusedError, shorten
from std_daq.recording.config import USER_NAME
from std_daq.recording.id_ranges import format_id_ranges, parse_id_ranges

MAX_REQUEST_BYTES = 1 << 20
MAX_IMAGE_ID = 2**64 - 1
MAX_IMAGES = 2**32 - 1
MAX_ZSTD_LEVEL = 19
# All headers of a message must fit into one AMQP frame, of 128 KiB by default. Texts and lists without a natural limit
# are therefore cut to these lengths, and to shorter ones at a broker with smaller frames.
MAX_HEADER_BYTES = 130_000
MAX_MESSAGE_CHARS = 4_000
MAX_FILES_CHARS = 30_000
MAX_LOST_IDS_CHARS = 60_000
MAX_INCOMPLETE_IDS_CHARS = 25_000
MAX_LOST_IDS_EXPANDED = 1_000_000

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
# What an integer of 64 bits can be, as in HDF5.
Integer = Annotated[int, Field(ge=-(2**63), le=2**64 - 1)]
ImageId = Annotated[int, Field(ge=0, le=MAX_IMAGE_ID)]
# More images than a run of years has; sums of several such counts still have 64 bits.
ImageCount = Annotated[int, Field(ge=0, le=2**60)]
PartNumber = Annotated[int, Field(ge=0, le=2**32 - 1)]
MetadataValue = Text | Integer | float | bool
HeaderValue = str | int | float | bool
Experiment = TypeVar("Experiment", bound=Section)


class Verdict(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    KILLED = "killed"
    FAILED = "failed"
    REFUSED = "refused"

    @property
    def exit_code(self) -> int:
        """Exit code of a command that waits for the end of a run."""
        return _EXIT_CODES[self]

    @property
    def action(self) -> "Action":
        """Action with which the verdict is published.

        Listeners of the convention know only success and failure, and a run that lost images must not look like a
        success to them. Therefore a verdict that is neither complete nor killed is published as a failure.
        """
        if self is Verdict.COMPLETE:
            return Action.SUCCESS
        return Action.KILLED if self is Verdict.KILLED else Action.FAIL


_EXIT_CODES = {
    Verdict.COMPLETE: 0,
    Verdict.INCOMPLETE: 3,
    Verdict.KILLED: 4,
    Verdict.FAILED: 5,
    Verdict.REFUSED: 6,
}


class Action(StrEnum):
    """The event that a status message reports; exactly one of the last three ends each request.

    UNKNOWN answers a kill whose request the agent does not know.
    """

    UNKNOWN = "request_unknown"
    ACCEPTED = "request_accepted"
    START = "request_start"
    PROGRESS = "request_progress"
    SUCCESS = "request_success"
    FAIL = "request_fail"
    KILLED = "request_killed"

    @property
    def is_final(self) -> bool:
        """Whether this is the last status of a request."""
        return self in {Action.SUCCESS, Action.FAIL, Action.KILLED}


FileFormat = Literal["hdf5", "pff", "graw", "hdf5+graw"]


_IS_ABSENT: JsonValue = {"type": "null"}
_RULES: list[JsonValue] = [
    {"anyOf": [{"properties": {"images_per_file": _IS_ABSENT}}, {"properties": {"n_files": _IS_ABSENT}}]},
    {
        "anyOf": [
            {"properties": {"compression_level": _IS_ABSENT}},
            {"properties": {"compression": {"const": "bszstd"}}, "required": ["compression"]},
        ]
    },
    {
        "anyOf": [
            {"properties": {"format": {"enum": ["hdf5", "graw", "hdf5+graw"]}}},
            {"properties": {"compression": {"const": "none"}, "n_files": _IS_ABSENT}},
        ]
    },
]
"""What the members of a write request demand of each other, in the words of JSON schema."""


class WriteRequest(BaseModel):
    """What a user asks to be written; the body of a request message, as JSON."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, json_schema_extra={"allOf": _RULES}
    )

    output_file: Text = Field(
        min_length=1,
        max_length=4096,
        description="Path of the file (of the master file, if a run has several). {number} or {number:04} in its name "
        "stands for the next number, after those of the files that are there; the status tells the name.",
    )
    n_images: int | None = Field(
        default=None,
        ge=1,
        le=MAX_IMAGES,
        description="Number of images, or of events of a chamber, to write; absent: until killed.",
    )
    start_image_id: int | None = Field(
        default=None,
        ge=0,
        le=MAX_IMAGE_ID,
        description="Id of the first image or event, which may be in the past if it is still in the ring; absent: of "
        "the next one.",
    )
    format: FileFormat = Field(
        default="hdf5",
        description="Format of the files: hdf5, or pff for a telescope. With pff, output_file is an index in JSON, and "
        "the PFF files lie beside it in a folder for each module; images_per_file holds for each module. For a chamber "
        "graw: output_file is an index in JSON, and the raw frames lie beside it in GRAW files, one or more a board; "
        "hdf5+graw: both, and the index has the name of the merged file with .graw.json.",
    )
    layout: Literal["1.0", "2.0"] | None = Field(
        default=None, description="Layout of the merged file of a chamber; absent: 1.0. Images have no layouts."
    )
    compression: Literal["none", "bslz4", "bszstd"] = Field(
        default="none", description="Compression of the pixels: none, or bitshuffle with LZ4 or with Zstandard."
    )
    compression_level: int | None = Field(
        default=None,
        ge=1,
        le=MAX_ZSTD_LEVEL,
        description="Level of bszstd: higher ones give smaller files and take longer; by default 1.",
    )
    images_per_file: int | None = Field(
        default=None, ge=1, le=MAX_IMAGES, description="Number of images in each data file; excludes n_files."
    )
    n_files: int | None = Field(
        default=None,
        ge=1,
        le=MAX_IMAGES,
        description="Number of data files that share the images; excludes images_per_file.",
    )
    conflict: Literal["refuse", "rename"] = Field(
        default="refuse",
        description="If the file exists: refuse the request, or write to a name with a number added.",
    )
    first_image_timeout_s: float | None = Field(
        default=None,
        gt=0,
        le=MAX_SECONDS,
        description="Longest wait for the first image, in seconds; absent: as in the writer's configuration.",
    )
    image_timeout_s: float | None = Field(
        default=None,
        gt=0,
        le=MAX_SECONDS,
        description="Longest wait for each further image, in seconds; absent: as in the writer's configuration.",
    )
    user: Annotated[str, Field(pattern=USER_NAME)] | Annotated[int, Field(ge=1, le=LAST_USER_ID)] | None = Field(
        default=None,
        description="User to whom the files belong, by name or number, one of writer.users of the configuration; "
        "absent: as in the writer's configuration.",
    )
    experiment: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="What only the user knows of the run, such as wavelength and motion of the sample; the model of "
        "the detector system says which keys there are.",
    )
    user_metadata: dict[Text, MetadataValue] = Field(
        default_factory=dict,
        description="Names and values that are stored in the file unchanged.",
        json_schema_extra={"additionalProperties": False},  # beside names that have the pattern
    )

    @field_validator("experiment")
    @classmethod
    def _numbers_are_finite(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        json.dumps(value, allow_nan=False)  # the ValueError says so
        return value

    @model_validator(mode="after")
    def _files_are_given_in_one_way(self) -> Self:
        if self.images_per_file is not None and self.n_files is not None:
            raise ValueError("images_per_file and n_files exclude each other: give one of them")
        return self

    @property
    def zstd_level(self) -> int | None:
        """Level of Zstandard; None if the pixels are not compressed with it."""
        return (self.compression_level or 1) if self.compression == "bszstd" else None

    @model_validator(mode="after")
    def _level_is_of_a_compression_that_has_levels(self) -> Self:
        if self.compression_level is not None and self.compression != "bszstd":
            raise ValueError(f"compression_level is for bszstd: {self.compression} has no levels")
        return self

    @model_validator(mode="after")
    def _format_has_what_is_asked_for(self) -> Self:
        if self.format == "pff" and self.compression != "none":
            raise ValueError("PFF files are not compressed: leave compression out")
        if self.format == "pff" and self.n_files is not None:
            raise ValueError("PFF files are not shared out: give images_per_file instead of n_files")
        return self

    def to_wire(self) -> bytes:
        """Return the body of the request message."""
        return self.model_dump_json(exclude_defaults=True).encode()


def parse_write_request(source: bytes | Mapping[str, object]) -> WriteRequest:
    """Return the write request in the body of a message, or with the given fields.

    Raises
    ------
    RequestRefusedError
        The request is not valid. The message names each wrong key with its value, and for an unknown key the most
        similar known key.
    """
    try:
        if not isinstance(source, bytes):
            return WriteRequest.model_validate(dict(source))
        check_request_size(len(source))
        return WriteRequest.model_validate_json(source)
    except ValidationError as error:
        problems = "; ".join(_describe(detail) for detail in error.errors(include_url=False)[:10])
        raise RequestRefusedError(f"write request: {problems}") from None


def check_request_size(n_bytes: int) -> None:
    """Raise RequestRefusedError if a body of this length is too long for a write request."""
    if n_bytes > MAX_REQUEST_BYTES:
        raise RequestRefusedError(f"write request: it has {n_bytes} bytes; at most {MAX_REQUEST_BYTES} are allowed")


def parse_experiment(section: Mapping[str, object], model: type[Experiment]) -> Experiment:
    """Return the section ``experiment`` of a request, as the model of the detector system reads it.

    Raises
    ------
    RequestRefusedError
        A key is unknown or a value is wrong; the message names the first of them.
    """
    try:
        return model.model_validate(dict(section))
    except ValidationError as error:
        problem = config_error(error, model, prefix="experiment")
        is_unknown = any(detail["type"] == "extra_forbidden" for detail in error.errors())
        elsewhere = "; values of your own go into user_metadata" if is_unknown else ""
        raise RequestRefusedError(f"write request: {problem}{elsewhere}") from None


def _describe(detail: ErrorDetails) -> str:
    """Return one phrase that says what is wrong with a field."""
    key = ".".join(str(part) for part in detail["loc"])
    value = f"(got {shorten(repr(detail['input']), 80)})"
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, WriteRequest.model_fields, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(WriteRequest.model_fields)}"
        return f"key '{shorten(key, 80)}' is unknown {value}; {hint}"
    if detail["type"] == "missing":
        return f"key '{key}' is missing"
    message = detail["msg"].removeprefix("Value error, ")
    return f"key '{shorten(key, 80)}': {message} {value}" if key else f"{message} {value}"


def new_request_id() -> str:
    """Return an id for a new request."""
    return str(uuid.uuid4())


def check_request_id(text: str | None) -> str:
    """Return a request id, the correlation id of a request's message, if it is the text of a UUID.

    The text is returned unchanged, because clients compare request ids as text.

    Raises
    ------
    RequestRefusedError
        There is no id, or it is not the text of a UUID.
    """
    text = text or ""
    try:
        uuid.UUID(text)
    except ValueError:
        shown = shorten(repr(text), 80)
        raise RequestRefusedError(
            f"request id {shown} is not a UUID, such as {uuid.UUID(int=0)}; std-daq and DaqClient make one themselves, "
            "and a program of your own sets the correlation_id of its message to the text of a uuid4"
        ) from None
    return text


class FaultCount(BaseModel):
    """Images, or events, with a fault, and the parts of the detector that have it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    n_images: ImageCount = Field(default=0, description="Images, or events, with the fault.")
    modules: tuple[PartNumber, ...] = Field(default=(), description="Modules with the fault, as far as they are known.")
    storage_cells: tuple[PartNumber, ...] = Field(
        default=(), description="Of frames without calibration: the storage cells in which they were exposed."
    )
    boards: tuple[tuple[PartNumber, PartNumber], ...] = Field(
        default=(), description="Of events with missing boards: the boards, each as CoBo and AsAd."
    )


class RunReport(BaseModel):
    """Numbers and files of a run; part of the last status of its request, of the file and of the client's JSON."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    request_id: str = Field(description="Id of the request, the text of a UUID.")
    verdict: Verdict = Field(description="How the run ended.")
    reason: str = Field(default="", description="Reason for the verdict; empty if all requested images are written.")
    n_requested: ImageCount | None = Field(default=None, description="Images asked for; null: until killed.")
    n_written: ImageCount = Field(default=0, description="Images in the files, including incomplete images.")
    n_incomplete: ImageCount = Field(default=0, description="Images written that are not good.")
    faults: dict[str, FaultCount] = Field(
        default_factory=dict, description="The images that are not good, by fault: the name of the status flag."
    )
    n_lost: ImageCount = Field(default=0, description="Images of the run that are in no file.")
    lost_image_ids: tuple[ImageId, ...] = Field(default=(), description="Ids of the lost images, as far as known.")
    lost_image_ids_truncated: ImageCount = Field(
        default=0,
        description="Number of known ids that lost_image_ids leaves out, because the message is full.",
    )
    incomplete_image_ids: tuple[ImageId, ...] = Field(
        default=(), description="Ids of the images written that are not good, as far as known."
    )
    incomplete_image_ids_truncated: ImageCount = Field(
        default=0, description="Number of known ids that incomplete_image_ids leaves out."
    )
    first_image_id: ImageId | None = Field(default=None, description="Id of the first image that came.")
    last_image_id: ImageId | None = Field(default=None, description="Id of the last image that came.")
    files: tuple[str, ...] = Field(default=(), description="Files of the run, the master first.")
    files_truncated: ImageCount = Field(
        default=0, description="Number of files that the list leaves out, because the message is full."
    )
    started_at: datetime | None = Field(default=None, description="When the run began (UTC).")
    ended_at: datetime | None = Field(default=None, description="When the run ended (UTC).")

    def to_wire(self, share: float = 1.0) -> str:
        """Return the ``report`` header: JSON with ids as ranges, and with lists cut to fit into a message.

        Parameters
        ----------
        share
            Share of the usual lengths to which the lists and the reason are cut, from 0 to 1.
        """
        lost, n_lost_left_out = format_id_ranges(self.lost_image_ids, int(MAX_LOST_IDS_CHARS * share))
        incomplete, n_left_out = format_id_ranges(self.incomplete_image_ids, int(MAX_INCOMPLETE_IDS_CHARS * share))
        files: list[str] = []
        n_chars = 0
        for name in self.files:
            n_chars += len(json.dumps(name))
            if n_chars > MAX_FILES_CHARS * share:
                break
            files.append(name)
        fields = self.model_dump(mode="json") | {
            "reason": shorten(self.reason, int(MAX_MESSAGE_CHARS * share)),
            "lost_image_ids": lost,
            "lost_image_ids_truncated": self.lost_image_ids_truncated + n_lost_left_out,
            "incomplete_image_ids": incomplete,
            "incomplete_image_ids_truncated": self.incomplete_image_ids_truncated + n_left_out,
            "files": files,
            "files_truncated": self.files_truncated + len(self.files) - len(files),
        }
        return json.dumps(fields)

    @classmethod
    def from_wire(cls, text: str) -> Self:
        """Parse a ``report`` header.

        Raises
        ------
        ValueError
            The text is not a report.
        """
        fields = from_json(text)
        if not isinstance(fields, dict) or not all(isinstance(fields.get(name, ""), str) for name in _ID_LISTS):
            raise ValueError("a report must be a JSON object, and its lists of ids texts with ranges of ids")
        lists = {name: parse_id_ranges(fields.get(name, ""), MAX_LOST_IDS_EXPANDED) for name in _ID_LISTS}
        report = cls.model_validate(fields | {name: ids for name, (ids, _) in lists.items()})
        more = {f"{name}_truncated": n for name, (_, n) in lists.items() if n}
        return report.model_copy(update={name: n + getattr(report, name) for name, n in more.items()})


_ID_LISTS = ("lost_image_ids", "incomplete_image_ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMessage:
    """One status of a request.

    Attributes
    ----------
    request_id
        Id of the request, the correlation id of the message.
    action
        The event that is reported.
    source
        Name of the service that reports it.
    message
        The event in words, for a person.
    body
        JSON of the request, as it was received.
    report
        Report of the run, in the status that ends a request; None in the others.
    details
        Further headers, such as the numbers in a progress status.
    """

    request_id: str
    action: Action
    source: str
    message: str = ""
    body: bytes = b""
    report: RunReport | None = None
    details: Mapping[str, HeaderValue] = field(default_factory=dict)

    @classmethod
    def of_report(cls, report: RunReport, *, source: str, body: bytes) -> Self:
        """Return the status that ends a request, with the report of its run."""
        return cls(
            request_id=report.request_id,
            action=report.verdict.action,
            source=source,
            message=f"{report.verdict}: {report.reason}" if report.reason else str(report.verdict),
            body=body,
            report=report,
        )

    def to_wire(self, max_header_bytes: int = MAX_HEADER_BYTES) -> tuple[bytes, dict[str, HeaderValue]]:
        """Return the body and the headers of the message; its correlation id is the request id.

        Parameters
        ----------
        max_header_bytes
            Room for the headers; the texts and lists of the status are cut until they fit, to nothing at the worst.
        """
        share = 1.0
        headers = self._headers(share)
        while _n_table_bytes(headers) > max_header_bytes and share > 0:
            share = share / 2 if share > _MIN_SHARE else 0.0
            headers = self._headers(share)
        return self.body, headers

    def _headers(self, share: float) -> dict[str, HeaderValue]:
        headers: dict[str, HeaderValue] = {
            **self.details,
            "action": str(self.action),
            "source": self.source,
            "message": shorten(self.message, int(MAX_MESSAGE_CHARS * share)),
        }
        if self.report is not None:
            headers |= {"verdict": str(self.report.verdict), "report": self.report.to_wire(share)}
        return headers

    @classmethod
    def from_wire(cls, request_id: str, body: bytes, headers: Mapping[str, object]) -> Self:
        """Parse a message of the status exchange.

        Raises
        ------
        ValueError
            The message is not a status, or its action is unknown; other services may publish further actions.
        """
        report = headers.get("report")
        return cls(
            request_id=request_id,
            action=Action(str(headers.get("action"))),
            source=str(headers.get("source", "")),
            message=str(headers.get("message", "")),
            body=body,
            report=None if report is None else RunReport.from_wire(str(report)),
            details={
                name: value
                for name, value in headers.items()
                if name not in _OWN_HEADERS and isinstance(value, HeaderValue)
            },
        )


# Below this share of the usual lengths, nothing useful is left of texts and lists.
_MIN_SHARE = 0.01


def _n_table_bytes(headers: Mapping[str, HeaderValue]) -> int:
    """Return the length of headers as an AMQP table: of each, its name, its type and its value."""
    return 4 + sum(
        1 + len(name.encode()) + 1 + (4 + len(value.encode()) if isinstance(value, str) else 8)
        for name, value in headers.items()
    )


_OWN_HEADERS = frozenset({"action", "source", "message", "verdict", "report"})
