"""Examples of the bonus challenges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from grader.core.nouns import Evidence
from support.bonus import (
    ASKED,
    HANDED_IN,
    SCRIPTS,
    asks,
    examined,
    file_of,
    hybrid,
    taught,
    tuned_run,
)
from support.examples.writers import (
    Examples,
    Writer,
    with_files,
)
from support.transcripts import BASE, TUNED


def _bonus(
    id: str = "", run: Evidence | None = None, *, files: Mapping[str, str] = HANDED_IN
) -> Writer:
    """A submission of bonus challenges, one of which did this."""

    def write(folder: Path) -> Mapping[str, Evidence]:
        for name, text in files.items():
            with_files(name, adapter=False)(folder)
            (folder / "s01" / name).write_text(text)
        return {} if run is None else {id: run}

    return write


EXAMPLES: Examples = {
    "LAY050": (_bonus(), _bonus(files=SCRIPTS)),
    "LAY051": (_bonus(), _bonus(files=SCRIPTS)),
    "DSP030": (
        _bonus("hybrid_ok", hybrid()),
        _bonus("hybrid_ok", asks(tuned_run(), BASE, ASKED, 9).ended()),
    ),
    "DSP031": (
        _bonus("hybrid_ok", hybrid()),
        _bonus("hybrid_ok", asks(tuned_run(), TUNED, ASKED, 9, outputs=("answer",)).ended()),
    ),
    "DSP032": (
        _bonus("hybrid_ok", hybrid()),
        _bonus("hybrid_ok", hybrid(file=file_of(ASKED))),
    ),
    "DSP033": (_bonus("hybrid_ok", hybrid()), _bonus("hybrid_ok", hybrid(3, 3))),
    "API030": (
        _bonus("distill_ok", taught().ended()),
        _bonus("distill_ok", taught(replies={}).ended()),
    ),
    "API031": (
        _bonus("distill_ok", taught().ended()),
        _bonus("distill_ok", taught(base=BASE).ended()),
    ),
    "API032": (
        _bonus("distill_ok", taught().ended()),
        _bonus("distill_ok", taught(ASKED, ASKED).ended()),
    ),
    "API033": (
        _bonus("distill_ok", examined(taught())),
        _bonus("distill_ok", examined(taught(), 3, 3)),
    ),
}
