"""Section: the base class of all parts of a configuration."""

from pydantic import BaseModel, ConfigDict

# Type of a validation error whose value must not appear in a message.
SECRET = "secret"  # noqa: S105 -- the name of a type, not a secret


class Section(BaseModel):
    """A part of a configuration; it cannot be changed after it is read, and unknown keys are an error.

    A key may have another name in the file (``alias``) than in the code. Errors, the schema and written files use the
    name in the file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)
