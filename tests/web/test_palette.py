"""The colours of the review page can be told apart, light and dark (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re

import pytest

from grader.web.pages import static

TEXT, SHAPE = 4.5, 3.0
SURFACES = ("paper", "card")
PAIRS = [
    *((ink, back) for back in SURFACES for ink in ("ink", "soft", "accent", "good", "bad", "ask")),
    *(("ink", back) for back in ("ask-back", "bad-back", "aspect-back", "copied-back")),
    *((ink, back) for ink in ("accent", "soft") for back in ("aspect-back", "ask-back")),
    ("good", "good-back"),
    ("bad", "bad-back"),
    ("on-accent", "accent"),
]
SHAPES = [(shape, back) for back in SURFACES for shape in ("edge", "accent", "bar", "good")]


def palettes() -> dict[str, dict[str, str]]:
    sheet = static("review.css").decode()
    blocks = re.findall(r":root \{(.*?)\}", sheet, re.S)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks)
    return {"light": light, "dark": light | dark}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [(*pair, TEXT) for pair in PAIRS] + [(*pair, SHAPE) for pair in (*SHAPES, ("bar", "track"))],
)
def test_colours_can_be_told_apart(scheme: str, front: str, back: str, least: float) -> None:
    palette = palettes()[scheme]
    one, other = sorted((luminance(palette[front]), luminance(palette[back])), reverse=True)
    assert (one + 0.05) / (other + 0.05) >= least
