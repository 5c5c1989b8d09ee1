"""Servers of models, on this machine: the scripted one that the real CLIs are tried with, and one that misbehaves."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from os import environ
from pathlib import Path
from typing import Any

import pytest

import tests

KEY = "a-key-that-nobody-has"


def need_models(*, module: bool = False) -> None:
    """Skip (the whole `module`) without pydantic-ai; fail in CI, where it must be there."""
    if find_spec("pydantic_ai") is not None:
        return
    reason = "needs pydantic-ai (extra `models`)"
    if environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=module)


@contextmanager
def scripted() -> Iterator[str]:
    """The address of a model that does what its prompt says (`tests/real_clis/mock_model_server.py`)."""
    program = Path(tests.__file__).parent / "real_clis" / "mock_model_server.py"
    with subprocess.Popen([sys.executable, str(program), "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.kill()


class Misbehaving(ThreadingHTTPServer):
    """Speaks OpenAI's chat completions, up to a point; `mode` says how: malformed, silent, torn, echo."""

    daemon_threads = True

    def __init__(self, mode: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mode = mode
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.begun = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Misbehaving

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.keys.append(self.headers.get("Authorization", ""))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.flush()
        self.server.begun.set()
        match self.server.mode:
            case "silent":
                while not self.wfile.closed:
                    time.sleep(0.1)
                    self.wfile.write(b"")
            case "malformed":
                self.wfile.write(b'data: {"id": "x", "choices": [{]}\n\n')
            case "torn":
                self._say("half an ans")
            case "echo":
                key = self.headers["Authorization"].removeprefix("Bearer ")
                for piece in ("your key is ", key[:5], key[5:], ", is it not?"):
                    self._say(piece)
                self._say("", "stop")
                self.wfile.write(b"data: [DONE]\n\n")

    def _say(self, text: str, finish: str | None = None) -> None:
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()
