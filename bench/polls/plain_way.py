"""The plain way: a small service whose every poll opens SSH and reads a file of the instance, as the original does.

`python -m bench.polls.plain_way HOST PORT USER KEY FILE`. Flask on waitress with as many threads as Nodeferry's server
has; it prints its port. Nothing is slower in it than it has to be: one connection and one command a poll.
"""

from __future__ import annotations

import json
import socket
import sys

import paramiko
from flask import Flask, Response, request
from waitress import create_server

from app.sync.capacity import THREADS
from bench.load import POLL

TIMEOUT_SECONDS = 20.0


def application(host: str, port: int, user: str, key: str, file: str) -> Flask:
    """Its only route is the poll."""
    app = Flask(__name__)

    @app.post(POLL)
    def progress() -> Response:
        asked = request.get_json()
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        try:
            client.connect(
                host,
                port,
                user,
                key_filename=key,
                look_for_keys=False,
                allow_agent=False,
                timeout=TIMEOUT_SECONDS,
                banner_timeout=TIMEOUT_SECONDS,
                auth_timeout=TIMEOUT_SECONDS,
            )
            _, output, _ = client.exec_command(f"cat {file}", timeout=TIMEOUT_SECONDS)
            shown = json.loads(output.read())
        finally:
            client.close()
        return Response(
            json.dumps({"success": True, "task_id": asked["task_id"], **shown}), mimetype="application/json"
        )

    return app


def main() -> None:
    """Serves until it is ended."""
    host, port, user, key, file = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = create_server(application(host, int(port), user, key, file), sockets=[listener], threads=THREADS)
    print(listener.getsockname()[1], flush=True)
    server.run()


if __name__ == "__main__":
    main()
