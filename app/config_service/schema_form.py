"""A form for the values of a namespace, made from its schema. Pure.

Only what a plain field shows without loss has one: texts, numbers, switches, choices, lists of texts or numbers.
Everything else is JSON. An empty field means that the key is not set.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.web.strict_json import BadJson, parse


@dataclass(frozen=True, slots=True)
class FormField:
    """`text` is what the field shows; for `choice`, `text` and `choices` are JSON."""

    key: str
    kind: str
    label: str
    help: str
    text: str
    choices: tuple[tuple[str, str], ...] = ()
    item: str = "string"
    minimum: Any = None
    maximum: Any = None
    hidden: bool = False
    locked: bool = False

    @property
    def name(self) -> str:
        return f"value.{self.key}"


class BadField(Exception):
    """An entered value is invalid; the text is the reason."""


def form_fields_of(
    schema: Any, values: Mapping[str, Any], hidden: Collection[str] = (), locked: Collection[str] = ()
) -> list[FormField]:
    """A field for each property of the schema. The value of a key in `hidden` is not shown: it is a secret."""
    properties = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    if not isinstance(properties, Mapping):
        return []
    return [
        _field(key, rule if isinstance(rule, Mapping) else {}, values, key in hidden, key in locked)
        for key, rule in properties.items()
    ]


def _field(key: str, rule: Mapping[str, Any], values: Mapping[str, Any], hidden: bool, locked: bool) -> FormField:
    kind, item = _kind(rule)
    choices = tuple((_json(each), each if isinstance(each, str) else _json(each)) for each in rule.get("enum", ()))
    value = values.get(key)
    if key in values and not _shows(kind, item, rule, value):
        kind = "json"
    if kind == "switch":
        text = _json(bool(values.get(key, rule.get("default"))))
    else:
        text = "" if hidden or key not in values else _text(kind, value)
    default = f" ({_json(rule['default'])})" if rule.get("default") not in (None, "", [], {}) else ""
    return FormField(
        key, kind, str(rule.get("title") or key), str(rule.get("description") or "") + default, text,
        choices if kind == "choice" else (), item, rule.get("minimum"), rule.get("maximum"), hidden, locked,
    )  # fmt: skip


def _kind(rule: Mapping[str, Any]) -> tuple[str, str]:
    """(the kind of field, the type of a list's items)."""
    if isinstance(rule.get("enum"), list):
        return "choice", ""
    match rule.get("type"):
        case "boolean":
            return "switch", ""
        case "string":
            return "text", ""
        case "integer" | "number" as kind:
            return "number", kind
        case "array":
            items = rule.get("items")
            item = items.get("type") if isinstance(items, Mapping) and "enum" not in items else None
            return ("list", item) if item in ("string", "integer", "number") else ("json", "")
    return "json", ""


def _shows(kind: str, item: str, rule: Mapping[str, Any], value: Any) -> bool:
    """Whether the field can show this value without loss. A text of several lines, or an empty one, needs JSON."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match kind:
        case "choice":
            return value in rule["enum"]
        case "switch":
            return isinstance(value, bool)
        case "text":
            return _is_line(value)
        case "number":
            return number
        case "list":
            return isinstance(value, list) and bool(value) and all(item != "string" or _is_line(each) for each in value)
    return True


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and value == value.strip() and len(value.splitlines()) == 1


def _text(kind: str, value: Any) -> str:
    match kind:
        case "text":
            return str(value)
        case "list":
            return "\n".join(each if isinstance(each, str) else _json(each) for each in value)
    return _json(value)


def changes_of(fields: Sequence[FormField], typed: Mapping[str, str]) -> tuple[dict[str, Any], set[str]]:
    """(new values of the keys whose fields were changed, the keys that are to be removed). Raises BadField.

    A browser sends nothing for a switch that is off.
    """
    new: dict[str, Any] = {}
    removed: set[str] = set()
    for field in fields:
        text = typed.get(field.name, "false" if field.kind == "switch" else field.text)
        text = text.replace("\r\n", "\n").strip()
        if field.locked or text == field.text.strip():
            continue
        if not text:
            removed.add(field.key)
            continue
        try:
            new[field.key] = _value(field, text)
        except BadJson as error:
            raise BadField(f"{field.key}: {error}") from None
    return new, removed


def _value(field: FormField, text: str) -> Any:
    match field.kind:
        case "text":
            return text
        case "switch":
            return text == "true"
        case "number":
            return _number(text)
        case "list":
            lines = [line.strip() for line in text.split("\n") if line.strip()]
            return lines if field.item == "string" else [_number(line) for line in lines]
    return parse(text.encode("utf-8", "replace"))


def _number(text: str) -> Any:
    value = parse(text.encode("utf-8", "replace"))
    if type(value) not in (int, float):
        raise BadJson("must be a number")
    return value


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
