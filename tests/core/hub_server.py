"""A hub on the loopback interface. Each of its repositories misbehaves in a different way.

`toys/<fault>` is a model whose weights come with that fault; `whole` takes all faults away. The client of huggingface_hub asks for a list
with checksums (`/api/models/<repository>`), then by HEAD and GET for `/<repository>/resolve/<revision>/<file>`.
"""

import hashlib
import http.server
import json
import random
import re
import socket
import struct
import threading
from collections import Counter

COMMIT = "c0ffee" + "0" * 34
WEIGHTS = random.Random(3).randbytes(300_000)
FILES = {
    "config.json": b'{"model_type": "bert"}\n',
    "vocab.txt": "[PAD]\n[UNK]\n使\n用\n语\n言\n".encode(),
    "model.safetensors": WEIGHTS,
    "README.md": b"not asked for\n",
}
OUTCOMES = {  # fault -> expected outcome, with an empty cache
    "well": "fetched",
    "trickle": "fetched",
    "get 503 once": "fetched",
    "get 429 once": "fetched",
    "api 503 once": "fetched",
    "cut once": "fetched",
    "cut once, then Range ignored": "fetched",
    "reset once": "fetched",
    "redirected": "fetched",
    "bit flipped": "IntegrityError",
    "all zeros": "IntegrityError",
    "small file changed": "IntegrityError",
    "other commit": "IntegrityError",
    "ETag leads outside": "IntegrityError",
    "commit leads outside": "IntegrityError",
    "no checksum": "IntegrityError",
    "body too short": "NetworkError",
    "body too long": "NetworkError",
    "cut for ever": "NetworkError",
    "stalled": "NetworkError",
    "get 500": "NetworkError",
    "429 for an hour": "NetworkError",
    "login page": "NetworkError",
    "head 500": "NetworkError",
    "head stalled": "NetworkError",
    "no ETag": "NetworkError",
    "no commit": "NetworkError",
    "redirected for ever": "NetworkError",
    "api 500": "NetworkError",
    "api stalled": "NetworkError",
    "api login page": "NetworkError",
    "api nonsense": "NetworkError",
    "api reset": "NetworkError",
    "no repository": "UserError",
    "no revision": "UserError",
    "no weights": "UserError",
    "gated": "UserError",
    "unauthorised": "UserError",
}


def repository(fault: str) -> str:
    return "toys/" + re.sub(r"\W+", "-", fault)


FAULTS = {repository(fault): fault for fault in OUTCOMES}


class Hub(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, Range
        self.tries: Counter[tuple[str, str]] = Counter()
        self.whole = False
        self.hold = threading.Event()  # "wait for me" sends half of the weights and waits until this is set
        self.waiting = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        try:
            self.answer()
        except OSError:
            self.close_connection = True

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        headers = {"Content-Length": str(len(body))} | {key.replace("_", "-"): value for key, value in headers.items()}
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def wait(self) -> None:
        self.server.hold.wait(30)
        self.close_connection = True

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def cut(self, body: bytes) -> None:
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self) -> None:
        path = self.path.split("?")[0]
        self.server.requests.append((self.command, self.path, self.headers.get("Range")))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self.answer_list(match[1])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.answer_file(match[1], match[3])
        else:
            self.reply(404)

    def tried(self, repo: str, request: str) -> int:
        self.server.tries[repo, request] += 1
        return self.server.tries[repo, request]

    def answer_list(self, repo: str) -> None:
        fault = "well" if self.server.whole else FAULTS.get(repo, "well")
        if fault == "no repository":
            return self.reply(404, X_Error_Code="RepoNotFound")
        if fault == "no revision":
            return self.reply(404, X_Error_Code="RevisionNotFound")
        if fault == "gated":
            return self.reply(403, X_Error_Code="GatedRepo")
        if fault == "unauthorised":
            return self.reply(403)
        if fault == "api 500" or (fault == "api 503 once" and self.tried(repo, "list") == 1):
            return self.reply(503)
        if fault == "api stalled":
            return self.wait()
        if fault == "api login page":
            return self.reply(200, b"<html>Welcome to our WLAN</html>", Content_Type="text/html")
        if fault == "api nonsense":
            return self.reply(200, b'{"id": 3, "siblings": [{"rfilename": null}]}')
        if fault == "api reset":
            return self.reset()
        siblings = []
        for name, content in FILES.items():
            if name != "model.safetensors" or fault != "no weights":
                entry = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
                if name == "model.safetensors":
                    entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
                if fault == "no checksum":
                    entry = {"rfilename": name}
                siblings.append(entry)
        self.reply(200, json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode(), Content_Type="application/json")

    def answer_file(self, repo: str, name: str) -> None:
        fault = "well" if self.server.whole else FAULTS.get(repo, "well")
        if name not in FILES:
            return self.reply(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        content, weights = FILES[name], name == "model.safetensors"
        headers = {"X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
        headers["ETag"] = f'"{hashlib.sha256(content).hexdigest() if weights else git_sha1(content)}"'
        if fault == "no checksum":
            headers["ETag"] = '"of-a-mirror"'
        if fault == "small file changed" and name == "config.json":
            content = content.replace(b"bert", b"tree")
        if not weights:
            return self.reply(200, content, **headers)
        number = self.tried(repo, self.command)
        if self.command == "HEAD":
            if fault == "head 500":
                return self.reply(500)
            if fault == "head stalled":
                return self.wait()
            if fault == "redirected for ever":
                return self.reply(302, Location=self.path)
            headers |= {"ETag leads outside": {"ETag": '"../../../../../outside"'}, "other commit": {"X_Repo_Commit": "d" * 40}}.get(
                fault, {}
            )
            if fault == "commit leads outside":
                headers["X_Repo_Commit"] = "../../../../../outside"
            for key in {"no ETag": ["ETag"], "no commit": ["X_Repo_Commit"]}.get(fault, []):
                del headers[key]
            return self.reply(200, content, **headers)
        if fault == "redirected" and "elsewhere" not in self.path:
            return self.reply(302, Location=f"{self.path}?elsewhere", **headers)
        if fault == "get 500" or (fault == "get 503 once" and number == 1):
            return self.reply(503)
        if fault == "get 429 once" and number == 1:
            return self.reply(429, Retry_After="0")
        if fault == "429 for an hour":
            return self.reply(429, Retry_After="3600")
        if fault == "login page":
            return self.reply(200, b"<html>Welcome to our WLAN</html>", **headers)
        if fault == "bit flipped":
            content = bytes([*content[:1000], content[1000] ^ 4, *content[1001:]])
        if fault == "all zeros":
            content = bytes(len(content))
        if fault == "body too short":
            content = content[:-100]
        if fault == "body too long":
            content += b"more"
        if fault == "reset once" and number == 1:
            return self.reset()
        start, status = 0, 200
        if (wanted := re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))) and fault != "cut once, then Range ignored":
            start, status = int(wanted[1]), 206
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        cut = (fault.startswith("cut once") and number == 1) or fault == "cut for ever"
        if not cut and fault not in ("stalled", "trickle") and repo != "toys/wait-for-me":
            return self.reply(status, body, **headers)
        self.send_response(status)
        for key, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if fault == "trickle":
            for first in range(0, len(body), 100_000):
                self.wfile.write(body[first : first + 100_000])
                self.server.hold.wait(0.2)
        elif cut:
            self.cut(body[: len(body) // 2])
        else:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.server.waiting.set()
            if repo != "toys/wait-for-me":
                return self.wait()
            self.server.hold.wait(30)
            self.wfile.write(body[len(body) // 2 :])


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
