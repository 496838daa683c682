"""An OTLP receiver as a process of its own: ``otlp_receiver.py PORT [ANSWER ...]``.

It answers requests with the given status codes in turn, the last one for good; ``200@1.5`` waits
for 1.5 seconds first. Its first line on stdout is its port, each further one a request as JSON,
told before it is answered. What it reads from stdin it repeats; it ends when stdin does.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ANSWERS = sys.argv[2:] or ["200"]
LOCK = threading.Lock()
NEVER = threading.Event()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        with LOCK:
            answer = ANSWERS.pop(0) if len(ANSWERS) > 1 else ANSWERS[0]
        status, _, delay = answer.partition("@")
        seen = {
            "path": self.path,
            "headers": dict(self.headers),
            "answer": int(status),
            "body": MessageToDict(request),
        }
        NEVER.wait(float(delay or 0))
        with LOCK:
            print(json.dumps(seen), flush=True)
        self.send_response(int(status))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet: stderr is for trouble."""


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    for line in sys.stdin:
        with LOCK:
            print(line.strip(), flush=True)


if __name__ == "__main__":
    main()
