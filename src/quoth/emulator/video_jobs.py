"""Videos that are being made: each is a job with an id, and how far it is follows from the clock alone.

Times are Unix seconds and arguments; what is made is decided when the job starts.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

from quoth.emulator.films import Film
from quoth.emulator.media_request import FilmRequest
from quoth.emulator.problems import Problem

__all__ = ["Job", "VideoJobs"]

_KEPT = 10_000
_QUEUED = 0.1  # of the whole time
_EXPIRES_AFTER = 24 * 3600
_FAILED = {"code": "generation_failed", "message": "The video could not be made (emulated). Try another prompt."}


@dataclass(frozen=True, slots=True)
class Job:
    """One video. `ending` is how it ends when it was asked for with a fault."""

    id: str
    request: FilmRequest
    started: float
    takes: float
    ending: Literal["failed", "stuck"] | None = None

    @property
    def ends_well(self) -> bool:
        return self.ending != "failed"

    @property
    def film(self) -> Film:
        return self.request.film

    def status(self, now: float) -> str:
        done = (now - self.started) / self.takes if self.takes else 1.0
        if done < _QUEUED:
            return "queued"
        if done < 1 or self.ending == "stuck":
            return "in_progress"
        return "failed" if self.ending == "failed" else "completed"

    def begun(self) -> dict[str, Any]:
        """The object as it is given to the one who asked for it: whatever comes of it, it has only been queued."""
        waiting = {"status": "queued", "completed_at": None, "expires_at": None, "progress": 0, "error": None}
        return {**self.shown(self.started), **waiting}

    def shown(self, now: float) -> dict[str, Any]:
        """The object as it stands at that time."""
        status = self.status(now)
        done = min(99, int(100 * (now - self.started) / self.takes)) if self.takes else 99
        progress = {"queued": 0, "completed": 100}.get(status, max(0, done))
        completed = int(self.started + self.takes) if status == "completed" else None
        return {
            "id": self.id,
            "object": "video",
            "status": status,
            "created_at": int(self.started),
            "completed_at": completed,
            "expires_at": completed + _EXPIRES_AFTER if completed is not None else None,
            "model": self.request.model,
            "seconds": str(self.request.seconds),
            "size": self.request.size,
            "progress": progress,
            "remixed_from_video_id": self.request.remixed_from,
            "error": _FAILED if status == "failed" else None,
            "usage": None,
        }


class VideoJobs:
    """The jobs of this account, by id. `takes` is how long each of them takes, in seconds."""

    def __init__(self, takes: float):
        self._takes = takes
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def clear(self) -> None:
        self._jobs.clear()

    def start(self, request: FilmRequest, seed: str, now: float, ending: Literal["failed", "stuck"] | None) -> Job:
        digits = hashlib.sha256(f"{seed}/video".encode()).hexdigest()[:48]
        job = Job(f"video_{digits}", request, now, self._takes, ending)
        self._jobs[job.id] = job
        while len(self._jobs) > _KEPT:
            self._jobs.popitem(last=False)
        return job

    def find(self, video_id: str) -> Job:
        """The job with this id. Raises Problem with 404."""
        job = self._jobs.get(video_id)
        if job is None:
            raise Problem(404, f"Video with id '{video_id}' not found.", type="not_found")
        return job
