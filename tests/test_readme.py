"""The README: a short first script, and links that lead somewhere.

That its code runs, and prints what it says, is tests/docs/test_blocks.py, as for all pages.
"""

from __future__ import annotations

import re

from tests.docs.pages import ROOT, blocks_of, text_of

README = text_of("README.md")


def test_the_first_script_is_short_and_what_it_prints_is_shown() -> None:
    script, output = blocks_of(README)[:2]
    assert script.language == "python" and not script.orders
    assert len([line for line in script.code.splitlines() if line]) == 12
    assert output.is_printed and output.code.splitlines()[-1].startswith("minipipe: finished")


def test_every_link_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)]*)\)", README) if "://" not in link]
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link.split("#")[0]).exists()] == []


def test_every_how_to_page_is_linked() -> None:
    pages = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/howto/*.md"))
    assert pages and [page for page in pages if f"({page})" not in README] == []


def test_it_stays_short() -> None:
    assert len(README.splitlines()) < 220
