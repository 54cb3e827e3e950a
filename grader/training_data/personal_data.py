"""Addresses and numbers of people in a text (JSL613).

Only what its own form proves: email addresses, phone numbers in international form, card numbers
and IBANs with a valid check digit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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
    """Whether the text should be looked at. Cheap on ordinary text."""
    if "@" in text or "+" in text:
        return True
    return _MANY_DIGITS in text.encode("utf-8", "replace").translate(_DIGITS, _SEPARATORS)


def personal_data(text: str) -> Iterator[str]:
    """What the text holds of each form, masked."""
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
