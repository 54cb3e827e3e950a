"""The kit's compare.py: its intervals, and what it loads of a student's."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from scipy.stats import binomtest
from support.notebooks import notebook
from support.paths import SOLUTION

from grader.core import metrics


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script in a folder of its own."""
    place = shutil.copy(SOLUTION / "compare.py", tmp_path)
    spec = importlib.util.spec_from_file_location("compare", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("of_a_script", None)


@pytest.mark.parametrize(("right", "n"), [(0, 56), (11, 56), (56, 56), (1, 2)])
def test_its_interval_is_wilsons(compare: ModuleType, right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(0.95, "wilson")
    assert compare.interval(right, n) == pytest.approx((expected.low, expected.high), abs=1e-4)


@pytest.mark.parametrize("answer", ["Paris.", "the  city of Paris", "", "London", "Paris Paris"])
def test_it_scores_as_the_grader_does(compare: ModuleType, answer: str) -> None:
    assert (compare.words(answer) == compare.words("paris")) == metrics.exact_match(answer, "paris")
    assert compare.token_f1(answer, "Paris") == pytest.approx(metrics.token_f1(answer, "Paris"))


def test_it_loads_scripts_and_notebooks(compare: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "of_a_script.py").write_text("NAME = __name__\n")
    book = notebook(
        "md:Words.", "%pip install x\nimport os\n!ls", "NAME = __name__\nFILE = __file__"
    )
    (tmp_path / "of_a_notebook.ipynb").write_bytes(book)
    assert compare.load("of_a_script").NAME == "of_a_script"
    assert compare.load("of_a_notebook").NAME == "of_a_notebook"
    assert compare.load("of_a_notebook", "__main__").NAME == "__main__"
    file = compare.load("of_a_notebook").FILE
    assert Path(file) == tmp_path / "of_a_notebook.ipynb"
    with pytest.raises(ImportError):
        compare.load("of_nothing")
