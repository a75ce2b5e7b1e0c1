"""Checks chart files with a real parser: python3 well_formed.py FILE...

SVG must be XML. HTML must balance, and each drawing in it be XML; nothing may be fetched, and no text of the recording may
become markup or script: one <script>, no handler attributes, no elements but the known ones.
"""
import re
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

SVG = "{http://www.w3.org/2000/svg}"
SVG_ELEMENTS = {"svg", "title", "desc", "style", "defs", "pattern", "path", "rect", "g", "text", "tspan", "line"}
VOID = {"meta", "input", "br"}
KNOWN = SVG_ELEMENTS | VOID | {"html", "head", "body", "main", "header", "h1", "p", "div", "button", "span", "details",
                               "summary", "table", "tr", "td", "th", "script"}


def check_svg(text):
    root = ET.fromstring(text)
    assert root.tag == SVG + "svg", root.tag
    for element in root.iter():
        name = element.tag.removeprefix(SVG)
        assert name in SVG_ELEMENTS, f"unexpected element {name}"
        for attribute, value in element.attrib.items():
            assert not attribute.lower().startswith("on"), f"handler {attribute}"
            assert "href" not in attribute.lower(), f"reference {attribute}"
            if attribute in ("x", "y", "width", "height", "x1", "x2", "y1", "y2"):
                assert float(value) == float(value) and abs(float(value)) < 1e6, f"{attribute}={value}"
            if attribute in ("width", "height"):
                assert float(value) >= 0, f"{attribute}={value}"
    ids = [element.get("data-i") for element in root.iter() if element.get("data-i") is not None]
    assert len(ids) == len(set(ids)), "two bars of one id"


class Page(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.scripts = [], 0

    def handle_starttag(self, tag, attrs):
        assert tag in KNOWN, f"unexpected element {tag}"
        for name, value in attrs:
            assert not name.startswith("on") and name not in ("src", "href"), f"{tag} {name}={value}"
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in KNOWN, f"unexpected element {tag}"

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()


def check_html(text):
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == [], f"not closed: {page.open}"
    assert page.scripts == 1, f"{page.scripts} scripts"
    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(drawings) >= 2
    for drawing in drawings:
        check_svg(drawing)
    assert set(re.findall(r"https?://[^\"'\s<]*", text)) <= {"http://www.w3.org/2000/svg"}


for path in sys.argv[1:]:
    with open(path, encoding="utf-8", errors="strict") as file:
        content = file.read()
    try:
        (check_svg if path.endswith(".svg") else check_html)(content)
    except (AssertionError, ET.ParseError) as error:
        sys.exit(f"{path}: {error}")
