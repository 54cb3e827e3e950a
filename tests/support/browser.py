"""A real browser that looks at the service's pages, and hears what they complain of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from support.sandboxes import pending
from support.waiting import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

_MISSING: Final = (
    "there is no Chromium. Run scripts/setup.sh where the network can be reached, "
    "or: apt-get install chromium."
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window; the test is pending where there is none."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pending(_MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # No sandbox: containers, where tests run as root, have none to offer.
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A context of a browser: its pages, what they asked the network for, and what went wrong."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context: BrowserContext = browser.new_context(**options)
        self.context.set_default_timeout(1000 * PATIENCE)
        self.complaints: list[str] = []
        self.requested: list[str] = []
        self.context.on("console", lambda said: self.complaints.append(f"{said.type}: {said.text}"))
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("dialog", self._dialog)
        self.context.on("request", lambda request: self.requested.append(request.url))

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()
