"""An encoder in eight bits on the processor: OpenVINO, which draws each PReLU and rounding into the layer before it.

torch has convolutions of eight bits, but none that takes PReLU along. OpenVINO comes with the extra `int8`.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.encoder import INPUT_PX
from models.errors import EngineMissing
from models.quantised import CENTRE, INPUT_STEP, LEVELS, Layer

# Where openvino is imported it reports that to its makers over the network, unless this package is missing.
REPORTS = "openvino_telemetry"


def compiled(layers: Sequence[Layer]) -> Callable[[Tensor], Tensor]:
    """The layers as one graph: uint8 (n, 3, 112, 112), on the processor -> float32 (n, ...), as `exactly` has it.

    Thread-safe: as many calls run at once as there are cores, each with the threads that torch has now. Raises
    EngineMissing.
    """
    openvino = _openvino()
    graph = _graph(layers, openvino.opset13, openvino.Model)
    threads = torch.get_num_threads()
    streams = max(1, _cores() // threads)
    ready = openvino.Core().compile_model(
        graph,
        "CPU",
        {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams * threads,
            # Several processes share the machine, and each would take the same cores.
            "ENABLE_CPU_PINNING": False,
            # What is not in eight bits stays exact.
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )

    def run(batch: Tensor) -> Tensor:
        pixels = np.ascontiguousarray(batch.permute(0, 2, 3, 1).numpy())
        # A request of its own holds what this call computes; the answer is copied out of it.
        return torch.from_numpy(ready.create_infer_request().infer([pixels])[0].copy())

    return run


def _openvino() -> ModuleType:
    """The module, silent. Raises EngineMissing."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault(REPORTS, None)  # type: ignore[arg-type]
    try:
        return import_module("openvino")
    except ImportError as e:
        raise EngineMissing(
            "weights in eight bits need OpenVINO: pip install 'onelook[int8]', or name an encoder in float"
        ) from e


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _graph(layers: Sequence[Layer], op: Any, model: Any) -> Any:
    """In OpenVINO's terms: numbers that round are followed by layers whose weights are whole times a scale."""
    pixels = op.parameter([-1, INPUT_PX, INPUT_PX, 3], np.uint8, name="pixels")
    x = op.convert(op.transpose(pixels, np.array([0, 3, 1, 2])), np.float32)
    x = op.multiply(op.subtract(x, np.float32(CENTRE)), np.float32(INPUT_STEP))
    for layer in layers:
        low, high = (np.float32((end - layer.zero) * layer.step) for end in (0, LEVELS - 1))
        x = op.fake_quantize(x, low, high, low, high, LEVELS)
        x = _layer(layer, x, op)
    return model([op.result(x)], [pixels], "encoder")


def _layer(layer: Layer, x: Any, op: Any) -> Any:
    weight, per_output = layer.weight.numpy(), [-1] + [1] * (layer.weight.ndim - 1)
    groups, strides = layer.shape.groups, [layer.shape.stride] * 2
    if groups > 1:  # (groups, out / groups, in / groups, k, k)
        weight, per_output = weight.reshape(groups, -1, *weight.shape[1:]), [groups, -1, 1, 1, 1]
    numbers = op.multiply(op.convert(op.constant(weight), np.float32), layer.scale.numpy().reshape(per_output))
    if layer.weight.ndim == 2:
        x = op.matmul(op.reshape(x, np.array([0, -1]), special_zero=True), numbers, False, True)
        return op.add(x, layer.bias.numpy()[None])
    margin = [layer.weight.shape[-1] // 2] * 2
    convolution = op.group_convolution if groups > 1 else op.convolution
    x = op.add(convolution(x, numbers, strides, margin, margin, [1, 1]), layer.bias.numpy().reshape(1, -1, 1, 1))
    return op.prelu(x, layer.slope.numpy()) if len(layer.slope) else x
