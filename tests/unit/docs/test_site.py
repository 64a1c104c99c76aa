"""What scripts/docs_hooks.py makes of links, tables and pages; that the whole site is right is seen by building it."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def hooks() -> Any:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "scripts" / "docs_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(place: str) -> Any:
    return SimpleNamespace(file=SimpleNamespace(src_uri=place))


def changed(hooks: Any, place: str, markdown: str) -> str:
    text: str = hooks.on_page_markdown(markdown, page=page(place))
    return text


def test_a_link_to_a_file_outside_docs_leads_to_its_page(hooks: Any) -> None:
    text = changed(hooks, "reference/services.md", "[a](../../services/udp_recv/README.md#metrics)")
    assert text == "[a](../repository/services/udp_recv/README.md#metrics)"


def test_a_file_outside_docs_that_is_no_page_is_shown_as_one(hooks: Any) -> None:
    assert changed(hooks, "README.md", "[a](../scripts/docs)") == "[a](repository/scripts/docs.md)"
    assert "````bash\n#!/usr/bin/env bash" in hooks.content_of(ROOT / "scripts" / "docs")


def test_a_page_outside_docs_finds_the_way_back(hooks: Any) -> None:
    text = changed(hooks, "repository/services/udp_recv/README.md", "[a](../../docs/reference/metrics.md)")
    assert text == "[a](../../../reference/metrics.md)"


def test_a_link_to_a_folder_leads_to_its_readme(hooks: Any) -> None:
    assert changed(hooks, "README.md", "[a](explanations/decisions/)") == "[a](explanations/decisions/README.md)"


@pytest.mark.parametrize(
    "text", ["`[a](b.md)`", "```\n[a](../b.md)\n```", "[a](https://example.org/b.md)", "[a](#here)"]
)
def test_code_other_servers_and_anchors_stay(hooks: Any, text: str) -> None:
    assert changed(hooks, "reference/broker.md", text) == text


def test_an_escaped_bar_in_a_table_is_a_bar(hooks: Any) -> None:
    html = r"<p>\|</p><td><code>a\|b</code></td>"
    assert hooks.on_page_content(html) == r"<p>\|</p><td><code>a|b</code></td>"


@pytest.mark.parametrize(
    "html", ['<script src="https://example.org/a.js">', '<link rel="stylesheet" href="//example.org/a">']
)
def test_a_page_that_fetches_from_another_server_is_refused(hooks: Any, html: str) -> None:
    with pytest.raises(PluginError, match="fetches from another server"):
        hooks.on_post_page(html, page=page("README.md"))


def test_a_page_may_link_to_another_server(hooks: Any) -> None:
    html = '<a href="https://example.org">'
    assert hooks.on_post_page(html, page=page("README.md")) == html
