"""POST /detect: the faces of a picture."""

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.domain.face import Face
from app.routes.answers import QualityBody, answer, box_body, quality_body
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.image_body import ImageForm

FORM = ImageForm()


class LandmarksBody(TypedDict):
    """Pixels (x, y) of the upright image; right and left are the person's own."""

    right_eye: list[float]
    left_eye: list[float]
    nose: list[float]
    mouth_right: list[float]
    mouth_left: list[float]


class DetectedBody(TypedDict):
    """One face; score 0..1: how sure the detector is."""

    box: list[float]
    landmarks: LandmarksBody
    score: float
    quality: QualityBody


class DetectBody(TypedDict):
    """Every face, the main one first; sizes in pixels."""

    faces: list[DetectedBody]
    width: int
    height: int


router = APIRouter(tags=["faces"])


@router.post("/detect", response_model=DetectBody, responses=refusals(image=True), openapi_extra=FORM.openapi())
async def detect(request: Request) -> Response:
    """Finds every face in a picture; none is an empty list."""
    desk = desk_of(request)
    sent = await FORM.read(request, desk)
    reading = await desk.on_pictures(desk.detect, sent.images["image"])
    body: DetectBody = {
        "faces": [_detected(face) for face in reading.faces],
        "width": reading.width,
        "height": reading.height,
    }
    return answer(body)


def _detected(face: Face) -> DetectedBody:
    right_eye, left_eye, nose, mouth_right, mouth_left = ([round(float(v), 1) for v in p] for p in face.landmarks)
    return {
        "box": box_body(face),
        "landmarks": {
            "right_eye": right_eye,
            "left_eye": left_eye,
            "nose": nose,
            "mouth_right": mouth_right,
            "mouth_left": mouth_left,
        },
        "score": round(float(face.score), 4),
        "quality": quality_body(face.quality),
    }
