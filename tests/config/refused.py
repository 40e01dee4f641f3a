"""How a configuration is refused."""

import pytest

from src.config import load_config
from src.errors import UserError


def refusal(path, *overrides: str) -> str:
    """The error message, which must be one line."""
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)
