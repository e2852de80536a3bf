"""The holder: user code of a step's Pachyderm pipeline, which holds the job open until the KFP step ends.

Its source travels inside the pipeline spec: one file, standard library, Python 3.8 or newer, few imports.
It listens on KFP_PACHYDERM_HOLDER_PORT (default 8080) of KFP_PACHYDERM_HOLDER_HOST (default: all):

  GET  /v1/status     -> version, job, datum, files (input: path of the datum below /pfs), instance, state,
                         clock, lease (seconds left, null before attach)
  POST /v1/attach     {"instance", "session", "job"} -> {"lease": seconds}; the same session may attach again
  POST /v1/heartbeat  {"instance", "session"} -> {"lease": seconds}
  POST /v1/finish     {"instance", "session", "exit_code", "reason"} -> {"ended": true}, and the process ends

A POST carries `Authorization: KFP-Pachyderm <hex HMAC-SHA256(token, POST \\n path \\n timestamp \\n body)>`
and `X-KFP-Pachyderm-Timestamp`: seconds on the holder's clock (status: clock), so no clocks have to agree.
A timestamp must be greater than the last one, and within 300 s of the clock: no call can be replayed.
"""

from __future__ import annotations

import hmac
import json
import os
import signal
import socket
import threading
import time

FRESH = 300.0
LIMIT = 65536


class Refused(Exception):
    """A request that the holder answers with an HTTP error."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Holder:
    """The state of one datum's run; callers of its methods have `lock`."""

    def __init__(self, env: dict[str, str]) -> None:
        self.key = (env.get("PACH_TOKEN") or env.get("AWS_SECRET_ACCESS_KEY") or "default").encode()
        self.job = env.get("PACH_JOB_ID", "")
        self.datum = env.get("PACH_DATUM_ID", "")
        pfs = env.get("KFP_PACHYDERM_PFS", "/pfs") + "/"
        self.files = {name: path[len(pfs) :] for name, path in env.items() if path.startswith(pfs)}
        self.lease = float(env.get("KFP_PACHYDERM_LEASE", "30"))
        self.attach_timeout = float(env.get("KFP_PACHYDERM_ATTACH_TIMEOUT", "30"))
        self.instance = os.urandom(16).hex()
        self.parent = os.getppid()
        self.born = time.monotonic()
        self.deadline = self.attach_timeout
        self.stamp = -FRESH
        self.session = ""
        self.ended: tuple[int, str] | None = None
        self.lock = threading.Lock()
        self.answered = threading.Event()

    def clock(self) -> float:
        return time.monotonic() - self.born

    def status(self) -> dict[str, object]:
        state = "finished" if self.ended else "attached" if self.session else "waiting"
        left = round(self.deadline - self.clock(), 3) if self.session else None
        return {
            "version": 1,
            "job": self.job,
            "datum": self.datum,
            "files": self.files,
            "instance": self.instance,
            "state": state,
            "clock": self.clock(),
            "lease": left,
        }

    def check(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Refuses a call that the job's token has not signed, or a replayed one."""
        stamp = headers.get("x-kfp-pachyderm-timestamp", "")
        signed = b"\n".join([b"POST", path.encode(), stamp.encode(), body])
        wanted = "KFP-Pachyderm " + hmac.new(self.key, signed, "sha256").hexdigest()
        if not hmac.compare_digest(wanted.encode(), headers.get("authorization", "").encode()):
            raise Refused(401, "not signed with this job's token")
        try:
            at = float(stamp)
        except ValueError:
            raise Refused(400, "the timestamp is no number") from None
        if not self.stamp < at or abs(at - self.clock()) > FRESH:
            raise Refused(403, "the timestamp was used before or is not of this process's clock")
        self.stamp = at

    def act(self, path: str, call: dict[str, object]) -> dict[str, object]:
        if call.get("instance") != self.instance:
            raise Refused(412, "other instance: this is " + self.instance)
        if self.ended:
            raise Refused(410, "finished")
        if path == "/v1/attach":
            return self.attach(str(call.get("session", "")), str(call.get("job", "")))
        if not self.session or call.get("session") != self.session:
            raise Refused(409, "not this session's")
        if path == "/v1/finish":
            return self.finish(call.get("exit_code"), str(call.get("reason", "")))
        return self.renew()

    def attach(self, session: str, job: str) -> dict[str, object]:
        if not session:
            raise Refused(400, "session is missing")
        if job != self.job:
            raise Refused(421, "other job: this is " + self.job)
        if self.session not in ("", session):
            raise Refused(409, "another session holds this job")
        self.session = session
        return self.renew()

    def renew(self) -> dict[str, object]:
        self.deadline = self.clock() + self.lease
        return {"lease": self.lease}

    def finish(self, code: object, reason: str) -> dict[str, object]:
        if not isinstance(code, int) or not 0 <= code <= 255:
            raise Refused(400, "exit_code has to be a number from 0 to 255")
        self.ended = (code, reason or f"the step ended with exit code {code}")
        return {"ended": True}

    def over(self) -> tuple[int, str] | None:
        """The exit code and the reason, once the holder has to end."""
        if self.ended:
            return self.ended
        if os.getppid() != self.parent:
            return 1, "the worker is gone"
        if self.clock() < self.deadline:
            return None
        if self.session:
            return 1, f"lease lost: the step sent no heartbeat for {self.lease:g} s"
        return 1, f"no step attached within {self.attach_timeout:g} s"


def read(connection: socket.socket) -> tuple[str, str, dict[str, str], bytes]:
    """Reads one HTTP request: method, path, headers (names in lower case), body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += more(connection, LIMIT - len(data))
    head, body = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    parts, length = first.split(" "), headers.get("content-length", "0")
    if len(parts) != 3 or not length.isdigit() or int(length) > LIMIT:
        raise Refused(400, "not an HTTP/1.1 request of at most 64 KiB")
    while len(body) < int(length):
        body += more(connection, int(length) - len(body))
    return parts[0], parts[1], headers, body


def more(connection: socket.socket, limit: int) -> bytes:
    data = connection.recv(limit) if limit > 0 else b""
    if not data:
        raise Refused(400, "the request ended early or is too long")
    return data


def reply(holder: Holder, connection: socket.socket) -> tuple[int, dict[str, object]]:
    try:
        method, path, headers, body = read(connection)
        if (method, path) == ("GET", "/v1/status"):
            with holder.lock:
                return 200, holder.status()
        if method != "POST" or path not in ("/v1/attach", "/v1/heartbeat", "/v1/finish"):
            raise Refused(404, "no such call")
        with holder.lock:
            holder.check(path, headers, body)
            call = json.loads(body)
            return 200, holder.act(path, call if isinstance(call, dict) else {})
    except Refused as refused:
        return refused.status, {"error": str(refused)}
    except ValueError:
        return 400, {"error": "the body is not JSON"}


def serve(holder: Holder, connection: socket.socket) -> None:
    answer: dict[str, object] = {}
    try:
        with connection:
            connection.settimeout(10)
            status, answer = reply(holder, connection)
            body = json.dumps(answer)
            head = f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            connection.sendall((head + body).encode())
    except OSError:
        pass  # the caller is gone; its call is done
    if "ended" in answer:
        holder.answered.set()


def listen(env: dict[str, str]) -> socket.socket:
    host, port = env.get("KFP_PACHYDERM_HOLDER_HOST", ""), int(env.get("KFP_PACHYDERM_HOLDER_PORT", "8080"))
    if not host and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, backlog=64, dualstack_ipv6=True)
        except OSError:
            pass  # IPv6 is switched off
    return socket.create_server((host, port), backlog=64)


def accept(holder: Holder, listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(holder, connection), daemon=True).start()


def wait(holder: Holder) -> tuple[int, str]:
    while True:
        with holder.lock:
            over = holder.over()
            left = holder.deadline - holder.clock()
        if over:
            holder.answered.wait(5.0 if holder.ended else 0)
            return over
        holder.answered.wait(min(1.0, max(left, 0.01)))


def say(text: str) -> None:
    try:
        os.write(1, f"holder: {text}\n".encode())
    except OSError:
        return  # nobody reads the log; the job goes on


def leave(code: int, reason: str) -> None:
    """Ends the process, and does not wait for threads."""
    say(reason)
    os._exit(code)


def main() -> None:
    holder = Holder(dict(os.environ))
    signal.signal(signal.SIGTERM, lambda *_: leave(143, "SIGTERM"))
    with listen(dict(os.environ)) as listener:
        threading.Thread(target=accept, args=(holder, listener), daemon=True).start()
        say(f"job {holder.job} waits for its step")
        leave(*wait(holder))


if __name__ == "__main__":
    main()
