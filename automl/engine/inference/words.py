"""Words of texts as numbers.

An encoded text ends with its words in order: their places in the vocabulary, its length where a word is not
in it, and -1 behind the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

NUMBER = re.compile(r"(?<!\w)\d\d+(?!\w)")
PADDING = -1


def with_lengths(text: str) -> str:
    """The text with zeros behind each number, as many as it has digits: of telephones that tells."""
    return NUMBER.sub(lambda found: f"{found[0]} {'0' * len(found[0])}", text)


def places_of_words(texts: Sequence[str], vectorizer: Any, slots: int) -> np.ndarray[Any, Any]:
    """Give the first words of texts as their places in a vocabulary.

    Parameters
    ----------
    texts : sequence of str
    vectorizer : TfidfVectorizer
        It has the vocabulary, and says what a word is.
    slots : int
        How many words of a text at the most.

    Returns
    -------
    array of float32, shape (texts, slots)
    """
    words_of, places = vectorizer.build_analyzer(), vectorizer.vocabulary_
    unknown = len(places)
    found = np.full((len(texts), slots), PADDING, dtype=np.float32)
    for row, text in enumerate(texts):
        known = [places.get(word, unknown) for word in words_of(text)[:slots]]
        found[row, : len(known)] = known
    return found
