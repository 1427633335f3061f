"""The queries of a search inside the database."""

import json
from collections.abc import Sequence

from sqlalchemy import text

# `<#>` is the negative inner product. Each row tells the last change that this server has at that moment.
_FOUND = """
    SELECT v.template_id, 0 - (v.vector <#> CAST(:probe AS vector)) AS similarity,
           (SELECT max(seq) FROM changes) AS reached
"""
_MOST = "LIMIT CAST(:k AS bigint)"

# The graph serves an order by the bare operator, and no other: these two compare every vector.
EXACT = text(f"{_FOUND} FROM template_vectors v WHERE v.model_id = :model ORDER BY similarity DESC {_MOST}")
EXACT_IN_GALLERY = text(
    f"{_FOUND} FROM template_vectors v JOIN members m ON m.person_id = v.person_id"
    f" WHERE v.model_id = :model AND m.gallery_id = :gallery ORDER BY similarity DESC {_MOST}"
)
NEAR = text(
    f"{_FOUND} FROM template_vectors v WHERE v.model_id = :model ORDER BY v.vector <#> CAST(:probe AS vector) {_MOST}"
)

_SIZE = "SELECT count(*) AS persons, CAST(coalesce(sum(n), 0) AS bigint) AS templates FROM (SELECT count(*) AS n FROM"
SIZE = text(f"{_SIZE} template_vectors WHERE model_id = :model GROUP BY person_id) counted")
SIZE_OF_GALLERY = text(
    f"{_SIZE} template_vectors v JOIN members m ON m.person_id = v.person_id"
    " WHERE v.model_id = :model AND m.gallery_id = :gallery GROUP BY v.person_id) counted"
)
HOLDS_ANY = text(
    "SELECT EXISTS (SELECT FROM template_vectors WHERE template_id IN"
    " (SELECT jsonb_array_elements_text(CAST(:template_ids AS jsonb)))) AS held"
)
HEAD = text(
    "SELECT coalesce((SELECT max(seq) FROM changes), 0) AS head, to_regclass('template_vectors') IS NOT NULL AS there,"
    " (SELECT model_id FROM served_model) AS model_id, (SELECT next_id FROM served_model) AS next_id"
)
# Some rows of a random part of the table's pages.
SAMPLE = text(
    "SELECT CAST(vector AS text) FROM template_vectors TABLESAMPLE SYSTEM (:percent) WHERE model_id = :model"
    " ORDER BY random() LIMIT CAST(:most AS bigint)"
)


def listed_ids(template_ids: Sequence[str]) -> str:
    """Ids as HOLDS_ANY takes them."""
    return json.dumps(list(template_ids))
