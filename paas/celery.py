"""The queue: a task carries a primary key and nothing more."""

from __future__ import annotations

import gc
import mmap
import os
import signal
import sys

from billiard.pool import EX_RECYCLE
from celery import Celery
from celery.signals import task_postrun, task_prerun, worker_init, worker_process_init
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paas.settings")
# Django's checks import every page, which no worker shows: 13 MiB of each. bin/up makes them when it migrates.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
REST_SECONDS = 30.0
_worked_last = mmap.mmap(-1, 8)  # the id of a process, shared by all that are forked
app = Celery("berth")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Celery would close the database before and after each task. Django knows which connections are of no use.
app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize
app.autodiscover_tasks(["paas.worker"])
# A launch goes back and forth between threads that wait for the kernel. One that has its answer waits as long
# as this, 5 ms by default, for another that computes.
sys.setswitchinterval(0.0005)


@worker_init.connect  # type: ignore[untyped-decorator]
def stay_shared(**_: object) -> None:
    """What is imported by now is shared with the processes that are forked next, until somebody writes to it. A
    collection in one of them writes to every object that it looks at: to these no more."""
    gc.freeze()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def end_after_rest(**_: object) -> None:
    """One of a pool's processes. When it has had nothing to do for a while it ends, as after the last of
    `max_tasks_per_child`, and the pool forks another: a build leaves it with 30 MiB of its own, a new one
    has 10. Who worked last stays: a pool at rest gives it the next task, which so finds it warm.

    A task that comes in the very moment of an end comes again: it is acknowledged late.
    """
    me = os.getpid().to_bytes(len(_worked_last), sys.byteorder)

    def rested(*_: object) -> None:
        if _worked_last[:] != me:
            os._exit(EX_RECYCLE)

    def worked(**_: object) -> None:
        _worked_last[:] = me
        signal.signal(signal.SIGALRM, rested)  # the pool sets its own when this process has begun
        signal.setitimer(signal.ITIMER_REAL, REST_SECONDS, REST_SECONDS)

    task_prerun.connect(lambda **_: signal.setitimer(signal.ITIMER_REAL, 0), weak=False)
    task_postrun.connect(worked, weak=False)


@task_prerun.connect  # type: ignore[untyped-decorator]
@task_postrun.connect  # type: ignore[untyped-decorator]
def keep_connections(**_: object) -> None:
    close_old_connections()
