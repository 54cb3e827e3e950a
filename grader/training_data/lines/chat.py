"""Checks one chat example, images included, against OpenAI's rules for fine-tuning."""

from __future__ import annotations

import binascii
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final

from grader.core.constants import DATA_MAX_IMAGE_BYTES, DATA_MAX_IMAGES, DATA_MAX_NAME_CHARACTERS
from grader.training_data.lines.tools import (
    call_faults,
    conversation_faults,
    declaration_faults,
    makes_a_call,
)
from grader.training_data.read.other_formats import plain_role
from grader.training_data.rules.rule import Fault, pointer, quoted

_DATA_URL: Final = re.compile(r"data:image/(?P<format>[a-z+.-]{1,16});base64,", re.IGNORECASE)
_FORMATS: Final = ("jpeg", "jpg", "png", "webp")
_EXPECTED: Final = 'expected "https://..." or "data:image/png;base64,..." (also jpeg, webp)'


def image_faults(part: Mapping[str, Any], at: str) -> Iterator[Fault]:
    """The faults of one part of type image_url, at the JSON pointer `at`."""
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
    """The number of image parts in a chat example, well formed or not."""
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


_TOP_KEYS: Final = frozenset({"messages", "tools", "parallel_tool_calls", "functions"})
_ASSISTANT_KEYS: Final = frozenset(
    {"role", "content", "name", "weight", "tool_calls", "function_call", "refusal"}
)
_KEYS: Final = {
    "system": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "assistant": _ASSISTANT_KEYS,
    "tool": frozenset({"role", "content", "name", "tool_call_id"}),
    "function": frozenset({"role", "content", "name"}),
}
_NULLABLE: Final = {role: frozenset({"audio"} if role == "assistant" else ()) for role in _KEYS}
_PARTS: Final = {"user": ("text", "image_url"), "assistant": ("text", "refusal")}


def chat_faults(value: Mapping[str, Any]) -> Iterator[Fault]:
    """Every fault of a chat example, in the order of its text; lines are not set."""
    extra = [key for key in value if key not in _TOP_KEYS]
    messages = value.get("messages")
    if extra and _is_a_prompt(messages):
        yield Fault("JSL015", f"the last message is not an answer, and {quoted(extra[0])} follows")
        return
    for key in extra:
        null = ", which is null: leave it out" if value[key] is None else ""
        yield Fault("JSL202", f"contains an extra {quoted(key)}{null}", pointer=pointer(key))
    yield from declaration_faults(value)
    if "messages" not in value:
        yield Fault("JSL201", "is missing key 'messages'")
        return
    if not isinstance(messages, list) or not messages:
        found = "an empty list" if messages == [] else quoted(messages)
        expected = f"messages is {found}; expected a list with at least one message"
        yield Fault("JSL201", expected, pointer="/messages")
        return
    yield from message_faults(messages, "/messages")
    yield from conversation_faults(messages, value, "/messages")
    yield from _answers(messages)


def message_faults(messages: list[Any], at: str) -> Iterator[Fault]:
    """The faults of each message of a conversation at the JSON pointer `at`."""
    for i, message in enumerate(messages):
        here = f"{at}/{i}"
        if not isinstance(message, dict):
            yield Fault(
                "JSL203", f"message {i} is {quoted(message)}; expected an object", None, here
            )
        elif "role" not in message:
            yield Fault("JSL203", f"message {i} has no role", None, here)
        else:
            yield from _message(message, here)
    yield from _order(messages, at)


def _message(message: dict[str, Any], at: str) -> Iterator[Fault]:
    role = message["role"]
    if not isinstance(role, str) or role not in _KEYS:
        meant = plain_role(role)
        hint = f'; write "{meant}"' if meant else ""
        yield Fault("JSL204", f"the role is {quoted(role)}{hint}", None, f"{at}/role")
        return
    for key in message:
        null = message[key] is None
        if key not in _KEYS[role] and key != "weight" and not (null and key in _NULLABLE[role]):
            found = f"a message of the {role} has the key {quoted(key)}"
            found += ", which is null: leave it out" if null else ""
            yield Fault("JSL206", found, None, at + pointer(key))
    if "weight" in message:
        yield from _weight(message["weight"], role, at)
    if "name" in message:
        yield from _name(message["name"], at)
    yield from _content(message, role, at)
    if role == "assistant":
        yield from call_faults(message, at)


def _weight(weight: Any, role: str, at: str) -> Iterator[Fault]:
    if type(weight) is not int or weight not in (0, 1):
        found = f"the weight is {quoted(weight)}; expected the integer 0 or 1"
        yield Fault("JSL212", found, None, f"{at}/weight")
    elif role != "assistant":
        found = f"a message of the {role} has a weight; only answers are weighed"
        yield Fault("JSL212", found, None, f"{at}/weight")


def _name(name: Any, at: str) -> Iterator[Fault]:
    if not isinstance(name, str) or not name:
        found = f"the name is {quoted(name)}; expected a text"
        yield Fault("JSL214", found, None, f"{at}/name")
    elif len(name) > DATA_MAX_NAME_CHARACTERS:
        found = f"the name has {len(name)} characters; at most {DATA_MAX_NAME_CHARACTERS} are taken"
        yield Fault("JSL214", found, None, f"{at}/name")


def _content(message: dict[str, Any], role: str, at: str) -> Iterator[Fault]:
    content = message.get("content")
    speaks_otherwise = role == "assistant" and (makes_a_call(message) or bool(_refusal(message)))
    if content is None:
        if not speaks_otherwise:
            found = "content is null" if "content" in message else "there is no content"
            yield Fault("JSL205", f"{found} in a message of the {role}", None, at)
    elif isinstance(content, str):
        if not content.strip() and not speaks_otherwise:
            yield from _empty(role, f"{at}/content")
    elif isinstance(content, list) and content:
        if role in ("tool", "function"):
            found = f"the content of a message of the {role} is a list of parts; expected text"
            yield Fault("JSL308", found, None, f"{at}/content")
        found_faults = list(_parts(content, role, f"{at}/content"))
        yield from found_faults
        if not found_faults and not speaks_otherwise and all(_is_blank(part) for part in content):
            yield from _empty(role, f"{at}/content")
    else:
        found = "an empty list" if content == [] else quoted(content)
        expected = f"content is {found}; expected text or a list of typed parts"
        yield Fault("JSL207", expected, None, f"{at}/content")
    refusal = message.get("refusal")
    if role == "assistant" and refusal is not None and not isinstance(refusal, str):
        yield Fault("JSL207", f"refusal is {quoted(refusal)}; expected text", None, f"{at}/refusal")


def _refusal(message: dict[str, Any]) -> str:
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) else ""


def _empty(role: str, at: str) -> Iterator[Fault]:
    if role == "assistant":
        yield Fault("JSL211", "the answer is empty", None, at)
    elif role in ("system", "user"):
        yield Fault("JSL220", f"the message of the {role} is empty", None, at)


def _parts(parts: list[Any], role: str, at: str) -> Iterator[Fault]:
    for i, part in enumerate(parts):
        here = f"{at}/{i}"
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str):
            found = f"part {i} is {quoted(part)}; expected an object with a type"
            yield Fault("JSL207", found, None, here)
        elif kind == "image_url" and role != "user":
            yield Fault("JSL321", f"a message of the {role} holds an image", None, here)
        elif kind not in _PARTS.get(role, ("text",)):
            found = f"a part of type {quoted(kind)} in a message of the {role}"
            yield Fault("JSL208", found, None, f"{here}/type")
        elif kind == "image_url":
            yield from image_faults(part, here)
        elif not isinstance(part.get(kind), str):
            found = f"{kind} is {quoted(part.get(kind))}; expected text"
            yield Fault("JSL207", found, None, f"{here}/{kind}")


def _is_blank(part: dict[str, Any]) -> bool:
    text = part.get("text", part.get("refusal"))
    return isinstance(text, str) and not text.strip()


def _order(messages: list[Any], at: str) -> Iterator[Fault]:
    """Check the order of roles: warnings only, because an odd order can be intended."""
    roles = [m.get("role") if isinstance(m, dict) else None for m in messages]
    systems = [i for i, role in enumerate(roles) if role == "system"]
    for i in systems:
        if i != 0:
            found = (
                "a second system message" if systems[0] != i else "the system message comes late"
            )
            yield Fault("JSL217", found, None, f"{at}/{i}")
    before = None
    for i, role in enumerate(roles):
        if role == before and role in ("user", "assistant"):
            yield Fault("JSL218", f"two messages of the {role} in a row", None, f"{at}/{i}")
        if role != "system":
            before = role


def _answers(messages: list[Any]) -> Iterator[Fault]:
    """Check what a training conversation needs as a whole, beside correct messages."""
    objects = [m for m in messages if isinstance(m, dict)]
    roles = {r if isinstance(r := m.get("role"), str) else None for m in objects}
    all_known = roles <= _KEYS.keys() and len(objects) == len(messages)
    if "user" not in roles and all_known:  # a message that cannot be read may be the one
        yield Fault("JSL215", "no message of the user")
    if "system" not in roles and all_known:
        yield Fault("JSL216", "no system message")
    answers = [m for m in objects if m.get("role") == "assistant"]
    if not answers:
        yield Fault("JSL209", "no message of the assistant", None, "/messages")
        return
    last = messages[-1]
    role = last.get("role") if isinstance(last, dict) else None
    if isinstance(role, str) and role in _KEYS and role != "assistant":
        at = f"/messages/{len(messages) - 1}"
        yield Fault("JSL210", f"the last message is of the {role}", None, at)
    if all(type(m.get("weight")) is int and m["weight"] == 0 for m in answers):
        yield Fault("JSL213", "every answer has weight 0", None, "/messages")


def _is_a_prompt(messages: Any) -> bool:
    """Whether the messages form a prompt without an answer, as in reinforcement data."""
    if not isinstance(messages, list) or not messages:
        return False
    roles = [m.get("role") if isinstance(m, dict) else None for m in messages]
    return roles[-1] == "user" and "assistant" not in roles
