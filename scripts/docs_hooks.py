"""Hooks of MkDocs: files outside docs/ that pages link to become pages, and no page fetches from elsewhere.

What the site says of each service is taken from the service: its description and its README.md.

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

from std_daq.service.description import ServiceDescription
from std_daq.service.registry import service_descriptions

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PREFIX = "repository"
DECISIONS = "explanations/decisions/README.md"
SERVICES = "reference/services.md"
TABLE = "<!-- table of the services -->"
METRICS = "<!-- metrics of the services -->"
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
    """Add each decision to the menu after the list of them, and each service after the page on all services."""
    _fill_menu(config.nav or [])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that is linked to, also from one of these pages."""
    waiting = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    seen = set(waiting)
    for page in map(page_of, own_services()):
        seen.add(page)
        files.append(File.generated(config, place_of(page), content=content_of(page)))
        waiting.append(page)
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
    """Fill in what is said of each service, and let each relative link lead to where its target is in the site."""
    markdown = markdown.replace(TABLE, _table_of_services()).replace(METRICS, _metrics_of_services())
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


def _fill_menu(menu: list[Any]) -> None:
    if DECISIONS in menu:
        folder = (DOCS / DECISIONS).parent
        menu += [path.relative_to(DOCS).as_posix() for path in sorted(folder.glob("[0-9]*.md"))]
    if SERVICES in menu:
        at = menu.index(SERVICES) + 1
        menu[at:at] = [{service.name: place_of(page_of(service))} for service in own_services()]
    for item in menu:
        for entries in item.values() if isinstance(item, dict) else ():
            if isinstance(entries, list):
                _fill_menu(entries)


def own_services() -> list[ServiceDescription[Any]]:
    """Return the services of this repository; others may be installed beside them."""
    return [service for service in service_descriptions() if page_of(service).is_file()]


def page_of(service: ServiceDescription[Any]) -> Path:
    """Return the README.md of a service."""
    return ROOT / "services" / service.name.replace("-", "_") / "README.md"


def _table_of_services() -> str:
    rows = [f"| [{service.name}]({_from_reference(service)}) | {service.summary} |" for service in own_services()]
    return "\n".join(["| service | what it does |", "|---|---|", *rows])


def _metrics_of_services() -> str:
    """Return the metrics of all services as one page has them: links lead from docs/reference/ now."""
    parts = []
    for service in own_services():
        section = page_of(service).read_text().split("\n## Metrics\n")[1].split("\n## ")[0]
        section = section.replace("](../../docs/reference/", "](").replace("](#", f"]({_from_reference(service)}#")
        parts.append(f"### {service.name}\n{section}")
    return "\n".join(parts)


def _from_reference(service: ServiceDescription[Any]) -> str:
    return posixpath.relpath(page_of(service), DOCS / "reference")


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
