"""A network -> one graph that runs without the interpreter."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn


def frozen(network: nn.Module, example: Tensor) -> Callable[[Tensor], Tensor]:
    """The network, its weights laid channels-last, as a frozen TorchScript graph; changes the network's layout.

    It takes inputs like `example`, whatever their height, width and number. A forward pass is one call that holds no
    interpreter lock, so that several threads read faces side by side while another answers HTTP; in eager mode each of
    some hundred operators takes the lock again. torch calls tracing deprecated in favour of export, whose CPU path
    needs a C++ compiler on the machine that serves; torch is pinned exactly, and decision 0004 says what would replace
    this.
    """
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    example = example.contiguous(memory_format=torch.channels_last)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        graph = torch.jit.freeze(traced)

    def run(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            out: Tensor = graph(batch)
        return out

    return run
