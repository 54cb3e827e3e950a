"""Numbers of runs: no two runs have the same at once."""

from __future__ import annotations

import subprocess
import sys

from grader.sandbox.uids import lent_uid


def test_two_runs_have_two_numbers_and_the_first_is_used_again():
    with lent_uid() as first, lent_uid() as second:
        assert first.uid != second.uid
        low = first.uid
    with lent_uid() as again:
        assert again.uid <= low


def test_a_number_lent_here_is_not_lent_to_another_process():
    program = "from grader.sandbox.uids import lent_uid\nwith lent_uid() as one: print(one.uid)"
    with lent_uid() as ours:
        other = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert int(other) != ours.uid
