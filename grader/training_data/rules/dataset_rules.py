"""Rules on a data set as a whole, and on its tokens and cost."""

from __future__ import annotations

from typing import Final

from grader.core.nouns import Severity
from grader.training_data.rules.rule import COOKBOOK, GUIDE, OURS, SERVICE, SPECIFICATION, Rule

DATASET_RULES: Final = (
    Rule(
        "JSL601",
        "There are enough examples",
        "The service trains on at least 10 examples, and an assignment may ask for more.",
        "Write more examples; different ones teach more than copies.",
        SERVICE,
        service="Training file has … example(s), but must have at least 10 examples "
        "(invalid_n_examples)",
    ),
    Rule(
        "JSL602",
        "No example occurs twice",
        "A copy is paid for twice, weighs twice, and leaks when the file is split.",
        "Run `finegrade data dedupe`.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL603",
        "No two examples are nearly the same",
        "Examples that differ in a word or two teach little, and leak when the file is split.",
        "Keep the better one, or run `finegrade data dedupe --near`.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL604",
        "One prompt has one answer",
        "Different answers to one prompt train the model to guess between them.",
        "Keep the right answer, or write into the prompt what tells the cases apart.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL605",
        "No example also occurs in the other file",
        "What was trained on measures memory and not learning: the score says nothing.",
        "Take the examples out of one of the two files; `finegrade data split` never does this.",
        SPECIFICATION,
        Severity.WARNING,
    ),
    Rule(
        "JSL606",
        "No one answer dominates",
        "When most examples have the same answer, always giving it is what the model learns.",
        "Add examples with other answers, or drop some of these.",
        GUIDE,
        Severity.WARNING,
    ),
    Rule(
        "JSL607",
        "Most answers are not refusals",
        "A model trained on refusals refuses what it should answer.",
        "Keep refusals for what must be refused, well below half of the examples.",
        GUIDE,
        Severity.WARNING,
    ),
    Rule(
        "JSL608",
        "No example is very short or very long",
        "A prompt of a letter or two, or an example far longer than the rest, is usually a cut or "
        "a pasted page.",
        "Look at the line: fix or drop it.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL609",
        "The classes are balanced",
        "With few different answers the data is a classification, and a rare class is not learned.",
        "Add examples of the rare answers.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL610",
        "All examples use one writing system",
        "A few examples in another script, or look-alike letters inside a word, come from a bad "
        "copy more often than from intent.",
        "Look at the line; write it in the script of the others if it is one of them.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL611",
        "No text is damaged by a wrong encoding",
        "Text that was read in the wrong encoding, replacement characters and invisible controls "
        "are learned as they stand.",
        "Read the source again with the right encoding and write it as UTF-8.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL612",
        "No text holds an access key or a login",
        "What a model was trained on it may say to anyone; a key in a file is a key lost.",
        "Take it out, and revoke the key: others have seen it.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL613",
        "No text holds personal data",
        "Addresses, phone numbers and card numbers of people may not be trained on.",
        "Replace them with invented ones, such as name@example.com.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL614",
        "No text holds unsafe words",
        "OpenAI's service passes files through moderation and fails the job. This is a short list "
        "of words that usually trip it, no judgement of the text.",
        "Look at the line; drop it, or say the same without the word.",
        SERVICE,
        Severity.WARNING,
        service="This file failed moderation safety checks… Flagged lines: 4, 13",
    ),
    Rule(
        "JSL615",
        "Files that belong together are of one kind",
        "A validation file follows the same rules as its training file, or the job fails.",
        "Give both files the same kind; `finegrade data convert` changes one.",
        SPECIFICATION,
    ),
    Rule(
        "JSL616",
        "Text is in normal form, without stray space at its ends",
        "Two spellings of one letter, and spaces that nobody sees, are learned as differences.",
        "Run `finegrade data fix`.",
        OURS,
        Severity.WARNING,
    ),
)

TOKEN_RULES: Final = (
    Rule(
        "TOK001",
        "Each example fits the model's training context",
        "What goes beyond it is cut off without a word: usually the answer.",
        "Shorten the example, or train a model with a longer context.",
        COOKBOOK,
        Severity.WARNING,
    ),
    Rule(
        "TOK002",
        "No example has far more tokens than the rest",
        "One giant example can cost more than all others together.",
        "Look at the line: fix or drop it.",
        COOKBOOK,
        Severity.WARNING,
    ),
    Rule(
        "TOK003",
        "The model can still be trained and served",
        "A model that is withdrawn takes its fine-tunes with it.",
        "Choose a model that lasts as long as you need it, or train a local one.",
        GUIDE,
        Severity.WARNING,
    ),
)
