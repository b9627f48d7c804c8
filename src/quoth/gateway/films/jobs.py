"""Films of models that answer over chat: each is a job of the process that took it, and its result is kept an hour.

What is known of a job stands in a small file of its own, so that every worker of this machine can answer, and so that
one started anew can tell which jobs were lost. A process that lives holds a lock; a job that says it is under way, and
whose process does not live, was interrupted.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import platform
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec

logger = logging.getLogger("quoth.gateway")

__all__ = ["KEPT_SECONDS", "FilmJobs", "Job", "Lost"]

KEPT_SECONDS = 3600
# A job on a machine that cannot be asked is over after so long, one way or the other.
LONGEST_SECONDS = 1800
_INTERRUPTED = {
    "code": "interrupted",
    "message": "the gateway stopped while this film was being made; it may have been charged",
}


class Job(msgspec.Struct):
    """`status`: in_progress, completed or failed. `url` is where a finished film is; times are Unix seconds. What was
    asked for is not kept."""

    id: str
    model: str
    created_at: int
    owner: str = ""
    status: str = "in_progress"
    seconds: str | None = None
    size: str | None = None
    completed_at: int | None = None
    url: str = ""
    provider_url: str = ""
    error: dict[str, Any] | None = None

    def shown(self, video_id: str) -> dict[str, Any]:
        """The job as OpenAI shows one."""
        progress = {"completed": 100, "failed": 0}.get(self.status, 1)
        return {
            "id": video_id,
            "object": "video",
            "status": self.status,
            "created_at": self.created_at,
            "completed_at": self.completed_at if self.status == "completed" else None,
            "expires_at": self.completed_at + KEPT_SECONDS if self.completed_at else None,
            "model": self.model,
            "seconds": self.seconds,
            "size": self.size,
            "progress": progress,
            "remixed_from_video_id": None,
            "error": self.error,
        }


class Lost(Exception):
    """A job of another machine, which alone knows how it goes."""


class FilmJobs:
    """The jobs of one process. `today` gives the time. Leaving it ends what is still under way."""

    def __init__(self, today: Callable[[], datetime], folder: Path | None = None):
        self._today = today
        self._folder = folder
        self._lock: Any = None
        self._owner = ""
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def host(self) -> str:
        """The machine's name: what other replicas tell jobs apart by."""
        return platform.node()

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        for task in self._tasks.values():
            task.cancel("drain")
        assert self._group is not None
        await self._group.__aexit__(None, None, None)
        self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            Path(self._lock.name).unlink(missing_ok=True)
            self._lock.close()

    def start(self, job: Job, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Let `work` make the film; it says through `done` or `failed` what became of it, and raises nothing."""
        self._own_a_lock()
        self._forget_old_ones()
        job.owner = self._owner
        self._write(job)
        assert self._group is not None, "the application was not started"
        task = self._group.create_task(self._through(job, work))
        self._tasks[job.id] = task
        return task

    async def _through(self, job: Job, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:
            # One that nobody foresaw must not end the others.
            logger.exception("the film %s failed", job.id)
        finally:
            self._tasks.pop(job.id, None)
            if job.status == "in_progress":
                self.failed(job, _INTERRUPTED)

    def done(self, job: Job, url: str, provider_url: str) -> None:
        """The film is at `url`; `provider_url` is whose answer said so."""
        if self.find(job.id) is not None:
            job.status, job.completed_at = "completed", self._now()
            job.url, job.provider_url = url, provider_url
            self._write(job)

    def failed(self, job: Job, error: dict[str, Any]) -> None:
        job.status, job.error, job.completed_at = "failed", error, self._now()
        if self._path(job.id).exists():
            self._write(job)

    def new_id(self) -> str:
        return secrets.token_hex(16)

    def find(self, job_id: str) -> Job | None:
        """None for one that was never here, or is no longer kept."""
        try:
            job = msgspec.json.decode(self._path(job_id).read_bytes(), type=Job)
        except (OSError, msgspec.DecodeError):
            return None
        if job.status == "in_progress" and not self._lives(job.owner):
            self.failed(job, _INTERRUPTED)
        if job.completed_at is not None and self._now() > job.completed_at + KEPT_SECONDS:
            self._path(job_id).unlink(missing_ok=True)
            return None
        return job

    def told(self, job_id: str, host: str, started: int, model: str) -> Job | None:
        """As `find`; a job of this machine of which nothing is known, and one of another machine that must be over, was
        lost. Raises Lost for one that another machine may still know of."""
        job = self.find(job_id)
        if job is not None or self._was_deleted(job_id):
            return job
        now = self._now()
        if now > started + LONGEST_SECONDS + KEPT_SECONDS:
            return None
        if host != self.host and now <= started + LONGEST_SECONDS:
            raise Lost
        return Job(job_id, model, started, status="failed", completed_at=now, error=_INTERRUPTED)

    def forget(self, job_id: str) -> None:
        """Delete a job, and end it if it is under way."""
        if (task := self._tasks.get(job_id)) is not None:
            task.cancel("deleted")
        # What is left says that it was deleted, so that it is not taken for one that was lost.
        with suppress(OSError):
            self._path(job_id).write_bytes(b"deleted")

    def _was_deleted(self, job_id: str) -> bool:
        try:
            return self._path(job_id).read_bytes() == b"deleted"
        except OSError:
            return False

    # Files

    def _now(self) -> int:
        return int(self._today().timestamp())

    def _place(self) -> Path:
        if self._folder is None:
            folder = Path(tempfile.gettempdir()) / f"quoth-films-{os.getuid()}"
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
                folder = Path(tempfile.mkdtemp(prefix="quoth-films-"))  # somebody else was there first
            self._folder = folder
        return self._folder

    def _path(self, job_id: str) -> Path:
        return self._place() / f"{job_id}.json"

    def _write(self, job: Job) -> None:
        path = self._path(job.id)
        new = path.with_suffix(f".{secrets.token_hex(4)}")
        new.touch(0o600)
        new.write_bytes(msgspec.json.encode(job))
        new.replace(path)

    def _own_a_lock(self) -> None:
        """What tells others that this process lives: the system lets go of it however the process ends."""
        if self._lock is None:
            self._owner = secrets.token_hex(8)
            self._lock = (self._place() / f"{self._owner}.lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def _lives(self, owner: str) -> bool:
        if owner == self._owner:
            return True
        try:
            with (self._place() / f"{owner}.lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _forget_old_ones(self) -> None:
        long_ago = self._now() - LONGEST_SECONDS - 2 * KEPT_SECONDS
        for path in self._place().iterdir():
            with suppress(OSError):
                if (path.suffix == ".json" and path.stat().st_mtime < long_ago) or (
                    path.suffix == ".lock" and path.stat().st_mtime < long_ago and not self._lives(path.stem)
                ):
                    path.unlink()
