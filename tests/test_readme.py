"""The README's reference tables are what the program says of itself."""

from __future__ import annotations

from make_readme import checks_table, commands_table, written
from support.paths import ROOT


def test_the_generated_parts_are_up_to_date() -> None:
    text = (ROOT / "README.md").read_text()
    assert commands_table() in text
    assert checks_table() in text
    assert written(text) == text, "run python scripts/make_readme.py"


def test_every_file_that_the_readme_links_to_exists() -> None:
    import re

    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert [link for link in links if not (ROOT / link).exists()] == []
