import threading
from datetime import timedelta

from app.actions.jobs import ClaimJob
from app.domain.job import ENROLL_BATCH, REEMBEDDING, Job
from app.worker.reembedding_work import ReembeddingWork


def test_works_on_what_has_not_ended_of_its_kind(store, clock, identifiers):
    now = clock.now()
    with store.write() as uow:
        for number, kind in enumerate((ENROLL_BATCH, REEMBEDDING, REEMBEDDING)):
            uow.jobs.add(Job(f"job_{number}", kind, "local", f"d{number}", {}, 1, now, now + timedelta(days=1), 5))
        uow.jobs.end("job_2", "failed", token=None, at=now, expires_at=now)
        uow.commit()
    ran, tidied = [], []
    work = ReembeddingWork(
        store,
        ClaimJob(store, clock, identifiers, REEMBEDDING),
        lambda job, *, stop: ran.append((job.id, stop)),
        lambda: tidied.append(1),
    )
    assert work.waits() == ["job_1"]
    job, stop = work.claim(["job_1"]), threading.Event()
    assert work.claim(["job_1"]) is None
    work.run(job, stop)
    work.sweep()
    work.tidy()
    assert (ran, tidied) == ([("job_1", stop)], [1])
