"""LAY: the deliverables are there, under names that can be found.

LAY1xx: what a submission must be to be taken in at all. Intake finds these faults before any check
runs, and gives the code of the one that it met first. What stands here is each one's page; a
submission that was taken in has passed them all.

GRD: the grader's own errors. They never cost a mark.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from grader.checks.api.context import Context, Verdict, failed, passed, skipped
from grader.checks.api.registry import Check, add, check
from grader.checks.dataset import too_large
from grader.core.errors import FileRefused
from grader.core.nouns import Assignment, Deliverable, Submission
from grader.intake.paths import shown


@check("LAY001")
def holds_deliverables(context: Context) -> Verdict:
    """The submission holds deliverables of this assignment

    Why: An upload of another assignment, or of a folder inside the right one, looks like a
    submission with everything missing. That is better said once.

    Fix: Submit the folder that holds the files the assignment names, at its top.
    """
    asked = [d for d in context.assignment.deliverables if not d.optional]
    found = [d for d in context.assignment.deliverables if _is_there(context.submission, d)]
    if found:
        voluntary = ", ".join(d.title for d in found if d.optional)
        also = f" Voluntary: {voluntary}." if voluntary else ""
        required = sum(not d.optional for d in found)
        return passed(f"{required} of {len(asked)} were found.{also}")
    names = sorted({file.path.split("/")[0] for file in context.submission.files})
    listed = ", ".join(shown(name) for name in names[:8])
    return failed(
        f"None of this assignment's deliverables was found. The submission holds: {listed}.",
        "Check that you submitted the right folder, and that the names are the assignment's.",
    )


@check("LAY002")
def no_deliverable_is_ambiguous(context: Context) -> Verdict:
    """No deliverable is there twice

    Why: When two files could be the one that is asked for, grading either would be a guess.

    Fix: Keep one file of that name, at the top of the submission, and remove copies and old
    versions.
    """
    for deliverable in context.assignment.deliverables:
        try:
            context.submission.place(deliverable.id)
        except FileRefused as error:
            return failed(error.message, error.hint)
    return passed("Every deliverable that was found is there once.")


@check("LAY003")
def enough_parts_are_complete(context: Context) -> Verdict:
    """As many parts are complete as the assignment asks for

    Why: The assignment lets students choose among its parts, but asks for a number of them, and a
    comparison needs at least that many to compare.

    Fix: Submit every deliverable of as many parts as the assignment asks for. The findings on each
    part say what is missing.
    """
    asked, complete = _parts_asked(context.assignment), _complete_parts(context)
    if len(complete) >= asked:
        return passed(f"Complete: {len(complete)} of {len(context.assignment.parts)} parts.")
    listed = f" ({', '.join(complete)})" if complete else ""
    return failed(
        f"Complete: {len(complete)} of {len(context.assignment.parts)} parts{listed}; "
        f"the assignment asks for {asked}.",
        "Complete another part; the findings on each part say what is missing.",
    )


def _parts_asked(assignment: Assignment) -> int:
    """How many parts a student has to submit."""
    return max((c.best_parts or 0 for c in assignment.categories), default=0)


def _complete_parts(context: Context) -> list[str]:
    """Titles of the parts of which every deliverable is there."""
    return [
        part.title
        for part in context.assignment.parts
        if all(_is_there(context.submission, d) for d in _of_part(context.assignment, part.id))
    ]


def _of_part(assignment: Assignment, part: str) -> list[Deliverable]:
    return [deliverable for deliverable in assignment.deliverables if deliverable.part == part]


def _all_are_there(context: Context) -> Verdict:
    """Whether each deliverable that the assignment lists here, or of its parts, can be found."""
    deliverables, parts = (context.bindings.get(role, ()) for role in LISTS)
    asked = [
        deliverable
        for deliverable in context.assignment.deliverables
        if not deliverable.optional
        and (deliverable.id in deliverables or deliverable.part in parts)
    ]
    missing = [d for d in asked if not _is_there(context.submission, d)]
    if not missing:
        large = too_large(context)
        if large is None or all(large.path != context.submission.places[d.id] for d in asked):
            return passed("Everything is there.")
        return failed(large.message, large.hint, path=large.path)
    left_out = len(missing) == len(asked) and all(d.part is not None for d in asked)
    if left_out and len(_complete_parts(context)) >= _parts_asked(context.assignment):
        return skipped("Not submitted; the assignment lets you leave this part out.")
    return failed(
        " ".join(_search_report(context.submission, deliverable) for deliverable in missing),
        f"Submit what is missing: {', '.join(d.paths[0] for d in missing)}.",
    )


_THERE: Final = (
    (
        "LAY010",
        "The DSPy part is complete",
        "The grader runs the program and a person reads the report; without one of them the part "
        "cannot be graded.",
    ),
    (
        "LAY020",
        "The OpenAI part is complete",
        "The grader runs the workflow on your dataset and reads your cost analysis; without one of "
        "the three the part cannot be graded.",
    ),
    (
        "LAY021",
        "The numbers of the cost analysis are there",
        "The grader works out every number again from your dataset; a person reads the text beside "
        "them. It needs the numbers in a form that a program can read, and the dataset.",
    ),
    (
        "LAY022",
        "The OpenAI workflow and its training data are there",
        "The grader runs the workflow, which uploads the training data. Without one of them there "
        "is nothing to run.",
    ),
    (
        "LAY030",
        "The LoRA part is complete",
        "The adapter is what is graded on hidden questions; the scripts show how it came to be and "
        "how it is used, and the metrics what you measured yourself.",
    ),
    (
        "LAY040",
        "The comparative analysis is there",
        "The comparison of the methods is where the course asks for judgement and not for code.",
    ),
    (
        "LAY041",
        "The reflection is there",
        "What you would do differently is a part of what you learned, and of the grade.",
    ),
)
_HELD: Final = passed("The submission was taken in.")
_FIX: Final = (
    "Submit every deliverable that the finding names as missing, in one of the formats and under "
    "one of the names that the assignment gives."
)
LISTS: Final = ("deliverables", "parts")
"""What the assignment lists for these checks: deliverables, and parts for all of theirs."""

for _code, _title, _why in _THERE:
    add(Check(_code, _title, _why, _FIX, _all_are_there, lists=LISTS))


def _is_there(submission: Submission, deliverable: Deliverable) -> bool:
    """Found, even if more than once (LAY002 judges that)."""
    return deliverable.id in submission.places


def _search_report(submission: Submission, deliverable: Deliverable) -> str:
    """What was looked for, and which names come close."""
    looked_for = ", ".join(deliverable.paths)
    names = {part for file in submission.files for part in file.path.split("/")}
    close: dict[str, None] = {}
    for path in deliverable.paths:
        close |= dict.fromkeys(get_close_matches(path.rstrip("/"), sorted(names), n=2))
    instead = ", ".join(shown(name) for name in list(close)[:3])
    found = f"the closest found: {instead}" if close else "nothing like it was found"
    return f"{deliverable.title}: looked for {looked_for}; {found}."


@check("LAY101")
def archive_is_a_zip(_: Context) -> Verdict:
    """The archive is a readable zip file

    Why: Other formats (rar, 7z, tar.gz) renamed to .zip, and uploads that broke off, cannot be
    opened.

    Fix: Make a .zip with your system's own tool ("Compress", "Send to zip folder", `zip -r`), open
    it once yourself, and upload it again.
    """
    return _HELD


@check("LAY102")
def archive_is_intact(_: Context) -> Verdict:
    """Every file of the archive can be unpacked undamaged

    Why: Each file in a zip carries its size and a checksum. When they do not match, the file is not
    the one that you packed.

    Fix: Make the archive again, open it once yourself, and upload it again.
    """
    return _HELD


@check("LAY103")
def names_stay_inside(_: Context) -> Verdict:
    """All names in the submission stay inside its folder

    Why: A name such as `../x`, `/x`, `C:\\x` or one with backslashes can land outside the folder it
    is unpacked into, on some systems.

    Fix: Pack the folder itself, with a current zip program. Old Windows PowerShell writes
    backslashes: use the Explorer's own "Compress to ZIP file" instead.
    """
    return _HELD


@check("LAY104")
def only_files_and_folders(_: Context) -> Verdict:
    """The submission holds only files and folders

    Why: Links point to places that exist on your computer alone or where nobody should look, and
    reading a pipe or a device never ends.

    Fix: Replace each link by the file that it points to (`cp -L`), and remove anything else that is
    not a plain file.
    """
    return _HELD


@check("LAY105")
def sizes_within_limits(_: Context) -> Verdict:
    """The submission and each of its files are within the size limits

    Why: A whole class is graded on one machine. An adapter, its data and reports need a few MiB;
    base models, optimizer states and downloads do not belong in a submission.

    Fix: Leave out everything that can be downloaded or made again.
    """
    return _HELD


@check("LAY106")
def compression_is_plausible(_: Context) -> Verdict:
    """No file of the archive expands out of all proportion

    Why: A few bytes that expand to gigabytes are a well-known way to stop a server. Real data does
    not shrink to a two-hundredth of its size.

    Fix: Leave out the file that the message names, or submit it with less repetition in it.
    """
    return _HELD


@check("LAY107")
def file_count_within_limits(_: Context) -> Verdict:
    """The submission holds no more files than the limit

    Why: Thousands of files are almost always a package folder or a cache that slipped in.

    Fix: Submit what the assignment asks for. Virtual environments, `node_modules`, `.git` and
    `__pycache__` are skipped; other folders of that kind have to be left out.
    """
    return _HELD


@check("LAY108")
def names_do_not_collide(_: Context) -> Verdict:
    """No two names in the submission are the same on any system

    Why: `Report.md` and `report.md` are two files on Linux and one on Windows and macOS, where one
    would overwrite the other.

    Fix: Rename or remove one of the two.
    """
    return _HELD


@check("LAY109")
def archive_has_no_password(_: Context) -> Verdict:
    """The archive has no password

    Why: Nobody is there to type it in.

    Fix: Make the archive again without encryption.
    """
    return _HELD


@check("LAY110")
def archive_is_consistent(_: Context) -> Verdict:
    """The archive tells one story

    Why: A zip describes each file twice. When the two descriptions differ, or files share the same
    bytes, two programs unpack different things from it.

    Fix: Make the archive again with your system's own tool, and do not edit it afterwards.
    """
    return _HELD


@check("LAY111")
def compression_is_supported(_: Context) -> Verdict:
    """The archive uses plain zip compression

    Why: Deflate, or no compression, opens everywhere. Newer methods (LZMA, Zstandard, Deflate64) do
    not.

    Fix: Make the archive with your system's own tool, or choose "Deflate" in your zip program.
    """
    return _HELD


@check("LAY112")
def names_are_short(_: Context) -> Verdict:
    """No name in the submission is too long or too deep

    Why: Systems limit how long a path may be, and deep nests of folders crash some programs.

    Fix: Use shorter names and fewer folders inside each other.
    """
    return _HELD


@check("LAY113")
def names_are_printable(_: Context) -> Verdict:
    """All names in the submission can be read

    Why: Control characters, and characters that reverse or hide text, make a file look like another
    one.

    Fix: Rename the file with plain letters, digits, dots, dashes and underscores.
    """
    return _HELD


@check("LAY114")
def submission_is_not_empty(_: Context) -> Verdict:
    """The submission holds at least one file

    Why: An empty upload is nearly always an accident.

    Fix: Check that the upload is the right one, and that your files are in it.
    """
    return _HELD


@check("LAY115")
def one_submission_a_student(_: Context) -> Verdict:
    """Each student has one submission

    Why: When a folder and an archive carry the same name, grading either would be a guess, and one
    result would overwrite the other.

    Fix: For the instructor: keep the one that counts, or rename the folders or archives.
    """
    return _HELD


@check("LAY116")
def student_name_is_usable(_: Context) -> Verdict:
    """The folder or archive is named so that it can stand for a student

    Why: The name identifies the student in the gradebook. An empty or very long one, or one with
    characters that do not show, would be mistaken for another.

    Fix: For the instructor: rename the folder or archive to the student's login or name.
    """
    return _HELD
