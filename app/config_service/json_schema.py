"""JSON Schema (2020-12) of a namespace. References that lead outside the schema are refused: the library would fetch
them (server-side request forgery).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from app.lazy import LazyModule

if TYPE_CHECKING:
    import jsonschema_rs
else:
    jsonschema_rs = LazyModule("jsonschema_rs")

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
DATA = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose values are data: they hold no references."""
MASK = "the value"
"""Stands for values in messages: they may be secret."""


class BadSchema(Exception):
    """The schema is invalid or has a reference outside; the message is the reason."""


class SchemaViolation(Exception):
    """`key` violates `rule`, a keyword of the schema; `reason` is the library's sentence without the value."""

    def __init__(self, key: str, rule: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.rule = rule
        self.reason = reason


class Schema:
    """A compiled schema. Raises BadSchema."""

    def __init__(self, document: Any) -> None:
        if not isinstance(document, (dict, bool)):
            raise BadSchema("must be a JSON Schema: an object")
        _refuse_outward(document)
        self.document = document
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                document, mask=MASK, retriever=_no_retrieval, validate_formats=True
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise BadSchema(f"is no valid JSON Schema of 2020-12: {str(error).splitlines()[0][:200]}") from None

    def check(self, values: Mapping[str, Any]) -> None:
        """Raises SchemaViolation for the first violated rule."""
        error = next(iter(self._validator.iter_errors(dict(values))), None)
        if error is not None:
            rule = str(error.schema_path[-1]) if error.schema_path else "false"  # the schema that allows nothing
            raise SchemaViolation(_key(error), rule, error.message[:300])


def _key(error: "jsonschema_rs.ValidationError") -> str:
    if error.instance_path:
        return str(error.instance_path[0])
    unexpected = getattr(error.kind, "unexpected", None)
    return str(getattr(error.kind, "property", None) or (unexpected[0] if unexpected else ""))


def _refuse_outward(schema: Any) -> None:
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, dict):
            for keyword, value in each.items():
                if keyword in REFERENCES and isinstance(value, str) and not value.startswith("#"):
                    raise BadSchema(f"{keyword} leads outside the schema, which is not allowed: {value[:100]}")
                if keyword == "$schema" and isinstance(value, str) and value.rstrip("#") != DIALECT:
                    raise BadSchema(f"$schema must be {DIALECT}")
                if keyword not in DATA:
                    waiting.append(value)


def _no_retrieval(uri: str) -> NoReturn:
    raise ValueError("references that lead outside are not followed")
