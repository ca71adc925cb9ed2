"""Run in the build: page/index.html with its style and date filled in -> the output folder."""

import sys
from datetime import UTC, datetime
from pathlib import Path

source, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
page = (source / "index.html").read_text()
page = page.replace("{{ style }}", (source / "style.css").read_text())
page = page.replace("{{ date }}", datetime.now(UTC).strftime("%d %B %Y"))
(out / "index.html").write_text(page)
print(f"rendered {len(page):,} characters")
