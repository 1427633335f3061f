"""The picture that every speed is measured with, and the two ways in which it is sent."""

import io
from pathlib import Path

from PIL import Image

from benchmarks.service import REPOSITORY

SOURCE = REPOSITORY / "samples" / "obama-2012.jpg"
SIZE = (640, 480)
GREY = (96, 96, 96)
JPEG_QUALITY = 90
BOUNDARY = "onelook-benchmark"


def picture(source: Path = SOURCE) -> bytes:
    """A JPEG of 640 x 480 pixels: the photo, as large as it goes, on grey."""
    canvas = Image.new("RGB", SIZE, GREY)
    with Image.open(source) as file:
        photo = file.convert("RGB")
        photo.thumbnail(SIZE, Image.Resampling.LANCZOS)
        canvas.paste(photo, ((SIZE[0] - photo.width) // 2, (SIZE[1] - photo.height) // 2))
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def raw_request(path: str, image: bytes, key: str) -> bytes:
    """A whole HTTP request whose body is the picture."""
    return _request(path, key, "image/jpeg", image)


def multipart_request(path: str, image: bytes, key: str) -> bytes:
    """A whole HTTP request that carries the picture as a form does."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()
    return _request(path, key, f"multipart/form-data; boundary={BOUNDARY}", body)


def _request(path: str, key: str, kind: str, body: bytes) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {key}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
