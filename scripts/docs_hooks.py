"""Hooks of MkDocs: files outside docs/ that pages link to become pages, and no page fetches from elsewhere.

The Markdown is written for a repository: a page links to `../../services/udp_recv/README.md` or to a test. A site has
only what lies in docs/. So each linked file outside docs/ becomes a page `repository/<path>`, and links lead there.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PREFIX = "repository"
DECISIONS = "explanations/decisions/README.md"
CODE_OR_LINK = re.compile(
    r"^ *(`{3,}).*?^ *\1|`[^`\n]+`|(?P<text>!?\[(?:[^\]`]|`[^`]*`)*\])\((?P<link>[^)\s]+)\)", re.MULTILINE | re.DOTALL
)
# What a browser fetches by itself; a link that a reader may follow is none of them.
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(?:https?:)?//[^>]*>|<link\b[^>]*\bhref=\"?(?:https?:)?//[^>]*>"
)
CELL = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)
LANGUAGES = {".py": "python", ".json": "json", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".c": "c", "": "bash"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add each decision to the menu, after the list of them."""
    _append_decisions(config.nav or [])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that is linked to, also from one of these pages."""
    waiting = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    seen = set(waiting)
    while waiting:
        for target in linked(waiting.pop()):
            if target in seen or target.is_relative_to(DOCS):
                continue
            seen.add(target)
            files.append(File.generated(config, place_of(target), content=content_of(target)))
            if target.suffix == ".md":
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let each relative link lead to where its target is in the site."""
    source = source_of(page.file.src_uri)

    def changed(match: re.Match[str]) -> str:
        link = match["link"]
        target = target_of(source, link) if link else None
        if target is None:
            return match[0]
        place = posixpath.relpath(place_of(target), posixpath.dirname(page.file.src_uri))
        _, mark, anchor = link.partition("#")
        return f"{match['text']}({place}{mark}{anchor})"

    return CODE_OR_LINK.sub(changed, markdown)


def on_page_content(html: str, **_: Any) -> str:
    r"""Show ``\|`` in the code of a table as ``|``, as code hosts do; in Markdown it has to be escaped there."""
    return CELL.sub(lambda cell: cell[0].replace("\\|", "|"), html)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Refuse a page that has a browser fetch something from another server.

    Raises
    ------
    PluginError
        Which page, and what it would fetch.
    """
    found = FETCHED.search(output)
    if found and 'rel="canonical"' not in found[0]:
        raise PluginError(f"{page.file.src_uri} fetches from another server: {found[0]}")
    return output


def _append_decisions(menu: list[Any]) -> None:
    if DECISIONS in menu:
        folder = (DOCS / DECISIONS).parent
        menu += [path.relative_to(DOCS).as_posix() for path in sorted(folder.glob("[0-9]*.md"))]
    for item in menu:
        for entries in item.values() if isinstance(item, dict) else ():
            if isinstance(entries, list):
                _append_decisions(entries)


def linked(document: Path) -> Iterator[Path]:
    """Return the files that a document links to; of others MkDocs says itself that they are not there."""
    for match in CODE_OR_LINK.finditer(document.read_text()):
        target = target_of(document, match["link"]) if match["link"] else None
        if target is not None and target.is_file():
            yield target


def target_of(document: Path, link: str) -> Path | None:
    """Return the file that a link leads to, or None where that is the document itself or another server."""
    parts = urlsplit(link)
    if parts.scheme or not parts.path:
        return None
    target = (document.parent / parts.path).resolve()
    return target / "README.md" if target.is_dir() else target


def place_of(target: Path) -> str:
    """Return the path of a file in the sources of the site."""
    if target.is_relative_to(DOCS):
        return target.relative_to(DOCS).as_posix()
    name = target.relative_to(ROOT).as_posix()
    return f"{PREFIX}/{name}" if name.endswith(".md") else f"{PREFIX}/{name}.md"


def source_of(place: str) -> Path:
    """Return the file of the repository that a page of the site is made from."""
    name = place.removeprefix(f"{PREFIX}/")
    return ROOT / name if name != place else DOCS / place


def content_of(target: Path) -> str:
    """Return the text of a page: a Markdown file as it is, any other as a listing that the search leaves out."""
    text = target.read_text()
    if target.suffix == ".md":
        return text
    language = LANGUAGES.get(target.suffix, "text")
    return f"---\nsearch:\n  exclude: true\n---\n# {target.relative_to(ROOT)}\n\n````{language}\n{text}````\n"
