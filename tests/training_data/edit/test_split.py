"""Splits: every line once, nothing in two files, the asked shares, the same again."""

import json
import random
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.example_strategies import JsonObject, examples, line, plain_example

from grader.core.errors import UsageError
from grader.training_data.edit.split import FILES, ExampleGroup, Split, place, split
from grader.training_data.examples.overlap import overlap
from grader.training_data.read.examples import Kind, read_examples
from grader.training_data.read.fingerprint import read

THIRDS = (0.5, 0.25, 0.25)


def qa(question: str, answer: str) -> bytes:
    return json.dumps({"question": question, "answer": answer}).encode()


def distinct(count: int) -> list[bytes]:
    """Lines that no one would call alike."""
    source = random.Random(0)
    words = ["".join(source.choices("abcdefghijklmnop", k=9)) for _ in range(9 * count)]
    return [qa(" ".join(words[9 * n : 9 * n + 9]), f"the answer {n}") for n in range(count)]


def parted(
    folder: Path, lines: list[bytes], shares: tuple[float, ...] = (0.8, 0.1, 0.1), seed: int = 0
) -> tuple[list[list[bytes]], Split]:
    """(the lines of each file, the result)"""
    source = folder / "in.jsonl"
    source.write_bytes(b"".join(raw + b"\n" for raw in lines))
    out = folder / f"out{len(list(folder.iterdir()))}"
    result = split(source, out, shares, seed)
    written = [(out / name).read_bytes() if (out / name).exists() else b"" for name in FILES]
    return [data.split(b"\n")[:-1] for data in written], result


def test_the_shares_are_exact(tmp_path: Path) -> None:
    lines = distinct(200)
    files, result = parted(tmp_path, lines)
    assert result.examples == {"train.jsonl": 160, "validation.jsonl": 20, "test.jsonl": 20}
    assert [len(file) for file in files] == [160, 20, 20]
    assert (result.groups, result.largest_group, result.classes) == (200, 1, 0)
    assert result.searched == 200
    for file in files:
        assert file == [raw for raw in lines if raw in set(file)]  # in the order of the source


def test_a_share_of_zero_makes_no_file(tmp_path: Path) -> None:
    _, result = parted(tmp_path, distinct(10), (0.7, 0.3, 0.0))
    assert result.examples == {"train.jsonl": 7, "validation.jsonl": 3}
    assert [p.name for p in tmp_path.rglob("*.jsonl")].count("test.jsonl") == 0


def test_the_seed_decides(tmp_path: Path) -> None:
    lines = distinct(60)
    first, _ = parted(tmp_path, lines)
    assert parted(tmp_path, lines)[0] == first
    assert parted(tmp_path, lines, seed=1)[0] != first
    assert parted(tmp_path, lines, seed=-(10**30))[0] != first


def test_the_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    lines = distinct(60)
    first, _ = parted(tmp_path, lines)
    shuffled = random.Random(1).sample(lines, len(lines))
    again, _ = parted(tmp_path, shuffled)
    assert [sorted(file) for file in again] == [sorted(file) for file in first]


def test_a_line_more_moves_few_others(tmp_path: Path) -> None:
    lines = distinct(300)
    before, _ = parted(tmp_path, lines[:-1])
    after, _ = parted(tmp_path, lines)
    moved = sum(len(set(a) - set(b)) for a, b in zip(before, after, strict=True))
    assert moved <= 3


def test_what_asks_the_same_stays_together(tmp_path: Path) -> None:
    lines = distinct(20)
    alike = [json.loads(raw)["question"] for raw in lines[:10]]
    copies = [qa(f" {text.upper()}\u00a0", "another") for text in alike]
    near = [qa(text + "?", "something else") for text in alike]
    files, result = parted(tmp_path, lines + copies + near, THIRDS)
    assert (result.groups, result.largest_group) == (20, 3)
    for trio in zip(lines[:10], copies, near, strict=True):
        assert sum(set(trio) <= set(file) for file in files) == 1


def test_near_copies_stay_together_where_one_is_between_two(tmp_path: Path) -> None:
    """The third of each trio is near both others, which are not near each other."""
    texts = [json.loads(raw)["question"] for raw in distinct(20)]
    trios = [[qa(f"Ahem: {text}", "1"), qa(f"{text}, oder?", "2"), qa(text, "3")] for text in texts]
    files, _ = parted(tmp_path, [*chain.from_iterable(trios)], THIRDS)
    for trio in trios:
        assert sum(bool(set(trio) & set(file)) for file in files) == 1


def test_classes_are_balanced(tmp_path: Path) -> None:
    questions = [json.loads(raw)["question"] for raw in distinct(200)]
    labels = ["cat"] * 100 + ["dog"] * 70 + ["Owl"] * 30
    lines = [qa(q, label) for q, label in zip(questions, labels, strict=True)]
    files, result = parted(tmp_path, random.Random(2).sample(lines, 200))
    assert result.classes == 3
    counts = [Counter(json.loads(raw)["answer"] for raw in file) for file in files]
    assert counts[1] == counts[2] == {"cat": 10, "dog": 7, "Owl": 3}


def test_pictures_with_one_question_are_different_examples(tmp_path: Path) -> None:
    lines = [
        json.dumps(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "What is it?"},
                            {"type": "image_url", "image_url": {"url": f"https://a/{n // 2}.png"}},
                        ],
                    },
                    {"role": "assistant", "content": f"number {n}"},
                ]
            }
        ).encode()
        for n in range(40)
    ]
    files, result = parted(tmp_path, lines)
    assert result.groups == 20
    assert all(files)


def test_answers_without_a_question_are_different_examples(tmp_path: Path) -> None:
    lines = [
        json.dumps({"messages": [{"role": "assistant", "content": f"{n} " * 9}]}).encode()
        for n in range(20)
    ]
    assert parted(tmp_path, lines + lines[:5], THIRDS)[1].groups == 20


def test_line_ends_stay_and_blank_lines_and_marks_do_not(tmp_path: Path) -> None:
    lines = distinct(10)
    data = [b"\xef\xbb\xbf" + lines[0] + b"\r", b"", *lines[1:], b" \r"]
    files, _ = parted(tmp_path, data, THIRDS)
    assert sorted(chain.from_iterable(files)) == sorted([lines[0] + b"\r", *lines[1:]])


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((0.5, 0.5), "three numbers"),
        ((0.5, 0.5, 0.5), "sum to 1"),
        ((1.5, -0.5, 0.0), "from 0 to 1"),
        ((float("nan"), 0.5, 0.5), "from 0 to 1"),
        ((1.0, 0.0, 0.0), "there is no split"),
        ((0.0, 0.5, 0.5), "there is no split"),
        ((0.98, 0.01, 0.01), "12 examples in 12 groups .* are too few"),
    ],
)
def test_wrong_shares_are_refused(tmp_path: Path, shares: tuple[float, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parted(tmp_path, distinct(12), shares)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "holds no examples"),
        ([b"", b" "], "holds no examples"),
        (distinct(4), "too few"),
        ([qa("the same", str(n)) for n in range(50)], "50 examples in 1 group to"),
        ([*distinct(20), b"{", b'{"a": 1}'], r"2 \(lines 21, 22\). `finegrade data check"),
        ([b"question,answer", b"1,2"], "data convert"),
    ],
)
def test_what_cannot_be_split_is_refused_and_nothing_written(
    tmp_path: Path, lines: list[bytes], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        parted(tmp_path, lines)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"\n".join(distinct(20)))
    with pytest.raises(UsageError, match="new name"):
        split(source, tmp_path)
    with pytest.raises(UsageError, match="make the folder"):
        split(source, tmp_path / "missing" / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


groups = st.lists(
    st.builds(ExampleGroup, st.sampled_from("abc"), st.binary(min_size=4, max_size=4), st.just(1)),
    min_size=1,
    unique=True,
)


@given(groups, st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.6, 0.4, 0.0)]))
def test_single_examples_are_divided_by_the_shares_in_all_and_in_each_class(
    some: list[ExampleGroup], shares: tuple[float, ...]
) -> None:
    parts = place(some, shares)
    for label in (None, *"abc"):
        chosen = [p for g, p in zip(some, parts, strict=True) if label in (None, g.label)]
        for part in (1, 2):
            assert abs(chosen.count(part) - shares[part] * len(chosen)) <= (label is not None) + 0.5


@given(
    st.lists(st.sampled_from(list(Kind)).flatmap(examples), max_size=6),
    st.lists(st.integers(0, 39), min_size=12, max_size=40),
    st.integers(0, 99),
)
def test_every_line_is_in_one_file_and_no_prompt_in_two(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[JsonObject],
    picks: list[int],
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("split")
    some = drawn + [plain_example(kind, n) for n in range(10) for kind in Kind]
    source = random.Random(seed)
    lines = [line(source, some[n]) for n in picks]
    try:
        files, result = parted(folder, lines, THIRDS, seed)
    except UsageError as error:
        assert "too few" in str(error)  # noqa: PT017
        return
    assert sorted(chain.from_iterable(files)) == sorted(lines)
    assert sum(result.examples.values()) == len(lines)
    (out,) = (path for path in folder.iterdir() if path.is_dir())
    prompts = [{_asked(e) for e in read_examples(out / name)} for name in FILES]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not prompts[one] & prompts[other]
    for name in FILES[1:]:
        assert not list(overlap(read_examples(out / name), read_examples(out / FILES[0])))


def _asked(example) -> tuple[str, int]:
    reading = read(example)
    return reading.folded_prompt, reading.prompt_extras
