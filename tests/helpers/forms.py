"""The forms and links of a page, as a browser without script sees them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    action: str
    method: str
    kind: str
    """Its classes."""
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)
    """The classes of each."""


class Forms(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        """(address, classes)."""
        self._open: Form | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        kind = named.get("class", "")
        match tag:
            case "form":
                self._open = Form(named.get("action", ""), named.get("method", "get"), kind)
                self.forms.append(self._open)
            case "a":
                self.links.append((named.get("href", ""), kind))
            case "input" if self._open is not None and "name" in named:
                self._open.fields[named["name"]] = named.get("value", "")
            case "button" if self._open is not None:
                self._open.buttons.append(kind)
            case _:
                pass

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
