"""The committed datasets are what the topics generate, and are valid chat JSONL."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from support.paths import ROOT

from grader.topics import TOPICS, Topic

DATASETS = ROOT / "datasets"


def test_committed_datasets_equal_a_regeneration(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make", ROOT / "scripts" / "make_datasets.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write(tmp_path)
    made = {f.relative_to(tmp_path): f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    assert len(made) == 10
    assert {name: (DATASETS / name).read_bytes() for name in made} == made


CHATS = sorted(f for f in DATASETS.glob("*/*.jsonl") if f.stem != "passages")


@pytest.mark.parametrize("file", CHATS, ids=lambda f: str(f.name))
def test_every_line_has_the_three_messages_and_nothing_else(file: Path) -> None:
    for line in file.read_text(encoding="utf-8").splitlines():
        example = json.loads(line)
        assert list(example) == ["messages"]
        assert [m["role"] for m in example["messages"]] == ["system", "user", "assistant"]
        assert all(set(m) == {"role", "content"} and m["content"] for m in example["messages"])


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_each_subject_has_one_passage_and_no_passage_asks(topic: Topic) -> None:
    lines = (DATASETS / topic.name / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    passages = [json.loads(line) for line in lines]
    assert all(set(passage) == {"text"} for passage in passages)
    assert sorted(p["text"] for p in passages) == sorted(map(topic.passage, topic.facts))
    assert not any("?" in passage["text"] for passage in passages)


def test_the_folder_is_no_package() -> None:
    assert not list(DATASETS.rglob("__init__.py"))
