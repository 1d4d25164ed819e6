"""Every word of texts, with a weight of its own, for models that add up their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse


class WithWords:
    """Columns as another transformer prepares them, and behind them the words of texts; sparse.

    A text has two blocks: the weights of its words (TF-IDF of the logarithm of counts), and those of pairs of
    neighbours, which are told apart by a number that several may share (the hashing trick). Each row of a
    block has the length `SCALE`, in which each occurrence of a pair counts by itself.

    Parameters
    ----------
    columns : transformer
    texts : sequence of (int, int, int)
        For each: its first column in the matrix, how many it has, and how many words are known.
    buckets : int
        How many numbers there are for pairs; 0 leaves them out.
    """

    SCALE = 3.0
    FACTORS = (1_000_003, 7_919)
    BLOCK_CELLS = 4_000_000

    def __init__(
        self,
        columns: Any,
        texts: Sequence[tuple[int, int, int]],
        buckets: int,
        idf: Sequence[np.ndarray[Any, Any]] = (),
    ) -> None:
        self.columns = columns
        self.texts = [(int(first), int(slots), int(words)) for first, slots, words in texts]
        self.buckets = buckets
        self.idf = list(idf)

    def fit(self, X: Any, y: Any = None) -> Any:
        """Fit the columns' transformer, and count in how many texts each word stands."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit and transform; a CSR matrix."""
        prepared = self.columns.fit_transform(X, y)
        parts = [self._counted(rows) for rows in self._parts(X)]
        blocks = [sparse.vstack(block, format="csr") for block in zip(*parts, strict=True)]
        self.idf = [self._idf_of(block) for block in blocks]
        weighed = map(self._weighed, blocks, self.idf)
        return sparse.hstack([sparse.csr_matrix(prepared), *weighed], format="csr")

    def transform(self, X: Any) -> Any:
        """Transform one row or more; a CSR matrix."""
        parts = []
        for rows in self._parts(X):
            weighed = map(self._weighed, self._counted(rows), self.idf)
            prepared = sparse.csr_matrix(self.columns.transform(rows))
            parts.append(sparse.hstack([prepared, *weighed], format="csr"))
        return parts[0] if len(parts) == 1 else sparse.vstack(parts, format="csr")

    def get_feature_names_out(self, names: Sequence[str]) -> list[str]:
        """Give the name of the column that each output comes from; of words that of a text's first."""
        found = [str(name) for name in self.columns.get_feature_names_out(names)]
        for first, _, words in self.texts:
            found += [names[first]] * (words + self.buckets)
        return found

    def _parts(self, X: Any) -> list[Any]:
        """The rows, so many at once that what is made of them takes little memory."""
        step = max(1, self.BLOCK_CELLS // max(slots for _, slots, _ in self.texts))
        return [X[start : start + step] for start in range(0, len(X), step)]

    def _counted(self, X: Any) -> list[Any]:
        """Of each text how often each word is in a row; and the pairs, each time that they are."""
        return [block for text in self.texts for block in self._counted_of(X, text)]

    def _counted_of(self, X: Any, text: tuple[int, int, int]) -> list[Any]:
        first, slots, words = text
        places = np.asarray(X[:, first : first + slots]).astype(np.int32)
        counts = self._sparse(places, (places >= 0) & (places < words), words)
        counts.sum_duplicates()
        counts.data = 1.0 + np.log(counts.data)
        if not self.buckets:
            return [counts]
        one, other = places[:, :-1].astype(np.int64), places[:, 1:]
        is_pair = (other >= 0) & ((one < words) | (other < words))
        bucket = (one * self.FACTORS[0] + other * self.FACTORS[1]) % self.buckets
        return [counts, self._sparse(bucket, is_pair, self.buckets)]

    def _sparse(self, places: Any, there: Any, width: int) -> Any:
        starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        found = places[there].astype(np.int32)
        return sparse.csr_matrix((np.ones(len(found)), found, starts), shape=(len(places), width))

    def _idf_of(self, block: Any) -> Any:
        once = block.copy()
        once.sum_duplicates()
        rows = np.bincount(once.indices, minlength=block.shape[1])
        return (np.log((1 + block.shape[0]) / (1 + rows)) + 1.0).astype(np.float32)

    def _weighed(self, block: Any, idf: Any) -> Any:
        data = block.data * idf[block.indices].astype(np.float64)
        rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
        length = np.sqrt(np.bincount(rows, weights=data**2, minlength=block.shape[0]))
        block.data = data * (self.SCALE / np.where(length == 0.0, 1.0, length))[rows]
        block.sum_duplicates()
        return block


def parted(preprocess: Any) -> tuple[Any, dict[str, Any] | None]:
    """Take a transformer apart: what a library made, and what there is of words as plain values."""
    if not isinstance(preprocess, WithWords):
        return preprocess, None
    told = {"texts": preprocess.texts, "buckets": preprocess.buckets, "idf": preprocess.idf}
    return preprocess.columns, told
