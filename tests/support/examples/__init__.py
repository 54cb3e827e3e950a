"""A small class that passes and one that fails, for each check: always the same bytes.

One table a family of codes; `tests/checks/test_examples.py` writes each class and judges it, and
fails as long as a code has none.
"""

from __future__ import annotations

from typing import Final

from support.examples import (
    adapter,
    bonus,
    dspy,
    evaluation,
    layout,
    local_scripts,
    source,
    workflow,
    written,
)
from support.examples.writers import Examples

EXAMPLES: Final[Examples] = {
    **layout.EXAMPLES,
    **adapter.EXAMPLES,
    **evaluation.EXAMPLES,
    **local_scripts.EXAMPLES,
    **source.EXAMPLES,
    **written.EXAMPLES,
    **dspy.EXAMPLES,
    **workflow.EXAMPLES,
    **bonus.EXAMPLES,
}
