"""The queue: a task carries a primary key and nothing more."""

from __future__ import annotations

import gc
import os
import sys

from celery import Celery
from celery.signals import task_postrun, task_prerun, worker_init
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paas.settings")
# Django's checks import every page, which no worker shows: 13 MiB of each. bin/up makes them when it migrates.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
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


@task_prerun.connect  # type: ignore[untyped-decorator]
@task_postrun.connect  # type: ignore[untyped-decorator]
def keep_connections(**_: object) -> None:
    close_old_connections()
