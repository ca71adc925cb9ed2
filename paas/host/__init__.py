"""This machine's copy of Berth: what `bin/up` and `bin/down` do. Imports everything, imported by nobody."""
