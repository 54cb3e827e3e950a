"""Passwords and keys in a text (JSL612), by the detectors of detect-secrets that know a form.

Its detectors of high entropy and of words such as "password" are left out: most of what they
find is none. So is its verification, which would send the secret over the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from itertools import islice
from typing import Final

_DETECTORS: Final = {
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "basic_auth": "BasicAuthDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "jwt": "JwtTokenDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "openai": "OpenAIDetector",
    "private_key": "PrivateKeyDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
"""detect-secrets' plugin modules and classes."""

_NEWER: Final = {
    "Anthropic API key": re.compile(r"sk-ant-[\w-]{32,200}"),
    "GitHub token": re.compile(r"github_pat_\w{36,255}"),
    "Google API key": re.compile(r"AIza[\w-]{35}"),
    "Hugging Face token": re.compile(r"hf_[A-Za-z]{34}"),
    "OpenAI API key": re.compile(r"sk-(?:proj|svcacct|admin)-[\w-]{40,200}"),
}
"""Forms that detect-secrets 1.5 does not know, by the prefixes that their makers document."""

# What such a secret looks like, roughly: detect-secrets is loaded (0.1 s) only where it matches.
_SIGN: Final = re.compile(
    r"A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA|AccountKey=|://[^:]+:[^@]+@|[MNO][\w-]{23,25}\.[\w-]{6}\."
    r"|gh[opsur]_|gl[a-z]{2,6}-|GR1348941|eyJ|-us\d|_authToken|sk-|github_pat_|AIza|hf_|pypi-AgE"
    r"|SG\.|xox[abposr]-|hooks\.slack\.com|sq0csp-|[rs]k_live_|\d{8}:|AC[a-z0-9]{32}"
    r"|SK[a-z0-9]{32}|PuTTY-User-Key-File"
)
_KEY_FILE: Final = "PRIVATE KEY"
_TOKEN: Final = re.compile(r"""(?<![^\s'"<>,;(){}])[^\s'"<>,;(){}]{20,}+""")
_RUN: Final = b"x" * 20
_AS_RUNS: Final = bytes(
    ord("x") if c < 128 and (chr(c).isalnum() or chr(c) in "_-+/=.:@") else ord(" ")
    for c in range(256)
)

# Only this much around a sign is searched: it bounds what hostile text can cost.
_BEFORE_CHARACTERS: Final = 64
_AFTER_CHARACTERS: Final = 400
_TOKENS_TRIED: Final = 200  # of one text

_PLACEHOLDER: Final = re.compile(
    r"example|placeholder|your|[<>{}$*…]|x{4}|^pass(?:word|wd)?$|^pwd$|^secret$|\.\.\.",
    re.IGNORECASE,
)
_SHOWN_CHARACTERS: Final = 3  # most secrets begin with what tells their type
_NOT_SHOWN: Final = "Basic Auth Credentials"  # a password, which may be as short as that


def looks_secret(text: str) -> bool:
    """Whether the text should be looked at: it has a long run of characters, or a key file."""
    runs = text.encode("utf-8", "replace").translate(_AS_RUNS)
    return _RUN in runs or _KEY_FILE in text


def secrets(text: str) -> Iterator[str]:
    """What the text holds of each type of secret, masked."""
    found: dict[str, str] = {}
    for start, end in _places(text):
        for kind, secret in _detected(text[max(0, start - _BEFORE_CHARACTERS) : end]):
            if not _PLACEHOLDER.search(secret):
                found.setdefault(kind, secret)
    for kind, secret in found.items():
        shown = "" if kind == _NOT_SHOWN else secret[:_SHOWN_CHARACTERS]
        yield f"what looks like a secret: {kind} ({shown}…); expected none"


def _places(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of what may be a secret."""
    for match in islice(_TOKEN.finditer(text), _TOKENS_TRIED):
        start, end = match.start(), min(match.end(), match.start() + _AFTER_CHARACTERS)
        before = text[max(0, start - _BEFORE_CHARACTERS) : start]
        if _SIGN.search(text, start, end) or "aws" in before.lower():
            yield start, end + 1  # with a quote that ends it
    at = text.find(_KEY_FILE)
    if at >= 0:
        yield at, at + _AFTER_CHARACTERS


def _detected(text: str) -> Iterator[tuple[str, str]]:
    """(type, secret) of every secret in a short text."""
    for kind, pattern in _NEWER.items():
        for match in pattern.finditer(text):
            yield kind, match[0]
    for kind, analyze in _detectors():
        for secret in analyze(text):
            yield kind, secret


@cache
def _detectors() -> tuple[tuple[str, Callable[[str], Iterable[str]]], ...]:
    """(type, search) of each detector. A search finds text and does nothing else."""
    classes = [
        getattr(import_module(f"detect_secrets.plugins.{module}"), name)
        for module, name in _DETECTORS.items()
    ]
    return tuple((detector.secret_type, detector().analyze_string) for detector in classes)
