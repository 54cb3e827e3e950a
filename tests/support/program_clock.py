"""A program whose clock is ours, in a process without a sandbox."""

from __future__ import annotations

from pathlib import Path

from grader.sandbox.inside import clock

INSTALL = f"""
clock = {{"__name__": "_clock"}}
exec(compile(open({str(Path(clock.__file__))!r}).read(), "clock", "exec"), clock)
clock["install"](5000.0)
"""
