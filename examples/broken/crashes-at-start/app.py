import os

database = os.environ["DATABASE_URL"]  # is not set: KeyError at the start
