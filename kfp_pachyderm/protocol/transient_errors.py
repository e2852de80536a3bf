"""The table of transient errors that Pachyderm answers as UNKNOWN: they pass by themselves.

pachd answers UNKNOWN for every plain Go error (src/internal/middleware/errors/interceptor.go), also for those
of its database, its storage and its own connections. Each row of the table is a regular expression for the
error's text, and the source of that text: in Pachyderm's source, or in a Go module that its go.mod names.
"""

from __future__ import annotations

import re
from functools import cache

#: The text when the client's deadline passed and pachd noticed that first. pachd may have done the work.
DEADLINE = "context deadline exceeded"

PASSING: tuple[tuple[str, str], ...] = (
    (DEADLINE, "every handler: its context is the call's"),
    ("context canceled", "every handler, when what it waits for is given up"),
    # Watches: InspectJob(wait), InspectCommit(wait), SubscribeJob, SubscribeCommit
    ("the stream for job updates closed", "src/server/pps/server/api_server.go, InspectJob"),
    ("lost connection to database", "src/internal/collection/postgres_listener.go, multiplex"),
    ("postgres listener has been closed", "src/internal/collection/postgres_listener.go, Register and Close"),
    ("watcher buffer is full", "src/internal/collection/postgres_listener.go, send"),
    ("watcher has been closed", "src/internal/collection/postgres_listener.go, sendInitial"),
    ("failed to read notification data", "src/internal/collection/postgres_listener.go, WatchEvent"),
    (r"failed to send event, watcher .* is blocked", "src/internal/watch/postgres/impl.go, send"),
    # The database. src/internal/dbutil/tx.go, WithTx, tries class 40 again by itself, and no other
    (r"SQLSTATE 08...", "connection lost; also all that pgbouncer says (pgconn/errors.go, PgError)"),
    (r"SQLSTATE 25(P02|P03|006)", "transaction aborted, idle too long, server read-only while it changes"),
    (r"SQLSTATE 40...", "serialization failure, deadlock"),
    (r"SQLSTATE 53...", "too many connections, out of memory or disk"),
    (r"SQLSTATE 55P03", "lock not available"),
    (r"SQLSTATE 57...", "shutdown, crash, starting up, query cancelled"),
    (r"SQLSTATE 58...", "input and output errors below the server"),
    ("current transaction is aborted", "the text of 25P02"),
    ("could not serialize access", "the text of 40001"),
    ("too many clients already", "the text of 53300, by lib/pq without its code (error.go)"),
    ("the database system is (starting up|shutting down|in recovery)", "the texts of 57P03, by lib/pq"),
    ("terminating connection due to", "the texts of 57P01 and 57P02, by lib/pq"),
    ("failed to connect to `host=", "pgconn/errors.go, connectError"),
    (r"\bconn (closed|busy)\b", "pgconn/pgconn.go, lock"),
    ("driver: bad connection", "database/sql/driver, ErrBadConn"),
    ("sql: (database|connection) is (already )?closed", "database/sql, errDBClosed and ErrConnDone"),
    ("sql: transaction has already been committed or rolled back", "database/sql, ErrTxDone"),
    ("commit unexpectedly resulted in rollback", "github.com/jackc/pgx/v4/tx.go; seen of a busy pachd"),
    ("write failed: ", "pgconn/errors.go, writeError"),
    ("concurrent modifications", "src/server/transaction/server/driver.go, transactionModifiedError"),
    # Connections of pachd's own: to the database, etcd, storage, Kubernetes, workers, itself
    ("connection refused", "net, ECONNREFUSED"),
    ("connection reset by peer", "net, ECONNRESET"),
    ("broken pipe", "net, EPIPE; src/internal/errutil/errutil.go, IsDatabaseDisconnect"),
    (r"\bEOF$", "io.EOF and io.ErrUnexpectedEOF, last in the text; IsDatabaseDisconnect"),
    ("unexpected EOF", "the same inside of a text"),
    ("i/o timeout", "net, os.ErrDeadlineExceeded"),
    ("connection timed out", "net, ETIMEDOUT"),
    ("no route to host|network is unreachable", "net, EHOSTUNREACH and ENETUNREACH"),
    ("no such host|server misbehaving", "net, DNSError"),
    ("use of closed network connection", "net, ErrClosed"),
    ("too many open files", "net, EMFILE"),
    ("TLS handshake timeout", "net/http"),
    ("http2: (client connection lost|server sent GOAWAY)", "golang.org/x/net/http2"),
    ("transport is closing", "google.golang.org/grpc, ErrConnClosing"),
    (r"[Ee]rror while dialing", "google.golang.org/grpc/internal/transport/http2_client.go, dial"),
    ("error reading from server", "google.golang.org/grpc/internal/transport/http2_client.go, reader"),
    ("connection is (closing|drained|draining)", "google.golang.org/grpc/clientconn.go, transport.go"),
    ("transport is no longer valid", "google.golang.org/grpc/clientconn.go"),
    (
        r"code = (Unavailable|Aborted|Canceled|DeadlineExceeded|ResourceExhausted)",
        "google.golang.org/grpc/status, a call of pachd's own, its code lost on the way",
    ),
    (
        "etcdserver: (no leader|not leader|leader changed|request timed out|request canceled|server stopped|"
        "too many requests|unhealthy cluster|watch canceled)",
        "go.etcd.io/etcd/api/v3/v3rpc/rpctypes/error.go",
    ),
    (
        "unable to handle the request|unable to return a response in the time|received too many requests|"
        "please try again|an error on the server",
        "k8s.io/apimachinery/pkg/api/errors/errors.go",
    ),
    # Storage
    (
        r"\(code=(Unknown|Internal|ResourceExhausted|Canceled|DeadlineExceeded)\)",
        "gocloud.dev/internal/gcerr, the storage's answers (src/internal/obj/bucket.go)",
    ),
    ("does not exist after attempting to upload", "src/internal/storage/chunk/client.go, errIfNotExists"),
    ("task was deleted while waiting for results", "src/internal/task/etcd_service.go, DoBatch"),
)


@cache
def _any() -> re.Pattern[str]:
    # compiled when it is first needed, because most steps never need it
    return re.compile("|".join(f"(?:{text})" for text, _ in PASSING))


def passes(details: str) -> bool:
    """Tells whether an error with this text is transient: the same call may succeed a moment later."""
    return _any().search(details) is not None
