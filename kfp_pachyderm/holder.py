"""The holder: user code of a step's Pachyderm pipeline, which holds the job open until the KFP step ends.

Its source is part of the pipeline spec: one file, standard library, Python 3.8. The step waits for its
start: it uses the C parts of `json`, `signal` and `socket`, which load at once. It listens on
KFP_PACHYDERM_HOLDER_PORT (default 8080) of KFP_PACHYDERM_HOLDER_HOST (default: all):

  GET  /v1/status     -> version, job, datum, files (input: path), instance, state, clock, lease (seconds)
  POST /v1/attach     {"instance", "session", "job"} -> {"lease": seconds}; the same session may attach again
  POST /v1/heartbeat  {"instance", "session"} -> {"lease": seconds}
  POST /v1/finish     {"instance", "session", "exit_code", "reason"} -> {"ended": true}, and the process ends

A POST has `Authorization: KFP-Pachyderm <hex HMAC-SHA256(token, POST \\n path \\n timestamp \\n body)>` and
`X-KFP-Pachyderm-Timestamp`: seconds on the holder's clock (status: clock), so no clocks have to agree. A
timestamp must be greater than the last one, and within 300 s of the clock: no call can be replayed.
"""

from __future__ import annotations

import _signal as signal  # type: ignore
import _socket as socket
import _thread
import os
import time

FRESH = 300.0
LIMIT = 65536
ESCAPES = {one: f"\\u{one:04x}" for one in (*range(32), *b'"\\')}


class Refused(Exception):
    """HTTP status, reason."""


class Holder:
    """The state of one datum's run; callers of its methods have `lock`."""

    def __init__(self, env: dict[str, str]) -> None:
        self.key = (env.get("PACH_TOKEN") or env.get("AWS_SECRET_ACCESS_KEY") or "default").encode()
        self.job = env.get("PACH_JOB_ID", "")
        self.datum = env.get("PACH_DATUM_ID", "")
        pfs = env.get("KFP_PACHYDERM_PFS", "/pfs") + "/"
        self.files = {name: path[len(pfs) :] for name, path in env.items() if path.startswith(pfs)}
        self.lease = float(env.get("KFP_PACHYDERM_LEASE", "30"))
        self.instance = os.urandom(16).hex()
        self.parent = os.getppid()
        self.born = time.monotonic()
        self.deadline = float(env.get("KFP_PACHYDERM_ATTACH_TIMEOUT", "30"))
        self.stamp = -FRESH
        self.session = ""
        self.ended: tuple[int, str] | None = None
        self.lock = _thread.allocate_lock()

    def clock(self) -> float:
        return time.monotonic() - self.born

    def status(self) -> dict[str, object]:
        state = "finished" if self.ended else "attached" if self.session else "waiting"
        left = round(self.deadline - self.clock(), 3) if self.session else None
        who = {"version": 1, "job": self.job, "datum": self.datum, "files": self.files}
        return {**who, "instance": self.instance, "state": state, "clock": self.clock(), "lease": left}

    def check(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Refuses what is not signed, or was sent before."""
        import hmac

        stamp = headers.get("x-kfp-pachyderm-timestamp", "")
        signed = f"POST\n{path}\n{stamp}\n".encode() + body
        wanted = "KFP-Pachyderm " + hmac.new(self.key, signed, "sha256").hexdigest()
        if not hmac.compare_digest(wanted.encode(), headers.get("authorization", "").encode()):
            raise Refused(401, "not signed with this job's token")
        at = float(stamp)
        if not self.stamp < at or abs(at - self.clock()) > FRESH:
            raise Refused(403, "the timestamp was used before or is not of this process's clock")
        self.stamp = at

    def act(self, path: str, call: dict[str, object]) -> dict[str, object]:
        session = str(call.get("session", ""))
        if call.get("instance") != self.instance:
            raise Refused(412, "other instance: this is " + self.instance)
        if self.ended:
            raise Refused(410, "finished")
        if path == "/v1/attach":
            self.attach(session, call.get("job"))
        elif session != self.session or not session:
            raise Refused(409, "not this session's")
        if path == "/v1/finish":
            code = call.get("exit_code")
            if not isinstance(code, int) or not 0 <= code <= 255:
                raise Refused(400, "exit_code has to be a number from 0 to 255")
            self.ended = code, str(call.get("reason") or f"the step ended with exit code {code}")
            return {"ended": True}
        self.deadline = self.clock() + self.lease
        return {"lease": self.lease}

    def attach(self, session: str, job: object) -> None:
        if not session:
            raise Refused(400, "session is missing")
        if job != self.job:
            raise Refused(421, "other job: this is " + self.job)
        if self.session not in ("", session):
            raise Refused(409, "another session holds this job")
        self.session = session

    def over(self) -> tuple[int, str] | None:
        """Exit code and reason, once it has to end."""
        if os.getppid() != self.parent:
            return 1, "the worker is gone"
        if self.ended or self.clock() < self.deadline:
            return None
        if self.session:
            return 1, f"lease lost: the step sent no heartbeat for {self.lease:g} s"
        return 1, f"no step attached within {self.deadline:g} s"


class Options:  # of json.loads, for its C part
    strict, object_hook, object_pairs_hook = True, None, None
    parse_float, parse_int, parse_constant = float, int, float


def loads(text: str) -> object:
    try:
        from _json import make_scanner

        return make_scanner(Options)(text, 0)[0]  # type: ignore
    except Exception:
        import json  # takes the rest

        return json.loads(text)


def dumps(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{dumps(key)}: {dumps(one)}" for key, one in value.items()) + "}"
    if isinstance(value, str):
        return f'"{value.translate(ESCAPES)}"'
    return "null" if value is None else str(value).lower()


def read(peer: socket.socket) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path, headers (names in lower case), body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += more(peer, LIMIT - len(data))
    head, body = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        body += more(peer, min(length, LIMIT) - len(body))
    return method, path, headers, body


def more(peer: socket.socket, limit: int) -> bytes:
    data = peer.recv(limit) if limit > 0 else b""
    if not data:
        raise Refused(400, "the request ended early or is too long")
    return data


def reply(holder: Holder, peer: socket.socket) -> tuple[int, dict[str, object]]:
    try:
        method, path, headers, body = read(peer)
        with holder.lock:
            if (method, path) == ("GET", "/v1/status"):
                return 200, holder.status()
            if method != "POST" or path not in ("/v1/attach", "/v1/heartbeat", "/v1/finish"):
                raise Refused(404, "no such call")
            holder.check(path, headers, body)
            call = loads(body.decode())
            return 200, holder.act(path, call if isinstance(call, dict) else {})
    except Refused as refused:
        return refused.args[0], {"error": refused.args[1]}
    except ValueError as error:
        return 400, {"error": f"not a request: {error}"}


def serve(holder: Holder, peer: socket.socket) -> None:
    answer: dict[str, object] = {}
    try:
        peer.settimeout(10)
        status, answer = reply(holder, peer)
        body = dumps(answer).encode("utf-8", "surrogatepass")
        head = f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        peer.sendall(head.encode() + body)
    except OSError:
        pass  # the caller is gone
    finally:
        if holder.ended and "ended" in answer:
            leave(*holder.ended)
        peer.close()


def listen(env: dict[str, str]) -> socket.socket:
    at = env.get("KFP_PACHYDERM_HOLDER_HOST", ""), int(env.get("KFP_PACHYDERM_HOLDER_PORT", "8080"))
    try:
        return bound(socket.AF_INET if at[0] else socket.AF_INET6, at)
    except OSError:  # IPv6 is switched off
        return bound(socket.AF_INET, at)


def bound(family: int, at: tuple[str, int]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    one.bind(at)
    one.listen(64)
    return one


def accept(holder: Holder, listener: socket.socket) -> None:
    while True:
        try:
            file, _ = listener._accept()  # type: ignore
            _thread.start_new_thread(serve, (holder, socket.socket(fileno=file)))
        except (OSError, RuntimeError):
            time.sleep(0.05)


def say(text: str) -> None:
    try:
        os.write(1, f"holder: {text}\n".encode("utf-8", "replace"))
    except OSError:
        return


def leave(code: int, reason: str) -> None:
    say(reason)
    os._exit(code)


def main() -> None:
    env = dict(os.environ)
    listener = listen(env)  # first: the step's call waits
    holder = Holder(env)
    signal.signal(signal.SIGTERM, lambda *_: leave(143, "SIGTERM"))
    _thread.start_new_thread(accept, (holder, listener))
    say(f"job {holder.job} waits for its step")
    _thread.start_new_thread(__import__, ("hmac",))  # for the first POST
    while True:
        with holder.lock:
            over = holder.over()
        if over:
            leave(*over)
        time.sleep(min(1.0, max(holder.deadline - holder.clock(), 0.01)))


if __name__ == "__main__":
    main()
