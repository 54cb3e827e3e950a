"""Rules for paths and file sizes inside a submission, the same for archives and folders."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from grader.core.constants import (
    INTAKE_MAX_DEPTH,
    INTAKE_MAX_FILE_BYTES,
    INTAKE_MAX_FILES,
    INTAKE_MAX_PATH_CHARS,
    INTAKE_MAX_TOTAL_BYTES,
    MIB,
)
from grader.core.errors import IntakeError
from grader.core.text import JOINERS, is_spelling

JUNK = frozenset(
    {
        ".DS_Store",
        ".git",
        ".idea",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".venv",
        "Icon\r",
        "Thumbs.db",
        "__MACOSX",
        "__pycache__",
        "desktop.ini",
        "node_modules",
        "venv",
    }
)
"""Names that tools leave behind: never looked into, never counted, never a reason to refuse."""

_APPLE_DOUBLE = "._"  # macOS keeps a file's attributes beside it where a disk has no room for them

# Control, format (also those that reverse text), surrogate, unassigned and private characters,
# line and paragraph separators. Spaces of all kinds stay: screenshots of macOS have them.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})
_MAX_NAME_BYTES = 255  # what Linux and macOS file systems hold
_DRIVE = re.compile(r"[A-Za-z]:")


def is_junk(path: str) -> bool:
    """Whether any part of the path is the name of a tool's leftover."""
    return any(part in JUNK or part.startswith(_APPLE_DOUBLE) for part in path.split("/"))


def hidden_characters(text: str) -> bool:
    """Whether the text holds invisible characters, or ones that change how others show.

    Joiners between letters that are written with them are spelling (`core.text.is_spelling`).
    """
    return any(_is_hidden(text, at) for at in range(len(text)))


def _is_hidden(text: str, at: int) -> bool:
    hidden = unicodedata.category(text[at]) in _HIDDEN_CATEGORIES
    return hidden and not is_spelling(text, at)


def same_to_the_eye(name: str) -> str:
    """What names have in common that no reader, or no file system, could tell apart."""
    bare = name.translate(dict.fromkeys(map(ord, JOINERS)))
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", bare).casefold())


def plain_path(path: str) -> str:
    """A name in an archive without what leads nowhere: "./", "//", and backslashes for slashes.

    Old Windows tools write backslashes, and `tar -a -cf x.zip .` writes "./" before each name.
    Nothing is resolved: ".." and a slash at the beginning stay, for `check_stays` to refuse.
    """
    first, *rest = path.replace("\\", "/").split("/")
    kept = [part for part in rest[:-1] if part not in ("", ".")]
    last = ["" if part == "." else part for part in rest[-1:]]
    begin = [first] if first != "." and (first or rest) else []
    return "/".join([*begin, *kept, *last])


def shown(text: str, longest: int = 80) -> str:
    """A student's text, made safe and short enough for a message."""
    clean = "".join(
        "\N{REPLACEMENT CHARACTER}" if _is_hidden(text, at) else text[at]
        for at in range(min(len(text), longest + 1))
    )
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def check_stays(path: str) -> None:
    """Refuse a path that leaves the submission. Raises IntakeError LAY103."""
    parts = path.removesuffix("/").split("/")
    if path.startswith("/") or _DRIVE.match(path) or "\\" in path or ".." in parts:
        raise IntakeError(
            "LAY103",
            f"The name {shown(path)!r} could lead outside the submission's own folder.",
            "Pack the folder itself with a current zip program; names inside must be relative, "
            'with forward slashes and without "..".',
        )
    if "" in parts or "." in parts:
        raise IntakeError(
            "LAY103",
            f'The name {shown(path)!r} has an empty part or a "." in it.',
            "Pack the folder again with a current zip program.",
        )


def check_path(path: str) -> None:
    """Refuse a path that leaves the submission, has hidden characters, or is too long.

    Raises IntakeError LAY103 (leaves the folder), LAY113 (hidden characters), LAY112 (too deep or
    too long).
    """
    check_stays(path)
    parts = path.removesuffix("/").split("/")
    if hidden_characters(path):
        raise IntakeError(
            "LAY113",
            f"The name {shown(path)!r} holds characters that do not show.",
            "Rename that file with plain letters, digits, dots, dashes and underscores.",
        )
    longest_bytes = max(len(part.encode()) for part in parts)
    too_deep = len(parts) - 1 > INTAKE_MAX_DEPTH
    if too_deep or len(path) > INTAKE_MAX_PATH_CHARS or longest_bytes > _MAX_NAME_BYTES:
        raise IntakeError(
            "LAY112",
            f"{shown(path)!r} has {len(path)} characters in {len(parts)} levels; at most "
            f"{INTAKE_MAX_PATH_CHARS} characters ({_MAX_NAME_BYTES} bytes in one name) in "
            f"{INTAKE_MAX_DEPTH + 1} levels are taken.",
            "Use shorter names and fewer folders inside each other.",
        )


def check_collisions(paths: Mapping[str, bool]) -> None:
    """Refuse paths that are equal on some system; the values say which are folders.

    Names that differ in case or in Unicode composition alone are one file on Windows and macOS.
    Raises IntakeError LAY108.
    """
    seen: dict[str, tuple[str, bool]] = {}
    for path, is_folder in paths.items():
        parts = path.split("/")
        steps = [("/".join(parts[:n]), True) for n in range(1, len(parts))]
        for step, folder in [*steps, (path, is_folder)]:
            key = same_to_the_eye(step)
            other, other_is_folder = seen.setdefault(key, (step, folder))
            if other != step or other_is_folder != folder:
                raise collision(other, step)


def collision(one: str, other: str) -> IntakeError:
    """LAY108 for these two paths."""
    return IntakeError(
        "LAY108",
        f"{shown(one)!r} and {shown(other)!r} would be the same file on some computers.",
        "Rename or remove one of the two.",
        path=other,
    )


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Refuse too many or too large files; `sizes` in bytes by path.

    Raises IntakeError LAY107 (how many) and LAY105 (how large).
    """
    if len(sizes) > INTAKE_MAX_FILES:
        raise too_many(len(sizes), INTAKE_MAX_FILES)
    for path, size in sizes.items():
        if size > INTAKE_MAX_FILE_BYTES:
            raise too_large(f"{shown(path)!r}", size, INTAKE_MAX_FILE_BYTES, path)
    total = sum(sizes.values())
    if total > INTAKE_MAX_TOTAL_BYTES:
        raise too_large("The whole submission", total, INTAKE_MAX_TOTAL_BYTES)


def too_many(count: int, limit: int) -> IntakeError:
    """LAY107 for this number of files."""
    return IntakeError(
        "LAY107",
        f"The submission holds {count} files; at most {limit} are taken.",
        "Submit only what is asked for; leave out downloads, caches and checkpoints.",
    )


def too_large(what: str, size: int, limit: int, path: str | None = None) -> IntakeError:
    """LAY105 for this size in bytes."""
    return IntakeError(
        "LAY105",
        f"{what} is {size / MIB:.1f} MiB; at most {limit / MIB:.0f} MiB are taken.",
        "Leave out the base model, optimizer states, checkpoints and downloads.",
        path=path,
    )


def not_regular(path: str, what: str) -> IntakeError:
    """LAY104 for a link, a pipe, a device or the like."""
    return IntakeError(
        "LAY104",
        f"{shown(path)!r} is {what}; only files and folders are taken.",
        "Replace it by the file itself, or remove it.",
        path=path,
    )
