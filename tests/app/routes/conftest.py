"""Style jobs as their routes see them: sent by a client, and worked on by writes to their rows."""

import hashlib
import json

import pytest

CONTENT, STYLE = b"picture of ada", b"picture by van Gogh"


class RowsAtWork:
    def __init__(self, desk):
        self.store, self.files = desk.store, desk.submit_style.files

    def claim(self):
        with self.store.write() as uow:
            job = uow.style_jobs.claim(self.files.home, 60.0)
            uow.commit()
        return job

    def write(self, job, events=(), **changes):
        with self.store.write() as uow:
            if changes:
                assert uow.style_jobs.write(job.id, job.token, **changes) is not None
            for type_, data in events:
                uow.style_jobs.tell(job.id, type_, data)
            uow.commit()

    def put(self, job, name, content):
        self.files.put(job.id, name, content)
        return {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def preview(self, job, step, content=b"preview"):
        facts = {**self.put(job, f"{job.token}/preview-{step}", content), "step": step, "media_type": "image/jpeg"}
        self.write(job, [("preview", {"step": step, "media_type": "image/jpeg"})], preview=facts)

    def checkpoint(self, job, step):
        state = json.dumps({"canvas": "c", "step": step}).encode()
        facts = {**self.put(job, f"{job.token}/checkpoint-{step}", state), "step": step}
        self.write(job, checkpoint=facts, step=step)

    def end(self, job, status="succeeded", content=b"rendered", **changes):
        if status == "succeeded":
            facts = self.put(job, f"{job.token}/result", content)
            changes["output"] = {**facts, "media_type": "image/png", "suffix": ".png", "width": 8, "height": 4}
        with self.store.write() as uow:
            until = job.expires_at
            assert uow.style_jobs.end(job.id, status, token=job.token, expires_at=until, **changes)
            uow.style_jobs.tell(job.id, "completed", {"status": status})
            uow.commit()


@pytest.fixture
def send(service):
    """Sends a style job: the styles, and options by name."""

    def post(*styles, content=CONTENT, key="", headers=None, **options):
        files = [("content", ("a.png", content)), *(("style", ("b.png", one)) for one in styles or (STYLE,))]
        if options:
            files.append(("options", (None, json.dumps(options).encode())))
        return service.call("POST", "/style-jobs", key=key, files=files, headers=headers or {})

    return post


@pytest.fixture
def jobs(service):
    """Writes to the rows of jobs as a worker does."""
    return RowsAtWork(service.desk)
