"""WeChat's XML: one level of fields below `<xml>`, no document types and no entities. Pure."""

from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

from app.wechat.message_crypto import BadMessage

MAX_DEPTH, MAX_FIELDS = 8, 200


def filled(fields: Mapping[str, str], name: str) -> str:
    """The text of a field. Raises BadMessage if it is missing or blank."""
    if not (value := fields.get(name, "")).strip():
        raise BadMessage(f"{name} is empty")
    return value


def parse_xml(document: bytes) -> dict[str, str]:
    """The fields of a message; the text of nested elements belongs to their field. Raises BadMessage."""
    fields: dict[str, str] = {}
    path: list[str] = []

    def start(name: str, _: Any) -> None:
        path.append(name)
        if len(path) > MAX_DEPTH or len(fields) >= MAX_FIELDS:
            raise BadMessage("the XML is too deep or has too many fields")
        if len(path) == 2:
            fields[name] = ""

    def text(data: str) -> None:
        if len(path) >= 2:
            fields[path[1]] += data

    def forbid(*_: Any) -> Any:
        raise BadMessage("the XML has a document type or an entity")

    parser = expat.ParserCreate("utf-8")  # whatever the document declares
    parser.buffer_text = True
    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda _: path.pop()
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = forbid
    parser.ExternalEntityRefHandler = parser.SkippedEntityHandler = forbid
    try:
        parser.Parse(document, True)
    except expat.ExpatError:
        raise BadMessage("the body is not XML") from None
    return fields
