"""Tables of the store; times are microseconds since 1970, metadata is JSON."""

from __future__ import annotations

VERSION = 1

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE projects (
  name TEXT PRIMARY KEY, description TEXT NOT NULL, created INTEGER NOT NULL,
  metadata TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE repos (
  id INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,
  description TEXT NOT NULL, created INTEGER NOT NULL, metadata TEXT NOT NULL DEFAULT '{}',
  UNIQUE (project, name, type)
);
CREATE TABLE branches (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo INTEGER NOT NULL, name TEXT NOT NULL, head INTEGER,
  trigger TEXT, created INTEGER NOT NULL, updated INTEGER NOT NULL, metadata TEXT NOT NULL DEFAULT '{}',
  UNIQUE (repo, name)
);
CREATE TABLE branch_provenance (
  branch INTEGER NOT NULL, upstream INTEGER NOT NULL, never INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (branch, upstream)
) WITHOUT ROWID;
CREATE INDEX branch_subvenance ON branch_provenance (upstream);

-- own: the layer that the open commit writes into; base: whether the parent's files shine through.
-- layers: all layers once the commit is finished, newest first, as JSON.
CREATE TABLE commits (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo INTEGER NOT NULL, set_id TEXT NOT NULL, branch TEXT NOT NULL,
  origin INTEGER NOT NULL, description TEXT NOT NULL, parent INTEGER, started INTEGER NOT NULL,
  finishing INTEGER, finished INTEGER, error TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL DEFAULT 0,
  own INTEGER, base INTEGER NOT NULL DEFAULT 1, layers TEXT, updated INTEGER NOT NULL,
  metadata TEXT NOT NULL DEFAULT '{}', UNIQUE (repo, set_id)
);
CREATE INDEX commits_set ON commits (set_id);
CREATE INDEX commits_parent ON commits (parent);
CREATE TABLE commit_provenance (
  commit_id INTEGER NOT NULL, upstream INTEGER NOT NULL, PRIMARY KEY (commit_id, upstream)
) WITHOUT ROWID;
CREATE INDEX commit_subvenance ON commit_provenance (upstream);

-- rows: how many files a finished layer lists. size NULL: the file is deleted here.
-- chunks: per chunk 32 bytes of hash and 4 bytes of size, big endian.
CREATE TABLE layers (id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER);
CREATE TABLE files (
  layer INTEGER NOT NULL, path TEXT NOT NULL, size INTEGER, hash BLOB, chunks BLOB, PRIMARY KEY (layer, path)
) WITHOUT ROWID;
CREATE TABLE small_chunks (hash BLOB PRIMARY KEY, data BLOB NOT NULL);

CREATE TABLE pipelines (
  project TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, stopped INTEGER NOT NULL,
  spec_commit INTEGER NOT NULL, created INTEGER NOT NULL, info BLOB NOT NULL,
  metadata TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (project, name, version)
);
CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL, pipeline TEXT NOT NULL, id TEXT NOT NULL,
  version INTEGER NOT NULL, output INTEGER NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '',
  restart INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, processed INTEGER NOT NULL DEFAULT 0,
  skipped INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, recovered INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL, started INTEGER, finished INTEGER, token TEXT NOT NULL DEFAULT '',
  UNIQUE (project, pipeline, id)
);
CREATE INDEX jobs_id ON jobs (id);
CREATE INDEX jobs_open ON jobs (project, pipeline, seq) WHERE finished IS NULL;
CREATE TABLE datums (
  job INTEGER NOT NULL, id TEXT NOT NULL, position INTEGER NOT NULL, state INTEGER NOT NULL,
  files BLOB NOT NULL,
  PRIMARY KEY (job, id)
) WITHOUT ROWID;
CREATE TABLE transactions (id TEXT PRIMARY KEY, started INTEGER NOT NULL, info BLOB NOT NULL);
"""
