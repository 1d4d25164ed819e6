"""What can be wrong with a table or a bundle."""

from __future__ import annotations


class InputError(ValueError):
    """The table can't be predicted on; the text says what is wrong and what to do."""


class Damaged(InputError):
    """The bundle is not the one that was packaged, or holds what does not belong in a model."""


class WrongVersion(InputError):
    """Something that the bundle needs is not installed, or of a version that can't load it."""
