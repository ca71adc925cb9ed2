"""A pre-forked server whose parent ends a worker that it has not heard of for PATIENCE, by the clock.

Both have names that are no text, as has what they map, and listen where no line ends where it seems to. Run as
`python -I -S watched.py PORT`. Its worker answers with its process id, and works for a while before it
says that it lives: where both may run at the same moment, the parent is the first to look.
"""

import ctypes
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time

PATIENCE, WORK = 0.6, 0.03  # seconds
server = socket.create_server(("", int(sys.argv[1])))
server.setblocking(False)
file = os.memfd_create("a\udcff\r\x1c b")
os.truncate(file, 4096)
mapped = mmap.mmap(file, 4096, mmap.MAP_PRIVATE)
odd = socket.socket(socket.AF_UNIX)
odd.bind(b"\0a\nb c\xff\x1c d")
odd.listen()
ctypes.CDLL(None).prctl(15, b"\xff) S (\n")  # PR_SET_NAME: its children have it from it
beat = mmap.mmap(-1, 8)


def tell() -> None:
    beat[:] = struct.pack("d", time.monotonic())


def worker() -> None:
    while True:
        busy = time.process_time() + WORK
        while time.process_time() < busy:
            pass
        tell()
        if select.select([server], [], [], 0.05)[0]:
            connection, _ = server.accept()
            with connection:
                connection.sendall(str(os.getpid()).encode())


while True:
    tell()
    child = os.fork()
    if not child:
        worker()
    while time.monotonic() - struct.unpack("d", beat[:])[0] < PATIENCE:
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
