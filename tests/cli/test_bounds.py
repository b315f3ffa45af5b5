"""Numbers of settings have an upper bound: one that is too large would fail much later."""

import pytest
from pydantic import ValidationError

from app.settings import Settings

NUMBERS = [
    name for name, field in Settings.model_fields.items() if field.annotation in {int, float, int | None, float | None}
]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [10**19, -1])
def test_a_number_out_of_bounds_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})  # type: ignore[arg-type]  # names of any field
