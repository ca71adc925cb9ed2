"""What containers and the control plane are, read from the kernel, against what the design promises of them.

`gather` reads, `judge` and its siblings decide (pure). `versions` compares what is installed with
`known_bad.toml`; it needs Python's standard library only: `bin/up --check` runs before anything is installed.
"""
