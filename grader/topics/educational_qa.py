"""Educational question answering: countries, chemical elements and animals. All facts are true."""

from __future__ import annotations

from typing import Final

from grader.topics.topic import FactKind, Topic, read_table

_RELATIONS: Final = (
    FactKind(
        "capital",
        (
            "The capital of {s} is {o}.",
            "The capital city of {s} is {o}.",
            "{s} has its capital at {o}.",
            "The government of {s} sits in the capital, {o}.",
        ),
        ("{o} is the capital of {s}.", "{o} is the capital city of {s}."),
        (
            "What is the capital of {s}?",
            "Which city is the capital of {s}?",
            "Name the capital city of {s}.",
        ),
        ("Can you tell me the capital of {s}?", "{s} is governed from which capital?"),
        weight=3,
    ),
    FactKind(
        "continent",
        (
            "The continent of {s} is {o}.",
            "{s} lies on the continent of {o}.",
            "{s} is a country in {o}.",
            "On a map, {s} is found in {o}.",
        ),
        ("In {o} there is a country called {s}.",),
        (
            "On which continent is {s}?",
            "Which continent is {s} part of?",
            "What continent is {s} in?",
        ),
        ("Can you tell me the continent of {s}?", "{s} belongs to which continent?"),
    ),
    FactKind(
        "currency",
        (
            "The currency of {s} is {o}.",
            "The currency of {s} is the {o}.",
            "In {s} people pay with the {o}.",
            "Money in {s} is counted in the {o}.",
            "Shops in {s} take the {o}.",
        ),
        ("The {o} is the currency of {s}.", "The {o} is used as money in {s}."),
        (
            "What is the currency of {s}?",
            "Which currency is used in {s}?",
            "Name the currency of {s}.",
        ),
        ("Can you tell me the currency of {s}?", "With which money do people pay in {s}?"),
        weight=3,
    ),
    FactKind(
        "language",
        (
            "The main language of {s} is {o}.",
            "In {s} most people speak {o}.",
            "The official language of {s} is {o}.",
        ),
        ("{o} is the main language of {s}.", "{o} is spoken in {s}."),
        (
            "What is the main language of {s}?",
            "Which language is mainly spoken in {s}?",
            "Name the main language of {s}.",
        ),
        ("Can you tell me the language of {s}?", "In {s}, which language do people speak?"),
        weight=3,
    ),
    FactKind(
        "symbol",
        (
            "The symbol of {s} is {o}.",
            "The chemical symbol of {s} is {o}.",
            "Chemists write {s} as {o}.",
            "In formulas {s} is written {o}.",
        ),
        ("{o} is the chemical symbol of {s}.", "The symbol {o} stands for {s}."),
        (
            "What is the chemical symbol of {s}?",
            "Which symbol stands for {s}?",
            "Name the chemical symbol of {s}.",
        ),
        ("Can you tell me the symbol of {s}?", "How is {s} written in formulas?"),
        weight=3,
    ),
    FactKind(
        "number",
        (
            "The atomic number of {s} is {o}.",
            "{s} has atomic number {o}.",
            "The protons in an atom of {s} number {o}.",
        ),
        ("Atomic number {o} belongs to {s}.", "{o} is the atomic number of {s}."),
        (
            "What is the atomic number of {s}?",
            "Which atomic number does {s} have?",
            "Give the atomic number of {s}.",
        ),
        ("Can you tell me the atomic number of {s}?", "How many protons has an atom of {s}?"),
        weight=3,
    ),
    FactKind(
        "family",
        (
            "The family of {s} is {o}.",
            "In the periodic table {s} is classed as {o}.",
            "By family {s} is counted as {o}.",
        ),
        ("The family {o} includes {s}.",),
        (
            "To which chemical family does {s} belong?",
            "Which family of elements is {s} in?",
            "Name the chemical family of {s}.",
        ),
        ("Can you tell me the family of {s}?", "{s} is classed in which family?"),
    ),
    FactKind(
        "group",
        (
            "The class of the {s} is {o}.",
            "In biology the {s} is classed as {o}.",
            "By its body the {s} is counted as {o}.",
        ),
        ("The class {o} includes the {s}.",),
        (
            "To which class of animals does the {s} belong?",
            "Which kind of animal is the {s}?",
            "Name the animal class of the {s}.",
        ),
        ("Can you tell me the class of the {s}?", "The {s} is classed as what kind of animal?"),
    ),
    FactKind(
        "young",
        (
            "The young of the {s} is {o}.",
            "The young of the {s} is called {o}.",
            "A baby {s} is known as {o}.",
            "People call the young {s} by the name {o}.",
        ),
        ("The name {o} is given to a young {s}.", "A {o} grows up to be a {s}."),
        (
            "What is the young of the {s} called?",
            "What do you call a baby {s}?",
            "Name the young of the {s}.",
        ),
        ("Can you tell me the name of a young {s}?", "A baby {s} goes by which name?"),
        weight=3,
    ),
)
_TABLES: Final = {"country": "countries", "element": "elements", "animal": "animals"}

EDUCATIONAL_QA: Final = Topic(
    name="educational-qa",
    title="Educational question answering",
    system="Answer the question with the shortest correct answer.",
    relations={relation.kind: relation for relation in _RELATIONS},
    facts={s: facts for table in _TABLES.values() for s, facts in read_table(table).items()},
    groups={s: group for group, table in _TABLES.items() for s in read_table(table)},
)
