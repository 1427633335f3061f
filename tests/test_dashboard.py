"""The dashboard asks for what /metrics tells, and for nothing else."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

SUFFIXES = ("_bucket", "_count", "_sum", "_total")


@pytest.fixture(scope="module")
def dashboard(root):
    return json.loads((root / "docs" / "grafana" / "onelook.json").read_text(encoding="utf-8"))


def asked(dashboard):
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return {name for expression in expressions for name in re.findall(r"\bonelook_\w+", expression)}


def base(name):
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def test_every_metric_that_is_asked_for_is_told(dashboard):
    from app.routes.metrics import Metrics

    told = {family.name for family in text_string_to_metric_families(Metrics().text(None).decode())}
    assert {base(name) for name in asked(dashboard)} <= told
    assert len(asked(dashboard)) > 5


def test_panels_have_names_texts_and_places_of_their_own(dashboard):
    panels = dashboard["panels"]
    assert all(panel["title"] and panel["description"] for panel in panels)
    places = [tuple(panel["gridPos"].values()) for panel in panels]
    assert len(set(places)) == len({panel["id"] for panel in panels}) == len(panels)
