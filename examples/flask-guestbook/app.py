"""A guestbook that forgets: the last hundred entries, in memory."""

import os
from collections import deque
from datetime import UTC, datetime

from flask import Flask, redirect, render_template, request, url_for

app = Flask(__name__)
entries = deque(maxlen=100)


@app.get("/")
def index():
    return render_template(
        "index.html",
        title=os.environ.get("GUESTBOOK_TITLE", "Guestbook"),
        release=os.environ.get("BERTH_RELEASE", "not released"),
        entries=list(reversed(entries)),
    )


@app.post("/")
def sign():
    name, text = request.form.get("name", "").strip()[:60], request.form.get("text", "").strip()[:500]
    if text:
        entries.append({"name": name or "Somebody", "text": text, "at": datetime.now(UTC)})
    return redirect(url_for("index"), code=303)


@app.get("/healthz")
def healthz():
    return "ok\n"
