"""What can be wrong with a table or a bundle."""

from __future__ import annotations


class InputError(ValueError):
    """The table can't be predicted on; the text says what is wrong and what to do."""
