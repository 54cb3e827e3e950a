"""Images in user messages."""

from __future__ import annotations

import binascii
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final

from grader.constants import DATA_MAX_IMAGE_BYTES, DATA_MAX_IMAGES
from grader.training_data.faults import Fault, quoted

_DATA_URL: Final = re.compile(r"data:image/(?P<format>[a-z+.-]{1,16});base64,", re.IGNORECASE)
_FORMATS: Final = ("jpeg", "jpg", "png", "webp")
_EXPECTED: Final = 'expected "https://..." or "data:image/png;base64,..." (also jpeg, webp)'


def image_faults(part: Mapping[str, Any], at: str) -> Iterator[Fault]:
    """The faults of one part of type image_url, which stands at the JSON pointer `at`."""
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str):
        found = f"image_url is {quoted(image)}; expected an object with a url"
        yield Fault("JSL323", found, None, f"{at}/image_url")
        return
    here = f"{at}/image_url/url"
    if url.startswith(("https://", "http://")):
        return
    match = _DATA_URL.match(url)
    if match is None or match["format"].lower() not in _FORMATS:
        yield Fault("JSL323", f"the url is {quoted(url, 30)}; {_EXPECTED}", None, here)
        return
    yield from _inline(url[match.end() :], here)


def too_many_images(images: int) -> Iterator[Fault]:
    """The fault of an example with this number of images, if it has too many."""
    if images > DATA_MAX_IMAGES:
        found = f"{images} images; at most {DATA_MAX_IMAGES} are taken"
        yield Fault("JSL322", found, None, "/messages")


def count_images(value: Mapping[str, Any]) -> int:
    """Image parts in all messages of a chat example, well formed or not."""
    messages = value.get("messages")
    count = 0
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            count += isinstance(part, dict) and part.get("type") == "image_url"
    return count


def _inline(encoded: str, at: str) -> Iterator[Fault]:
    size = len(encoded) * 3 // 4
    if size > DATA_MAX_IMAGE_BYTES:
        found = f"the image has about {size} bytes; at most {DATA_MAX_IMAGE_BYTES} are taken"
        yield Fault("JSL324", found, None, at)
        return
    try:
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError as error:
        yield Fault("JSL323", f"the image is not valid base64: {error}", None, at)
        return
    mode = _mode(data)
    if mode is None:
        yield Fault("JSL323", "the bytes are no JPEG, PNG or WEBP image", None, at)
    elif mode not in ("RGB", "RGBA"):
        yield Fault("JSL325", f"the image is in mode {mode}; expected RGB or RGBA", None, at)


def _mode(data: bytes) -> str | None:
    """The colour mode in the header of an image, or None. No pixel is decoded."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of huge sizes: nothing is decoded
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
                return image.mode
        except Exception:  # Pillow's readers raise many kinds on broken headers
            return None
