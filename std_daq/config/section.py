"""Section: the base class of all parts of a configuration."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

# Type of a validation error whose value must not appear in a message.
SECRET = "secret"  # noqa: S105 -- the name of a type, not a secret


class Section(BaseModel):
    """A part of a configuration; it cannot be changed after it is read, and unknown keys are an error.

    A key may have another name in the file (``alias``) than in the code. Errors, the schema and written files use the
    name in the file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True, allow_inf_nan=False)


# Key of the context in which a document is validated: the folder of its file.
FOLDER = "folder"


def beside_file(path: Path, info: ValidationInfo) -> Path:
    """Return a path; one that is relative is relative to the file of the configuration, if there is one."""
    folder = (info.context or {}).get(FOLDER)
    return path if folder is None else Path(folder) / path


# Relative to the file of the configuration, not to the working directory.
PathBesideFile = Annotated[Path, AfterValidator(beside_file)]


def union_tag(name: str) -> str:
    """Return the tag of an alternative in a union; tags are no keys, so errors leave them out."""
    return f"<{name}>"


def is_union_tag(part: str) -> bool:
    """Return whether a part of the location of an error is the tag of an alternative."""
    return part.startswith("<")
