"""A calibration on one's own labelled photos: the same as is shipped, refused where the photos cannot carry it."""

from models.errors import SampleTooSmall
from models.measure.calibrate import FMR_TARGETS, GALLERY_SIZES, calibrate
from models.measure.likelihood import LEAST_TWICE
from models.measure.operating_points import MEASURED, Calibration
from models.measure.sample import Sample

SIZES = (*GALLERY_SIZES, 3000, 10_000)
# 30 false matches at the loosest rate, FMR 1e-2, take 78 people: 78 x 77 / 2 pairs. Two more, for the rate is kept.
LEAST_PEOPLE = 80
SEED = 1
# What to bring where a sample of enough people still varies too much.
MORE = 1.5


def refuse_too_few(photos_each: list[int]) -> None:
    """Before a photo is read: raises SampleTooSmall where so many photos a person cannot be enough."""
    people, twice = len(photos_each), sum(photos > 1 for photos in photos_each)
    if people < LEAST_PEOPLE:
        raise SampleTooSmall(
            f"{people} people are too few to calibrate on: {LEAST_PEOPLE} are needed, and 300 for an FPIR of 1 %",
            LEAST_PEOPLE,
        )
    if twice < LEAST_TWICE:
        raise SampleTooSmall(
            f"{twice} people with two photos are too few to see what is missed: {LEAST_TWICE} are needed", LEAST_TWICE
        )


def calibrate_own(sample: Sample, *, model_id: str, name: str, seed: int = SEED) -> Calibration:
    """Operating points, points between them, and the likelihood, as far as the sample supports each.

    A person whose photos show no face is in every count, and is missed. Raises SampleTooSmall for too few people, too
    few with two photos, or people so unlike each other that not even FMR 1e-2 is sure.
    """
    refuse_too_few(sample.photos_each().tolist())
    calibration = calibrate(sample, model_id=model_id, name=name, seed=seed, sizes=SIZES)
    if calibration.likelihood is None:
        raise SampleTooSmall(
            f"fewer than {LEAST_TWICE} people have two photos that show a face: bring more photos of each", LEAST_TWICE
        )
    if not any(point.support == MEASURED for point in calibration.verification):
        needed = round(MORE * sample.persons)
        raise SampleTooSmall(
            f"on {sample.persons} people not even an FMR of {FMR_TARGETS[0]:g} is sure, for a few of them make most of "
            f"the false matches: bring {needed}",
            needed,
        )
    return calibration
