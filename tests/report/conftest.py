"""A class of made-up submissions, scored by the real rubric of a real assignment."""

from __future__ import annotations

import base64
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from support.paths import ROOT

from grader.assignment.load import load_assignment
from grader.assignment.rubric import score, status, total
from grader.core.nouns import (
    Assignment,
    Category,
    Criterion,
    Finding,
    Location,
    Outcome,
    Severity,
    Status,
    Visibility,
)
from grader.core.result import Result, Total
from grader.report.classroom import ClassReport

MakeResult = Callable[..., Result]
MakeClass = Callable[[int], ClassReport]

HOSTILE = (
    "<script>alert(1)</script>",
    '=HYPERLINK("http://evil.example","click")',
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "abc\u202egnp.exe",
    "'\"><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "[bold red]markup[/]",
    "$\\frac{1}{0}$ & $x",
    "長い名前🙂" * 700,
    "\ud800 lone surrogate",
    "null\x00byte\r\nnext\u2028line",
)
NOTE = "NOTE-FOR-THE-INSTRUCTOR: same adapter as s09-copy-of-s03"

_TITLES = {
    "LAY001": "At least two of the three parts are submitted",
    "LAY002": "No file is left over that the grader does not know",
    "LAY003": "The comparative analysis is submitted",
    "LAY010": "The DSPy part is complete",
    "LAY020": "The OpenAI part is complete",
    "LAY030": "The LoRA part is complete",
    "LAY040": "The comparative analysis can be read",
    "LAY041": "The reflection can be read",
    "DOC001": "The comparative analysis can be opened and read",
    "DOC002": "The reflection can be opened and read",
    "DOC003": "The report on the DSPy program can be opened and read",
    "ADP001": "The adapter folder holds adapter_config.json and adapter_model.safetensors",
    "ADP002": "The weights are stored as safetensors, not as pickle",
    "ADP003": "The adapter's config is plain JSON of a known form",
    "ADP004": "The adapter is a LoRA adapter of an allowed rank",
    "ADP005": "Target modules exist in the base model",
    "ADP006": "Shapes of the weights fit the base model",
    "ADP007": "All weights are finite numbers",
    "ADP008": "Weights have plausible sizes",
    "ADP009": "The adapter fits the base model",
    "ADP010": "The adapter changes the base model",
    "INT001": "The adapter is the student's own",
    "EVL001": "The adapter answers more hidden questions than the base and than guessing",
    "EVL002": "Answers are also measured by token F1, BLEU, ROUGE-L and log-likelihood",
    "EVL003": "Speed and memory of the adapter are known beside the bare base's",
    "EVL004": "The metrics that the student reports agree with the grader's",
    "SRC002": "The training script configures LoRA",
    "SRC003": "LoRA rank, alpha and target modules are chosen on purpose",
    "ADP021": "Training leaves checkpoints and stops early, or says why not",
    "SRC005": "The script evaluates before and after training",
    "SRC006": "The script measures speed and memory",
    "ADP031": "Inference loads the base and the adapter once, and nothing else",
    "SRC009": "Functions and modules have docstrings",
}
_EVALUATED = ("EVL001", "EVL002", "EVL003", "EVL004")


@pytest.fixture(scope="session")
def assignment() -> Assignment:
    return load_assignment(ROOT / "rubrics" / "llm-methods.yaml")


def with_extra(assignment: Assignment) -> Assignment:
    """The assignment with other extra criteria: two, on EVL003 and SRC010."""
    usual = [category for category in assignment.categories if not category.extra]
    ids = {category.id for category in usual}
    return replace(
        assignment,
        categories=(*usual, Category("more", "Going further", 4, extra=True)),
        criteria=(
            *(c for c in assignment.criteria if c.category in ids),
            Criterion("faster", "It is faster", "more", 3, "EVL003"),
            Criterion("safer", "It is safer", "more", 1, "SRC010"),
        ),
    )


def sample_result(
    assignment: Assignment,
    student: str,
    after: float = 0.83,
    *,
    outcomes: dict[str, Outcome] | None = None,
    left_out: Collection[str] = (),
    texts: str = "",
) -> Result:
    """A result whose checks all pass but for `outcomes`; `texts` goes wherever students write.

    What the checks `left_out` look at was not submitted, and need not be.
    """
    before, chance, n = 0.04, 0.27, 150
    delta = after - chance
    measures: dict[str, dict[str, float | int | str | None]] = {
        "EVL001": {
            "before": before,
            "after": after,
            "chance": chance,
            "delta": delta,
            "delta_low95": delta - 0.07,
            "delta_high95": delta + 0.06,
            "p_value": 0.00001 if delta > 0.08 else 0.62,  # in the measures, and on no page
            "n": n,
        },
        "EVL002": {
            "token_f1_before": 0.11, "token_f1_after": min(1.0, after + 0.04),
            "bleu_before": 0.02, "bleu_after": after * 0.9,
            "rouge_l_before": 0.12, "rouge_l_after": min(1.0, after + 0.03),
            "loglik_before": -6.1, "loglik_after": -0.4,
        },
        "EVL003": {
            "tokens_per_second": 812.4, "reference_tokens_per_second": 893.0,
            "peak_memory_mib": 412.0, "reference_peak_memory_mib": 398.5,
        },
        "EVL004": {"claimed_before": 0.03, "claimed_after": after, "tolerance": 0.1},
    }  # fmt: skip
    outcomes = {**(outcomes or {}), **dict.fromkeys(left_out, Outcome.SKIP)}
    if delta <= 0.08:
        outcomes.setdefault("EVL001", Outcome.FAIL)
    findings = []
    for code in assignment.refs:
        outcome = outcomes.get(code, Outcome.PASS)
        title = _TITLES.get(code, f"The claim of {code} holds")
        known = outcome in (Outcome.PASS, Outcome.FAIL)
        findings.append(
            Finding(
                code=code,
                outcome=outcome,
                title=title,
                message=f"{_MESSAGES[outcome]} {texts}".strip(),
                hint="" if code in left_out else f"Do what helps with {code}. {texts}".strip(),
                severity=Severity.WARNING if code.startswith("SRC") else Severity.ERROR,
                location=Location(texts or "huggingface_custom_lora.py", 42)
                if code.startswith("SRC")
                else Location(),
                visibility=Visibility.INSTRUCTOR
                if code.startswith(("SRC011", "DOC20"))
                else Visibility.STUDENT,
                measures=measures.get(code, {}) if known else {},
                note=NOTE if outcome is not Outcome.PASS else "",
            )
        )
    scores = score(assignment, findings)
    names = ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "reflection.md"]
    return Result(
        assignment_id=assignment.id,
        assignment_version=assignment.version,
        student=student,
        digest="3f9a" * 16,
        submitted_at="2026-03-01T18:00:00+00:00",
        status=status(scores, findings),
        total=total(assignment, scores),
        scores=scores,
        findings=tuple(findings),
        provenance={
            "finegrade": "0.1.0",
            "assignment_digest": assignment.digest,
            "base": {"name": "course-model", "digest": "ab12" * 16},
            "engine": "1",
            "device": "cpu",
            "files": [[texts or name, 14_235, "c0ffee" * 10] for name in names],
        },
    )


_MESSAGES = {
    Outcome.PASS: "Found as expected.",
    Outcome.FAIL: "Line 42 keeps rank 8 of the example; a choice of your own was expected.",
    Outcome.SKIP: "Not looked at, because LAY030 (The LoRA part is complete) did not hold.",
    Outcome.ERROR: "The grader could not run this; your instructor has been told. No marks lost.",
    Outcome.REVIEW: "Two adapters in this class have the same effect.",
}


def refused_result(assignment: Assignment, student: str) -> Result:
    """A submission that could not be taken in."""
    finding = Finding(
        "LAY101",
        Outcome.FAIL,
        "The archive can be unpacked safely",
        "The archive holds a link that leads out of it.",
        "Zip the folder again without links.",
    )
    return Result(
        assignment_id=assignment.id,
        assignment_version=assignment.version,
        student=student,
        digest="",
        submitted_at=None,
        status=Status.FAILED,
        total=Total(0.0, 100.0, 0.0, 0.0, {}, ()),
        scores=(),
        findings=(finding,),
        provenance={"files": []},
    )


def sample_class(assignment: Assignment, n: int) -> ClassReport:
    """n students: most learn something, a few fail in the ways that students do."""
    draw = random.Random(7)
    fates: list[dict[str, Outcome]] = [
        {},
        {"SRC003": Outcome.FAIL, "SRC006": Outcome.FAIL},
        {"LAY010": Outcome.FAIL},
        {"INT001": Outcome.REVIEW},
        dict.fromkeys(_EVALUATED, Outcome.ERROR),
        {"LAY020": Outcome.FAIL, "ADP021": Outcome.FAIL, "SRC009": Outcome.FAIL},
        {"ADP002": Outcome.FAIL, **dict.fromkeys((*_EVALUATED, "ADP009"), Outcome.SKIP)},
    ]
    results = []
    for i in range(n):
        after = min(0.97, max(0.0, draw.gauss(0.7, 0.28)))
        name = f"s{i + 1:02d}-{('careful', 'few-examples', 'high-rate', 'long-answers')[i % 4]}"
        fate = fates[draw.randrange(len(fates))]
        results.append(sample_result(assignment, name, after, outcomes=fate))
    if n > 4:
        results[3] = refused_result(assignment, results[3].student)
    ids = [f"q{i:03d}" for i in range(1, 151)]
    return ClassReport(
        assignment=assignment,
        results=tuple(results),
        folders={r.student: r.student for r in results},
        question_shares={id: min(1.0, max(0.0, draw.gauss(0.65, 0.25))) for id in ids},
        question_texts={id: f"Which mineral is found at {id}, and how deep?" for id in ids},
        provenance=results[0].provenance if results else {},
    )


@pytest.fixture(scope="session")
def extra_assignment(assignment: Assignment) -> Assignment:
    return with_extra(assignment)


@pytest.fixture
def make_result(assignment: Assignment) -> MakeResult:
    """Call with a student's id and what `sample_result` takes."""
    return lambda student="s01-careful", *args, **kwargs: sample_result(
        assignment, student, *args, **kwargs
    )


@pytest.fixture
def make_extra_result(extra_assignment: Assignment) -> MakeResult:
    """The same with two extra criteria and no others."""
    return lambda student="s01-careful", *args, **kwargs: sample_result(
        extra_assignment, student, *args, **kwargs
    )


@pytest.fixture
def make_class(assignment: Assignment) -> MakeClass:
    return lambda n: sample_class(assignment, n)


@pytest.fixture
def refused(assignment: Assignment) -> Result:
    return refused_result(assignment, "s04-bad-archive")


@pytest.fixture
def hostile_class(assignment: Assignment) -> ClassReport:
    """Every student's name and texts are hostile, and so are the questions."""
    fates = {"SRC003": Outcome.FAIL, "INT001": Outcome.REVIEW, "EVL003": Outcome.ERROR}
    results = tuple(sample_result(assignment, t, 0.2, outcomes=fates, texts=t) for t in HOSTILE)
    return ClassReport(
        assignment=assignment,
        results=results,
        folders={r.student: f"folder-{i}" for i, r in enumerate(results)},
        question_shares={f"q{i}": i / len(HOSTILE) for i in range(len(HOSTILE))},
        question_texts={f"q{i}": text for i, text in enumerate(HOSTILE)},
        provenance={},
    )


VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """A page taken apart: its tags, attributes, headings, links and visible text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = text
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag
        self.text += " " if tag in ("td", "th") else ""

    def handle_data(self, data: str) -> None:
        if not {"style", "script", "title"} & set(self.open):
            self.text += data

    def all(self, attribute: str) -> list[str]:
        """Every value of this attribute."""
        return [value for _, name, value in self.attributes if name == attribute]


@pytest.fixture
def parse() -> Callable[[str], Page]:
    return Page


SAFE_TAGS = set(
    """html head meta title style body a header nav main footer section h1 h2 h3 h4 h5 p b br small
    span bdi ul ol li table caption thead tbody tr th td details summary code div
    svg g path rect line text tspan desc defs use clippath""".split()  # noqa: SIM905
)


@pytest.fixture
def assert_harmless() -> Callable[[Page], None]:
    """Nothing runs, nothing is loaded, nothing is hidden, and the outline is sound."""

    def check(page: Page) -> None:
        source, policy = page.source, page.all("content")[0]
        if "script-src" in policy:  # the script that sorts the class is ours, byte for byte
            own = (ROOT / "grader" / "report" / "templates" / "class.js").read_text("utf-8")
            digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
            assert f"script-src 'sha256-{digest}';" in policy
            assert f"<script>{own}</script>" in source
            source = source.replace(f"<script>{own}</script>", "")
            page = Page(source)
        assert set(page.tags) <= SAFE_TAGS, set(page.tags) - SAFE_TAGS
        names = {name for _, name, _ in page.attributes}
        assert not {name for name in names if name.startswith("on")}
        assert not names & {"src", "srcset", "action", "formaction", "hidden", "srcdoc"}
        for value in page.all("href") + page.all("xlink:href"):
            assert value.startswith(("#", "students/", "staff/"))
        everything = page.source.lower()
        for way in ("url(http", "@import", "javascript:", "<script", "<img", "data:text"):
            assert way not in everything
        assert not set(page.source) & set("\x00\x07\x1b\x9b\u202e\u2066\u200b")
        assert len(page.ids) == len(set(page.ids))
        assert {href[1:] for href in page.all("href") if href.startswith("#")} <= set(page.ids)
        assert policy.startswith("default-src 'none'; style-src-elem 'sha256-")
        assert ("html", "lang", "en") in page.attributes
        assert page.tags["main"] == page.tags["h1"] == 1
        assert page.tags["th"] == sum(value in ("col", "row") for value in page.all("scope"))
        levels = [int(tag[1]) for tag in _headings(page.source)]
        assert all(after <= before + 1 for before, after in pairwise(levels))

    return check


def _headings(source: str) -> list[str]:
    return [piece[:2] for piece in source.split("<")[1:] if piece[0] == "h" and piece[1].isdigit()]
