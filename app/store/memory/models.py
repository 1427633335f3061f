"""Which model is served, embeddings by the next one, and kept crops, in memory: part of the published fake."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from app.domain.face import Crop
from app.domain.model import Embedded, LeftBehind, Served, Waiting
from app.errors import UnknownTemplate
from app.store.memory.rows import Rows, Transaction


class MemoryModels:
    """Fits `ports.Models`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def served(self) -> Served | None:
        return self._uow.rows().served

    def serve(self, served: Served) -> None:
        rows = self._uow.rows_to_change()
        rows.served = served
        rows.note("model", served.model_id, "update")

    # Nothing is sealed here, and so nothing is ever `unreadable`.
    def waiting(self, model_id: str, *, unreadable: Callable[[str], object]) -> Iterator[Waiting]:
        rows = self._uow.rows()
        for id_ in sorted(rows.crops):
            if not _is_done(rows, id_, model_id):
                yield Waiting(id_, rows.crops[id_])

    def embed(self, model_id: str, embedded: Sequence[Embedded]) -> int:
        rows = self._uow.rows_to_change()
        fresh = {
            (one.template_id, model_id): np.array(one.vector, np.float32)
            for one in embedded
            if one.template_id in rows.templates and (one.template_id, model_id) not in rows.embedded
        }
        rows.embedded |= fresh
        return len(fresh)

    def embedded(self, model_id: str) -> tuple[int, int]:
        rows = self._uow.rows()
        done = {id_ for id_ in rows.templates if _is_done(rows, id_, model_id)}
        return len(done), len(done | rows.crops.keys())

    def left_behind(self, served: Served, *, with_crops: bool, limit: int) -> LeftBehind:
        rows = self._uow.rows()
        kept = {
            template.person_id
            for id_, template in rows.templates.items()
            if _is_done(rows, id_, served.next_id) or (with_crops and id_ in rows.crops)
        }
        searched = {t.person_id for t in rows.templates.values() if t.model_id == served.model_id}
        left = sorted(searched - kept)
        return LeftBehind(len(left), tuple(left[:limit]))

    def cut_over(self, model_id: str) -> int:
        rows = self._uow.rows_to_change()
        made = {id_: vector for (id_, model), vector in rows.embedded.items() if model == model_id}
        for id_, vector in made.items():
            vector.flags.writeable = False
            rows.templates[id_] = replace(rows.templates[id_], model_id=model_id, vector=vector)
        self.forget_others(None)
        return len(made)

    def forget_others(self, model_id: str | None) -> int:
        rows = self._uow.rows_to_change()
        kept = {key: vector for key, vector in rows.embedded.items() if key[1] == model_id}
        gone, rows.embedded = len(rows.embedded) - len(kept), kept
        return gone

    def forget_clear(self) -> int:
        return 0


class MemoryCrops:
    """Fits `ports.Crops`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def keep(self, template_id: str, crop: Crop) -> None:
        rows = self._uow.rows_to_change()
        if template_id not in rows.templates:
            raise UnknownTemplate
        kept = np.array(crop, np.uint8)
        kept.flags.writeable = False
        rows.crops[template_id] = kept

    def of(self, person_id: str) -> dict[str, Crop]:
        rows = self._uow.rows()
        return {id_: rows.crops[id_] for id_ in sorted(rows.crops) if rows.templates[id_].person_id == person_id}

    def count(self, person_id: str | None = None) -> int:
        return len(self._uow.rows().crops) if person_id is None else len(self.of(person_id))

    def forget_all(self) -> int:
        rows = self._uow.rows_to_change()
        count, rows.crops = len(rows.crops), {}
        return count


def _is_done(rows: Rows, template_id: str, model_id: str | None) -> bool:
    return rows.templates[template_id].model_id == model_id or (template_id, model_id) in rows.embedded
