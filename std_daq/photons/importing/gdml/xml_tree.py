"""XML as a tree of nodes that know their lines. Nothing in a file makes it grow or leads out of its folder."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from std_daq.photons.importing.errors import DetectorImportError

MAX_DEPTH = 100
"""Elements within elements. Detectors use about ten; a loop in a loop is one more."""

MAX_FILES = 1000
"""Files that a file includes, directly or by others."""


@dataclass(slots=True)
class XmlNode:
    """An element: its tag, its attributes, its children, and where it stands."""

    tag: str
    attributes: dict[str, str]
    file: Path
    line: int
    children: list["XmlNode"] = field(default_factory=list)

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.file.name}, line {self.line}"

    def find(self, tag: str) -> "XmlNode | None":
        """Return the first child of this tag."""
        return next(self.find_all(tag), None)

    def find_all(self, *tags: str) -> Iterator["XmlNode"]:
        """Yield the children of these tags in order."""
        return (child for child in self.children if child.tag in tags)

    def required(self, tag: str) -> "XmlNode":
        """Return the first child of this tag.

        Raises
        ------
        DetectorImportError
            If there is none.
        """
        child = self.find(tag)
        if child is None:
            raise self.error(f"<{self.tag}> has no <{tag}>")
        return child

    def required_attribute(self, name: str) -> str:
        """Return an attribute.

        Raises
        ------
        DetectorImportError
            If it is missing.
        """
        if name not in self.attributes:
            raise self.error(f"<{self.tag}> has no attribute '{name}'")
        return self.attributes[name]

    def error(self, problem: str, remedy: str | None = None) -> DetectorImportError:
        """Return an error that names this element's place."""
        return DetectorImportError(problem, file=self.place, remedy=remedy)


def read_xml(path: Path) -> XmlNode:
    """Read a file.

    Entities that a document defines itself are refused: they can stand for more text than any memory holds. Files that
    it includes (``<!ENTITY materials SYSTEM "materials.xml">``) are read if they lie in its folder or below.

    Raises
    ------
    DetectorImportError
        If it is no XML, or is hostile.
    OSError
        If a file cannot be read.
    """
    return _Reader(path).read()


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = [path]
        self._open: list[XmlNode] = []
        self._root: XmlNode | None = None
        self._parsers: list[expat.XMLParserType] = []
        self._n_files = 0

    def read(self) -> XmlNode:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._declare
        parser.ExternalEntityRefHandler = self._include
        self._parse(parser, self._path)
        if self._root is None:
            raise DetectorImportError("no element in the file", file=self._path)
        return self._root

    def _parse(self, parser: expat.XMLParserType, path: Path) -> None:
        self._parsers.append(parser)
        try:
            parser.Parse(path.read_bytes(), True)  # expat takes positions only
        except expat.ExpatError as error:
            # An error in an included file ends the file that includes it too: the first one tells where it is.
            problem = expat.ErrorString(error.code)
            raise DetectorImportError(f"not XML: {problem}", file=f"{path.name}, line {error.lineno}") from error
        except LookupError as error:
            raise DetectorImportError(f"not XML: {error}", file=f"{path.name}, line 1") from error
        self._parsers.pop()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        file = self._files[-1]
        node = XmlNode(tag, attributes, file, self._parsers[-1].CurrentLineNumber)
        if len(self._open) >= MAX_DEPTH:
            raise node.error(f"more than {MAX_DEPTH} elements within each other")
        if self._open:
            self._open[-1].children.append(node)
        elif self._root is None:
            self._root = node
        self._open.append(node)

    def _end(self, _tag: str) -> None:
        self._open.pop()

    def _declare(
        self,
        name: str,
        is_parameter_entity: bool,  # expat's order
        value: str | None,
        _base: str | None,
        _system_id: str | None,
        _public_id: str | None,
        _notation: str | None,
    ) -> None:
        if value is not None or is_parameter_entity:
            raise DetectorImportError(
                f"the file defines the entity '{name}'", file=self._path, remedy="write what it stands for in its place"
            )

    def _include(self, context: str | None, _base: str | None, system_id: str | None, _public_id: str | None) -> int:
        including = self._files[-1]
        path = (including.parent / (system_id or "")).resolve()
        self._n_files += 1
        if system_id is None or not path.is_relative_to(self._path.parent.resolve()):
            raise DetectorImportError(
                f"includes '{system_id}', which is not in its folder", file=including, remedy="copy the file there"
            )
        if path in [file.resolve() for file in self._files] or self._n_files > MAX_FILES:
            raise DetectorImportError(f"includes '{system_id}' within itself or too often", file=including)
        self._files.append(path)
        self._parse(self._parsers[-1].ExternalEntityParserCreate(context), path)
        self._files.pop()
        return 1
