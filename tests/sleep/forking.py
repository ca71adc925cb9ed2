"""A server whose parent accepts, and forks a child for each connection, which keeps the listener by neglect.

Run as `python -I -S forking.py PORT`. A child says something, and waits for long until the other end says so.
"""

import os
import select
import signal
import socket
import sys

server = socket.create_server(("", int(sys.argv[1])))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    connection, _ = server.accept()
    if not os.fork():
        connection.sendall(str(os.getpid()).encode())
        select.select([connection], [], [], 30)
        os._exit(0)
    connection.close()
