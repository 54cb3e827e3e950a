"""Personal data (JSL613) and secrets (JSL612) in a text.

Personal data are reported only where their form proves them: email addresses, phone numbers in
international form, card numbers and IBANs with a valid check digit. Secrets are found by those
detectors of detect-secrets that know a form. Its detectors of high entropy and of words such as
"password" are not used: most of their results are false. Neither is its verification, which would
send the secret over the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from itertools import islice
from typing import Final

_TRIED: Final = 50  # of each form in one text: more are a list, and one is enough to say so
_SHOWN_CHARACTERS: Final = 3

_EMAIL: Final = re.compile(
    r"(?<![\w.%+-])([\w.%+-]{1,64}+)@((?:[a-z0-9-]{1,63}+\.){1,8}+[a-z]{2,24})(?![\w-])", re.I
)
# Reserved for examples (RFC 2606 and 6761), and what only looks like an address.
_NO_DOMAIN: Final = re.compile(
    r"(?:^|\.)example\.(?:com|org|net|edu)$|\.(?:example|test|invalid|localhost|local)$"
    r"|\.(?:png|jpe?g|gif|svg|webp|css|js|py|git)$",
    re.I,
)
_ADDRESS_BEFORE: Final = re.compile(r"://\S{0,100}$")  # a password in a URL, no mail address
_NO_PERSON: Final = re.compile(
    r"abuse|admin|contact|git|hello|help|hostmaster|info|mail|no-?reply|office|postmaster|root"
    r"|sales|security|service|support|webmaster",
    re.I,
)

_PHONE: Final = re.compile(r"(?<![\w+])\+\d[\d ().\-/\u00a0]{5,24}\d(?![\w+])")
# Numbers that no one has: 555 in North America, and what Ofcom keeps for drama in Britain.
_NO_PHONE: Final = re.compile(r"1(?:\d{3})?555|44(?:7700900|2079460)")

_CARD: Final = re.compile(
    r"(?<![\w.+-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})"
    r"(?![\w-]|\.\d)"
)
# First digits and lengths of Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay.
_ISSUED: Final = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"
    r"|3[47]\d{13}|(?:6011|65\d{2}|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|62\d{14,17}"
)
# What the makers of payment systems give out for trying.
_NO_CARD: Final = re.compile(
    "4111111111111111|4242424242424242|4012888888881881|5555555555554444|5105105105105100"
    "|378282246310005|371449635398431|6011111111111117|6011000990139424|3530111333300000"
    "|30569309025904|38520000023237"
)

_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![a-z0-9])"
)
_IBAN_LENGTHS: Final = range(15, 35)

_DIGITS: Final = bytes(ord("0") if chr(c).isdigit() and c < 128 else ord(" ") for c in range(256))
_SEPARATORS: Final = b" -"
_MANY_DIGITS: Final = b"0" * 8  # every card number and nearly every IBAN has so many in a row


def looks_personal(text: str) -> bool:
    """Whether the text may hold personal data. Cheap on ordinary text."""
    if "@" in text or "+" in text:
        return True
    return _MANY_DIGITS in text.encode("utf-8", "replace").translate(_DIGITS, _SEPARATORS)


def personal_data(text: str) -> Iterator[str]:
    """The personal data in the text by form, masked."""
    for what, found in (
        ("an email address", _emails(text)),
        ("a phone number", _phones(text)),
        ("a card number", _cards(text)),
        ("an IBAN", _ibans(text)),
    ):
        first = next(found, None)
        if first is not None:
            yield f"{what} ({first[:_SHOWN_CHARACTERS]}…); expected none, or an invented one"


def _emails(text: str) -> Iterator[str]:
    if "@" not in text:
        return
    for match in islice(_EMAIL.finditer(text), _TRIED):
        name, domain = match.groups()
        if _NO_PERSON.fullmatch(name) or _NO_DOMAIN.search(domain):
            continue
        if not _ADDRESS_BEFORE.search(text[max(0, match.start() - 100) : match.start()]):
            yield match[0]


def _phones(text: str) -> Iterator[str]:
    if "+" not in text:
        return
    for match in islice(_PHONE.finditer(text), _TRIED):
        from phonenumbers import PhoneNumberMatcher

        for found in PhoneNumberMatcher(match[0], None):
            number = f"{found.number.country_code}{found.number.national_number}"
            if not _NO_PHONE.match(number):
                yield match[0]


def _cards(text: str) -> Iterator[str]:
    for match in islice(_CARD.finditer(text), _TRIED):
        digits = re.sub(r"[ -]", "", match[0])
        if _ISSUED.fullmatch(digits) and not _NO_CARD.fullmatch(digits):
            from stdnum import luhn

            if luhn.is_valid(digits):
                yield match[0]


def _ibans(text: str) -> Iterator[str]:
    for match in islice(_IBAN.finditer(text), _TRIED):
        from stdnum import iban

        compact = match[0].replace(" ", "")  # perhaps with the beginning of the next word
        if any(iban.is_valid(compact[:n]) for n in _IBAN_LENGTHS if n <= len(compact)):
            yield match[0]


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
_SHOWN_OF_SECRET: Final = 3  # most secrets begin with what tells their type
_NOT_SHOWN: Final = "Basic Auth Credentials"  # a password, which may be as short as that


def looks_secret(text: str) -> bool:
    """Whether the text may hold a secret: a long run of characters, or a key file."""
    runs = text.encode("utf-8", "replace").translate(_AS_RUNS)
    return _RUN in runs or _KEY_FILE in text


def secrets(text: str) -> Iterator[str]:
    """The secrets in the text by type, masked."""
    found: dict[str, str] = {}
    for start, end in _places(text):
        for kind, secret in _detected(text[max(0, start - _BEFORE_CHARACTERS) : end]):
            if not _PLACEHOLDER.search(secret):
                found.setdefault(kind, secret)
    for kind, secret in found.items():
        shown = "" if kind == _NOT_SHOWN else secret[:_SHOWN_OF_SECRET]
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
