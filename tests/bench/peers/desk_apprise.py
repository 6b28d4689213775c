"""Apprise's side of the desk bench: sends in a loop with its own pace to a server of its own; prints seconds a send.

A process of its own: Callout sets the pace to none in the process that loads it.
"""

import http.server
import sys
import threading
import time

import apprise


class Taker(http.server.BaseHTTPRequestHandler):
    """Answers as the robot does that has taken a message."""

    def do_POST(self) -> None:
        """Take it."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b'{"errcode": 0, "errmsg": "ok"}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main(sends: int) -> float:
    """Seconds a send through one WeCom robot."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    robot = apprise.Apprise.instantiate("wecombot://a-robot-of-the-bench")
    robot.api_url = f"http://127.0.0.1:{server.server_port}/"
    sender = apprise.Apprise()
    sender.add(robot)
    began = time.perf_counter()
    for n in range(sends):
        if not sender.notify(title=f"Order {n}", body="Somebody else has it now."):
            raise SystemExit("a message was not taken")
    spent = time.perf_counter() - began
    server.shutdown()
    return spent / sends


print(main(int(sys.argv[1])))
