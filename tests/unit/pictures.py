"""What any picture must be, whatever it shows."""

from collections.abc import Iterator
from xml.etree import ElementTree

from rowcast.drawing.axes import LETTER

SLACK = 0.02  # of a coordinate written to a hundredth


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # raises where it is not well-formed


def is_sound(svg: ElementTree.Element) -> None:
    """Everything lies inside the viewBox, and whoever cannot see it is told what it shows."""
    left, top, width, height = map(float, svg.attrib["viewBox"].split())
    for what, x, y in _points(svg):
        assert left - SLACK <= x <= left + width + SLACK, (what, x)
        assert top - SLACK <= y <= top + height + SLACK, (what, y)
    if svg.get("aria-hidden") != "true":
        named = svg.attrib["aria-labelledby"].split()
        texts = {each.get("id"): each.text for each in svg if each.tag in ("title", "desc")}
        assert svg.get("role") == "img"
        assert list(texts) == named
        assert all(texts.values())


def _points(svg: ElementTree.Element) -> Iterator[tuple[str, float, float]]:
    for each in svg.iter():
        at = each.attrib
        if each.tag == "line":
            yield "line", float(at["x1"]), float(at["y1"])
            yield "line", float(at["x2"]), float(at["y2"])
        elif each.tag == "circle":
            for way in (-1, 1):
                yield "circle", float(at["cx"]) + way * float(at["r"]), float(at["cy"]) + way * float(at["r"])
        elif each.tag == "rect":
            x, y = float(at["x"]), float(at["y"])
            yield "rect", x, y
            yield "rect", x + float(at["width"]), y + float(at["height"])
        elif each.tag in ("polyline", "polygon"):
            for point in at["points"].split():
                x, y = map(float, point.split(","))
                yield each.tag, x, y
        elif each.tag == "text":
            x, y, length = float(at["x"]), float(at["y"]), len(each.text or "") * LETTER
            start = x - {"start": 0, "middle": length / 2, "end": length}[at["text-anchor"]]
            yield f"text {each.text}", start, y
            yield f"text {each.text}", start + length, y


def texts(svg: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in svg.iter("text")]
