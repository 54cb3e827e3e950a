"""What ships beside the package is found, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.core import files
from grader.core.errors import GraderFault


def test_finds_what_stands_in_the_checkout() -> None:
    assert files.resource("rubrics", "llm-methods.yaml").is_file()


def test_an_installed_package_uses_what_it_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "grader"
    (package / "_shipped" / "datasets").mkdir(parents=True)
    (tmp_path / "site-packages" / "datasets").mkdir()  # the library of that name
    (tmp_path / "site-packages" / "rubrics").mkdir()
    monkeypatch.setattr(files, "_PACKAGE", package)
    assert files.resource("datasets") == package / "_shipped" / "datasets"
    with pytest.raises(GraderFault, match="rubrics"):
        files.resource("rubrics")


def test_home_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINEGRADE_HOME", str(tmp_path))
    assert files.home() == tmp_path
    monkeypatch.delenv("FINEGRADE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.home() == tmp_path / "finegrade"
