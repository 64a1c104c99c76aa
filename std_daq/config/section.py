"""Section: what every part of a configuration is."""

from pydantic import BaseModel, ConfigDict

# Type of the errors whose value must not be told.
SECRET = "secret"  # noqa: S105 -- a type, not one of them


class Section(BaseModel):
    """A part of a configuration: fixed once it is read, and without keys that nobody knows.

    A key may have another name in the file than in the code (``alias``); the file's name is the one that is written,
    told in errors, and published in the schema.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)
