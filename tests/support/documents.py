"""Documents as students' programs write them, and as nobody's does."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from docx import Document
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

SENTENCE = "The optimized program answers 41 of 50 questions, the base model 29."


def drawn_pdf(*pages: str) -> bytes:
    """A PDF with embedded fonts, as plotting and typesetting programs write it."""
    file = io.BytesIO()
    with mpl.rc_context({"pdf.fonttype": 42}), PdfPages(file) as pdf:
        for text in pages:
            figure = Figure()
            figure.text(0.1, 0.5, text)
            pdf.savefig(figure)
    return file.getvalue()


def scanned_pdf(pages: int = 2) -> bytes:
    """A PDF whose pages are pictures."""
    file = io.BytesIO()
    with PdfPages(file) as pdf:
        for _ in range(pages):
            figure = Figure()
            figure.figimage(np.eye(40))
            pdf.savefig(figure)
    return file.getvalue()


def raw_pdf(*contents: bytes, font: Mapping[str, str] | None = None) -> bytes:
    """A PDF of pages with these drawing operators."""
    return written(_raw(contents, font))


def protected_pdf(user: str, owner: str) -> bytes:
    """A PDF with RC4 encryption under these two passwords."""
    writer = _raw([f"BT /F1 12 Tf 72 700 Td ({SENTENCE}) Tj ET".encode()], None)
    writer.encrypt(user, owner, algorithm="RC4-128")
    return written(writer)


def written(writer: PdfWriter) -> bytes:
    """The file that a pypdf writer writes."""
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def _raw(contents: Sequence[bytes], font: Mapping[str, str] | None) -> PdfWriter:
    writer = PdfWriter()
    named = {"Type": "Font", "Subtype": "Type1", "BaseFont": "Helvetica", **(font or {})}
    face = DictionaryObject(
        {NameObject(f"/{key}"): NameObject(f"/{value}") for key, value in named.items()}
    )
    for content in contents:
        page = writer.add_blank_page(595, 842)
        stream = DecodedStreamObject()
        stream.set_data(content)
        fonts = DictionaryObject({NameObject("/F1"): face})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page[NameObject("/Contents")] = writer._add_object(stream.flate_encode())
    return writer


def word(*paragraphs: str, xml: str = "", styles: str = "") -> bytes:
    """A Word file. `xml` is put at the end of its body, `styles` among its styles."""
    document: Any = Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if xml:
        body = document.element.body
        for element in parse_xml(f"<w:body {_SPACES}>{xml}</w:body>"):
            body.insert(len(body) - 1, element)
    if styles:
        for element in parse_xml(f"<w:styles {_SPACES}>{styles}</w:styles>"):
            document.styles.element.append(element)
    return saved(document)


_SPACES = nsdecls("w", "wp", "m") + (
    ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    ' xmlns:v="urn:schemas-microsoft-com:vml"'
)


def saved(document: Any) -> bytes:
    """The file that a python-docx document becomes."""
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def with_part(data: bytes, name: str, part: bytes) -> bytes:
    """The package with one of its files replaced, or another one added."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", 8) as new:
        for member in old.namelist():
            if member != name:
                new.writestr(member, old.read(member))
        new.writestr(name, part)
    return file.getvalue()


def part(data: bytes, name: str) -> bytes:
    """One of the package's files."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return package.read(name)


def unpacking_to(data: bytes, size: int) -> bytes:
    """The package, saying of its first file that it unpacks to this many bytes."""
    entry = data.index(b"PK\x01\x02")
    return data[: entry + 24] + struct.pack("<I", size) + data[entry + 28 :]
