"""The site builds strictly, needs no network to be read, and has every public name."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

import minipipe as mp
import minipipe.ray
import minipipe.torch
from tests.docs.pages import ROOT, blocks_of, pages, text_of

# What makes a browser fetch something as it shows a page; a link that is clicked on is none.
_FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    for package in ("mkdocs", "material", "mkdocstrings"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the site needs {package}, which is not installed (the extra docs)")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    shutil.rmtree(folder)


class Fetches(HTMLParser):
    """What a page makes a browser fetch, and the ids that it has."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.ids.add(attributes.get("id") or "")
        is_fetched = tag != "link" or attributes.get("rel") in ("stylesheet", "icon", "preload")
        if tag in _FETCHED and is_fetched:
            self.urls.append(attributes.get(_FETCHED[tag]) or "")


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 25
    for page in found:
        for url in Fetches(page).urls:
            assert not re.match(r"(\w+:)?//", url), f"{page.relative_to(site)} fetches {url}"


def test_every_public_name_is_on_a_page_of_the_api(site: Path) -> None:
    ids = {one for page in site.glob("api/*.html") for one in Fetches(page).ids}
    names = [f"minipipe.{name}" for name in mp.__all__ if name not in ("__version__", "Pipe")]
    for module in (minipipe.ray, minipipe.torch):
        names += [f"{module.__name__}.{name}" for name in module.__all__]
    assert [name for name in names if name not in ids] == []


def test_the_search_knows_the_pages(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    for word in ("dead_letter", "DataLoader", "max_restarts", "TarShards"):
        assert word in index


def test_commands_of_minipipe_that_pages_show_exist() -> None:
    usage = subprocess.run(
        [sys.executable, "-m", "minipipe", "--help"], capture_output=True, text=True, timeout=60
    ).stdout
    shown = {
        command
        for page in pages()
        for block in blocks_of(text_of(page))
        if block.language in ("bash", "sh")
        for command in re.findall(r"^minipipe ([a-z][a-z-]*)", block.code, re.MULTILINE)
    }
    assert shown
    for command in shown:
        assert re.search(rf"\b{command}\b", usage), f"minipipe {command} is not in:\n{usage}"


def test_extras_that_pages_name_exist() -> None:
    extras = set(re.findall(r"^(\w+) =$", (ROOT / "setup.cfg").read_text(), re.MULTILINE))
    named = {name for page in pages() for name in re.findall(r"\bextra `(\w+)`", text_of(page))}
    assert named and named <= extras


def test_files_of_the_project_that_pages_name_exist() -> None:
    for page in pages():
        for path in re.findall(r"`((?:examples|benchmarks|tests|docs)/[\w/.-]+)`", text_of(page)):
            assert (ROOT / path).exists(), f"{page} names {path}"
