"""What was done to a training file, as short lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grader.report.text import clean
from grader.training_data.faults import counted

if TYPE_CHECKING:
    from grader.training_data.converting import Converted
    from grader.training_data.deduping import Deduped
    from grader.training_data.fixing import Fixed
    from grader.training_data.places import Places
    from grader.training_data.splitting import Split

_SHOWN_LINES: Final = 5  # dropped ones that are named; --format json has more


def fixed_lines(done: Fixed) -> list[str]:
    """Each repair with its places, and what is left for `data check`."""
    lines = [f"{counted(done.lines_read, 'line')} read, {done.lines_written:,} written."]
    lines += [f"  {repair.value}: {places}" for repair, places in done.repairs.items()]
    if not done.repairs:
        lines.append("  Nothing needed a repair.")
    if done.unusable.count:
        lines.append(_unusable(done.unusable))
    return lines


def split_lines(done: Split) -> list[str]:
    """How many examples each file has, and what had to stay together."""
    total = sum(done.examples.values())
    lines = [f"{counted(total, 'example')} split."]
    lines += [f"  {name}: {n:,} ({n / total:.1%})" for name, n in done.examples.items()]
    if done.groups < total:
        lines.append(
            f"  Examples that are alike stayed together: {counted(done.groups, 'group')}, the "
            f"largest of {done.largest_group:,}."
        )
    lines.append(f"  Near copies were looked for among {counted(done.searched, 'prompt')}.")
    if done.classes:
        lines.append(f"  Each file has its share of each of the {done.classes} different answers.")
    return lines


def deduped_lines(done: Deduped) -> list[str]:
    """How many lines were dropped, and the first of them with the lines that they repeat."""
    lines = [
        f"{counted(done.lines_read, 'line')} read, {done.lines_written:,} written.",
        f"  Dropped: {counted(done.copies, 'copy', 'copies')}, "
        f"{counted(done.near_copies, 'near copy', 'near copies')}",
    ]
    lines += [
        f"  line {one.line}: {'nearly ' if one.near else ''}the same as line {one.earlier}"
        for one in done.dropped[:_SHOWN_LINES]
    ]
    left_out = done.copies + done.near_copies - _SHOWN_LINES
    if left_out > 0:
        lines.append(f"  … and {left_out:,} more (--format json names the first of them)")
    if done.searched:
        lines.append(f"  Near copies were looked for among {counted(done.searched, 'example')}.")
    if done.unusable.count:
        lines.append(_unusable(done.unusable))
    return lines


def converted_lines(done: Converted) -> list[str]:
    """How many examples, and which keys the new kind does not know."""
    lines = [f"{counted(done.examples, done.noun)} converted."]
    if done.unchanged:
        lines.append(f"  Already of this kind and kept as they are: {done.unchanged:,}")
    lines += [f"  Dropped, {clean(key)}: {places}" for key, places in done.dropped.items()]
    return lines


def _unusable(places: Places) -> str:
    return f"  No usable example, left as they are: {places}. `finegrade data check` says why."
