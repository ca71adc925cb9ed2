"""A process without a port: says once a minute that it is alive, and ends at once when it is asked to."""

import signal
import sys
import time


def stop(number, frame):
    print("worker: stopping", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
while True:
    print("worker: nothing to do", flush=True)
    time.sleep(60)
