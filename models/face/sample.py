"""Makes sample.png, the aligned crops against which a precision is judged, from the public-domain sample photos.

python -m models.face.sample samples/*.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from models.face.align import align
from models.face.detect import detect, load_detector
from models.image import decode
from models.weights import FOLDER


def main() -> None:
    """Aligns the main face of each photo, and writes the crops side by side."""
    parser = argparse.ArgumentParser(description="Makes the crops against which a precision is judged.")
    parser.add_argument("photos", type=Path, nargs="+", help="photos with one face each")
    photos = [decode(path.read_bytes()) for path in parser.parse_args().photos]
    detector = load_detector()
    crops = [align(photo, detect(detector, photo)[0].landmarks) for photo in photos]
    Image.fromarray(np.concatenate(crops, axis=1)).save(FOLDER / "sample.png", optimize=True)


if __name__ == "__main__":
    main()
