"""LAY1xx: what a submission must be to be taken in at all.

Intake finds these faults before any check runs, and gives the code of the one that it met first.
What stands here is each one's page; a submission that was taken in has passed them all.
"""

from __future__ import annotations

from typing import Final

from grader.checks.api.context import Context, Verdict, passed
from grader.checks.api.registry import check

_HELD: Final = passed("The submission was taken in.")


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
