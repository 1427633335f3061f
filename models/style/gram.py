"""Gram matrices: how the channels of a layer go together, wherever in the picture that is."""

import threading
from typing import Any

import torch
from torch import Tensor

# Values that are converted and multiplied at a time: they stay in the processor's cache.
CHUNK = 1 << 18


def gram_sum(features: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sum over positions of F F^T, float32 (C, C); differentiable. features (1, C, *space), of any precision.

    weights: float32 (*space), how much each position counts (guided Gram matrices, Gatys et al., "Controlling
    Perceptual Factors", CVPR 2017); None: each counts 1. Products of bfloat16 are summed in float32; float64 stays.
    """
    sums: Tensor = _GramSum.apply(features, weights)  # type: ignore[no-untyped-call]
    return sums


class _GramSum(torch.autograd.Function):
    """One product in each direction, in the layout that the features lie in; nothing of their size is kept beside."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weights: Tensor | None) -> Tensor:
        rows = _rows(features)
        weighed = None if weights is None else weights.reshape(-1, 1)
        ctx.save_for_backward(features, weighed)
        return _product(rows, weighed)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None]:
        features, weighed = ctx.saved_tensors
        both = (above[0] + above[0].T).to(features.dtype)
        if features.is_contiguous():  # channels first: the gradient lies as the activations do
            gradient = both @ features[0].flatten(1)
            if weighed is not None:
                gradient *= weighed.T.to(gradient.dtype)
            return gradient.view_as(features), None
        gradient = _rows(features) @ both
        if weighed is not None:
            gradient *= weighed.to(gradient.dtype)
        return _like(gradient, features), None


def wide(dtype: torch.dtype) -> torch.dtype:
    """In what sums over such values are taken: float32 at least."""
    return torch.promote_types(dtype, torch.float32)


def _rows(features: Tensor) -> Tensor:
    """(1, C, *space) -> (positions, C); a view of what lies channels last, and of what lies channels first."""
    return features[0].flatten(1).T if features.is_contiguous() else features[0].movedim(0, -1).flatten(0, -2)


def _like(rows: Tensor, features: Tensor) -> Tensor:
    return rows.reshape(*features.shape[2:], features.shape[1]).movedim(-1, 0)[None]


def _product(rows: Tensor, weighed: Tensor | None) -> Tensor:
    channels = rows.shape[1]
    if rows.dtype != torch.bfloat16 and weighed is None:
        return torch.mm(rows.T, rows)
    total = torch.zeros(channels, channels, device=rows.device, dtype=wide(rows.dtype))
    step = max(256, CHUNK // channels)
    with _half_products(rows.dtype == torch.bfloat16):
        for begin in range(0, rows.shape[0], step):
            piece = rows[begin : begin + step].to(total.dtype)
            other = piece if weighed is None else piece * weighed[begin : begin + step]
            total.addmm_(other.T, piece)
    return total


class _half_products:  # noqa: N801 - reads as a statement
    """Within it float32 products may take bfloat16 factors: exact for what was bfloat16, and summed in float32.

    The setting is the whole process's: the first thread within changes it, and the last one out puts it back.
    """

    _lock, _within = threading.Lock(), 0
    _before = "none"

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    def __enter__(self) -> None:
        if self._wanted:
            with self._lock:
                if not _half_products._within:
                    _half_products._before = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
                    torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]
                _half_products._within += 1

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            with self._lock:
                _half_products._within -= 1
                if not _half_products._within:
                    torch.backends.mkldnn.matmul.fp32_precision = self._before  # type: ignore[attr-defined]
