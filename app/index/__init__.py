"""Vectors by template: derived from rows, may be dropped at any time. The only place that knows faiss."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from app.index.compressed import CompressedIndex
from app.index.exact import ExactIndex
from app.index.flat import FlatIndex
from app.ports import VectorIndex

# What a setting, a test or a benchmark may name.
ENGINES: Mapping[str, Callable[[], VectorIndex]] = MappingProxyType(
    {"compressed": CompressedIndex, "flat": FlatIndex, "exact": ExactIndex}
)
