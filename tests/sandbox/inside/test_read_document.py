"""The reader of PDF and Word files: all that shows, nothing that does not, and no other ending."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docx import Document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.documents import (
    SENTENCE,
    drawn_pdf,
    part,
    protected_pdf,
    raw_pdf,
    saved,
    scanned_pdf,
    unpacking_to,
    with_part,
    word,
)

from grader.sandbox.inside.read_document import (
    UNPACKED_MAX_BYTES,
    UnreadableDocument,
    read_docx,
    read_pdf,
)

LONGEST = 10_000


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Reads bytes as a file of this kind."""

    def reading(kind: str, data: bytes) -> dict[str, Any]:
        path = tmp_path / "document"
        path.write_bytes(data)
        return {"pdf": read_pdf, "docx": read_docx}[kind](path, LONGEST)

    return reading


def test_reads_the_pages_of_a_pdf(read: Any) -> None:
    found = read("pdf", drawn_pdf(SENTENCE, "Ärger and 50 €"))
    assert found["pages"] == 2
    assert found["text"].split("\n\n") == [SENTENCE, "Ärger and 50 €"]
    assert not any(found["notes"].values())


def test_a_pdf_without_a_password_to_open_it_is_read(read: Any) -> None:
    assert SENTENCE in read("pdf", protected_pdf("", "owner"))["text"]


def test_pictures_hold_no_text(read: Any) -> None:
    found = read("pdf", scanned_pdf(pages=2))
    assert (found["text"].strip(), found["pages"]) == ("", 2)


def _says(operators: bytes) -> bytes:
    return b"BT /F1 12 Tf 72 700 Td " + operators + b" ET"


@pytest.mark.parametrize(
    ("operators", "unseen"),
    [
        (b"0 g (seen) Tj", 0),
        (b"1 g (unseen) Tj", 1),
        (b"1 1 1 rg [(un) -20 (seen)] TJ", 1),
        (b"0 0 0 0 k (unseen) '", 1),
        (b"1 1 0 rg (seen) Tj", 0),
        (b"0 0 0 1 k (seen) Tj", 0),
        (b"3 Tr (unseen) Tj", 1),
        (b"3 Tr 0 Tr (seen) Tj", 0),
        (b"1 g 0 g (seen) Tj", 0),
        (b"ET q 1 g Q BT /F1 12 Tf (seen) Tj", 0),
        (b"ET 1 g q 0 g Q BT /F1 12 Tf (unseen) Tj", 1),
        (b"ET Q Q BT /F1 12 Tf (seen) Tj", 0),
    ],
)
def test_counts_pages_with_text_that_nobody_sees(read: Any, operators: bytes, unseen: int) -> None:
    found = read("pdf", raw_pdf(_says(operators), _says(b"(seen) Tj")))
    assert found["notes"]["pages with unseen text"] == unseen
    assert "seen" in found["text"]


def test_a_page_that_cannot_be_read_does_not_cost_the_others(read: Any) -> None:
    data = raw_pdf(_says(b"(first) Tj"), _says(b"(second) Tj"))
    broken = data.replace(b"/FlateDecode", b"/NoSuchThing", 1)
    found = read("pdf", broken)
    assert found["notes"]["unread pages"] == 1
    assert "second" in found["text"]


@pytest.mark.parametrize(
    ("kind", "data", "problem"),
    [
        ("pdf", protected_pdf("secret", "owner"), "encrypted"),
        ("pdf", b"%PDF-1.7\nrubbish", "corrupt"),
        ("pdf", b"%PDF-1.7\n", "corrupt"),
        ("pdf", drawn_pdf(SENTENCE)[:400], "corrupt"),
        ("pdf", raw_pdf(), "corrupt"),
        ("pdf", drawn_pdf("word " * 3000), "long"),
        ("docx", b"PK\x03\x04rubbish", "corrupt"),
        ("docx", word(SENTENCE)[:2000], "corrupt"),
        ("docx", with_part(word(), "word/document.xml", b"<w:document"), "corrupt"),
        ("docx", word("word " * 3000), "long"),
        ("docx", word(*["word " * 300] * 10), "long"),
        (
            "docx",
            with_part(
                word(),
                "[Content_Types].xml",
                part(word(), "[Content_Types].xml").replace(b"document.main", b"template.main"),
            ),
            "other kind",
        ),
    ],
)
def test_names_what_is_wrong_with_a_file(read: Any, kind: str, data: bytes, problem: str) -> None:
    with pytest.raises(UnreadableDocument, match=f"^{problem}$"):
        read(kind, data)


def test_an_encrypted_package_is_no_damaged_one(read: Any) -> None:
    data = bytearray(word())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    with pytest.raises(UnreadableDocument, match="encrypted"):
        read("docx", bytes(data))


def test_a_package_that_unpacks_to_too_much_is_not_unpacked(read: Any) -> None:
    with pytest.raises(UnreadableDocument, match="large"):
        read("docx", unpacking_to(word(), UNPACKED_MAX_BYTES))


def test_entities_are_not_expanded(read: Any) -> None:
    xml = part(word("before &  after"), "word/document.xml")
    bomb = b'<!DOCTYPE x [<!ENTITY a "boom boom boom"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    bomb += b'<!ENTITY f SYSTEM "file:///etc/passwd">]><w:document'
    xml = xml.replace(b"<w:document", bomb, 1).replace(b"before &amp; ", b"before &b;&f;")
    text = read("docx", with_part(word(), "word/document.xml", xml))["text"]
    assert "boom" not in text
    assert "root" not in text


def test_reads_a_word_file_in_its_order(read: Any) -> None:
    document = Document()
    document.add_heading("Costs", 1)
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ["model", "price", "small", ""], strict=True):
        cell.text = text
    table.cell(1, 1).add_table(1, 1).cell(0, 0).text = "3 €"
    paragraph = document.add_paragraph("After\ttab")
    paragraph.add_run("\nline")
    found = read("docx", saved(document))
    assert found["text"].strip() == "Costs\nmodel | price\nsmall | 3 €\nAfter\ttab\nline"
    assert found["pages"] is None


def _run(text: str, rules: str = "") -> str:
    return f"<w:r><w:rPr>{rules}</w:rPr><w:t>{text}</w:t></w:r>"


def _rule(name: str, value: str) -> str:
    return f'<w:{name} w:val="{value}"/>'


_WHITE = _rule("color", "FFFFFF")
_THEME = '<w:color w:val="auto" w:themeColor="background1"/>'


@pytest.mark.parametrize(
    "xml",
    [
        f'<w:p><w:ins w:id="1">{_run("SHOWN")}</w:ins></w:p>',
        f"<w:sdt><w:sdtContent><w:p>{_run('SHOWN')}</w:p></w:sdtContent></w:sdt>",
        f'<w:p><w:hyperlink w:anchor="a">{_run("SHOWN")}</w:hyperlink></w:p>',
        f"<w:p>{_run('SHOWN', _rule('vanish', 'false'))}</w:p>",
        f"<w:p>{_run('SHOWN', _WHITE + _rule('highlight', 'blue'))}</w:p>",
        f'<w:p><w:pPr><w:shd w:val="clear" w:fill="000080"/></w:pPr>{_run("SHOWN", _WHITE)}</w:p>',
        f"<w:tbl><w:tr><w:tc><w:p>{_run('SHOWN', _WHITE)}</w:p></w:tc></w:tr></w:tbl>",
        f"<w:tbl><w:tr><w:sdt><w:sdtContent><w:tc><w:p>{_run('SHOWN')}</w:p></w:tc></w:sdtContent>"
        "</w:sdt></w:tr></w:tbl>",
        f"<w:p><w:r><w:pict><v:textbox><w:txbxContent><w:p>{_run('SHOWN', _WHITE)}</w:p>"
        "</w:txbxContent></v:textbox></w:pict></w:r></w:p>",
        f"<w:p><w:r><mc:AlternateContent><mc:Choice Requires='wps'>{_run('SHOWN')}</mc:Choice>"
        f"<mc:Fallback>{_run('SHOWN')}</mc:Fallback></mc:AlternateContent></w:r></w:p>",
        "<w:p><m:oMath><m:r><m:t>SHOWN</m:t></m:r></m:oMath></w:p>",
    ],
)
def test_reads_what_shows_once(read: Any, xml: str) -> None:
    found = read("docx", word(SENTENCE, xml=xml))
    assert found["text"].split() == [*SENTENCE.split(), "SHOWN"]
    assert found["notes"] == {"hidden letters": 0}


@pytest.mark.parametrize(
    ("xml", "hidden"),
    [
        ('<w:p><w:del w:id="1"><w:r><w:delText>GONE</w:delText></w:r></w:del></w:p>', 0),
        (f'<w:p><w:moveFrom w:id="1">{_run("GONE")}</w:moveFrom></w:p>', 0),
        (f"<w:p>{_run('GONE', '<w:vanish/>')}</w:p>", 4),
        (f"<w:p>{_run('GONE', _WHITE)}</w:p>", 4),
        (f"<w:p>{_run('GONE', _THEME)}</w:p>", 4),
        (f"<w:p>{_run('GONE', _rule('sz', '2'))}</w:p>", 4),
        (f"<w:p>{_run('GONE', _rule('rStyle', 'Derived'))}</w:p>", 4),
        (f'<w:p><w:pPr><w:pStyle w:val="Hidden"/></w:pPr>{_run("GONE")}</w:p>', 4),
    ],
)
def test_leaves_out_and_counts_what_does_not_show(read: Any, xml: str, hidden: int) -> None:
    styles = (
        '<w:style w:type="character" w:styleId="Derived"><w:basedOn w:val="Hidden"/></w:style>'
        '<w:style w:type="character" w:styleId="Hidden"><w:rPr><w:vanish/></w:rPr></w:style>'
        '<w:style w:type="character" w:styleId="A"><w:basedOn w:val="B"/></w:style>'
        '<w:style w:type="character" w:styleId="B"><w:basedOn w:val="A"/></w:style>'
    )
    found = read("docx", word(SENTENCE, xml=xml, styles=styles))
    assert found["text"].split() == SENTENCE.split()
    assert found["notes"] == {"hidden letters": hidden}


_WHOLE = {
    "pdf": raw_pdf(_says(b"(first) Tj"), _says(b"1 g (second) Tj")),
    "docx": word(SENTENCE, xml=f"<w:p>{_run('white', _WHITE)}</w:p>"),
}


_PROBLEMS = ("corrupt", "encrypted", "large", "long", "other kind")


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), kind=st.sampled_from(["pdf", "docx"]))
def test_ends_in_a_text_or_a_problem_whatever_is_damaged(
    read: Any, data: st.DataObject, kind: str
) -> None:
    damaged = bytearray(_WHOLE[kind])
    places = st.integers(0, len(damaged) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        damaged[place] = byte
    cut = data.draw(st.integers(1, len(damaged)) | st.just(len(damaged)))
    try:
        found = read(kind, bytes(damaged[:cut]))
    except UnreadableDocument as problem:
        found = {"problem": str(problem)}
    assert set(found) == {"text", "pages", "notes"} or found["problem"] in _PROBLEMS
