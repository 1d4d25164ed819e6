"""Effects as bars to both sides of a line, drawn into the rows of a table."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH, HEIGHT = 160, 14


@dataclass(frozen=True, slots=True)
class SignedBar:
    """A bar from the middle to the right where the amount is positive, else to the left."""

    start: float
    length: float
    positive: bool
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def middle(self) -> float:
        return self.width / 2


def signed_bar(amount: float, *, most: float) -> SignedBar:
    """A bar whose half of the width stands for `most`."""
    share = min(abs(amount) / most, 1.0) if most > 0 else 0.0
    length = round(share * WIDTH / 2, 1)
    return SignedBar(WIDTH / 2 if amount >= 0 else WIDTH / 2 - length, length, amount >= 0)
