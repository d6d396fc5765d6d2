-- One row per call attempt, also for one that was never answered. `record` is the call object as
-- JSON; the columns read from it are there for indexes and for people with a SQL shell.
CREATE TABLE calls (
    id            TEXT PRIMARY KEY NOT NULL,
    record        TEXT NOT NULL CHECK (json_valid(record)),
    instance_id   TEXT    GENERATED ALWAYS AS (record ->> '$.instance_id') VIRTUAL,
    type          TEXT    GENERATED ALWAYS AS (record ->> '$.call_type') VIRTUAL,
    status        TEXT    GENERATED ALWAYS AS (record ->> '$.status') VIRTUAL,
    target_phone  TEXT    GENERATED ALWAYS AS (record ->> '$.target_phone') VIRTUAL,
    direction     TEXT    GENERATED ALWAYS AS (record ->> '$.direction') VIRTUAL,
    from_number   TEXT    GENERATED ALWAYS AS (record ->> '$.from') VIRTUAL,
    trunk         TEXT    GENERATED ALWAYS AS (record ->> '$.trunk') VIRTUAL,
    created_at    INTEGER GENERATED ALWAYS AS (record ->> '$.created_at') VIRTUAL,
    answered_at   INTEGER GENERATED ALWAYS AS (record ->> '$.answered_at') VIRTUAL,
    ended_at      INTEGER GENERATED ALWAYS AS (record ->> '$.ended_at') VIRTUAL,
    duration_ms   INTEGER GENERATED ALWAYS AS (record ->> '$.duration_ms') VIRTUAL,
    end_reason    TEXT    GENERATED ALWAYS AS (record ->> '$.end_reason') VIRTUAL,
    end_detail    TEXT    GENERATED ALWAYS AS (record ->> '$.end_detail') VIRTUAL,
    sip_code      INTEGER GENERATED ALWAYS AS (record ->> '$.sip_code') VIRTUAL,
    sip_call_id   TEXT    GENERATED ALWAYS AS (record ->> '$.sip_call_id') VIRTUAL
) STRICT;
CREATE INDEX calls_by_time ON calls (created_at DESC, id DESC);
CREATE INDEX calls_by_instance ON calls (instance_id, created_at DESC, id DESC);
CREATE INDEX calls_by_status ON calls (status, created_at DESC, id DESC);
CREATE INDEX calls_by_direction ON calls (direction, created_at DESC, id DESC);
CREATE INDEX calls_by_instance_status ON calls (instance_id, status, created_at DESC, id DESC);
CREATE INDEX calls_open ON calls (id) WHERE ended_at IS NULL;

-- Lines of tenants, made by the API or declared in the configuration file; deletion is soft.
CREATE TABLE instances (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL,
    metadata    TEXT NOT NULL CHECK (json_valid(metadata)),
    settings    TEXT NOT NULL CHECK (json_valid(settings)),
    source      TEXT NOT NULL CHECK (source IN ('api', 'config')),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER
) STRICT;
CREATE INDEX instances_by_time ON instances (created_at DESC, id DESC) WHERE deleted_at IS NULL;

-- API keys made at run time; the secret itself is never stored.
CREATE TABLE api_keys (
    id            TEXT PRIMARY KEY NOT NULL,
    name          TEXT NOT NULL,
    secret_sha256 BLOB NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    scopes        TEXT NOT NULL CHECK (json_valid(scopes)),
    instance_ids  TEXT NOT NULL CHECK (json_valid(instance_ids)),
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    last_used_at  INTEGER,
    revoked_at    INTEGER
) STRICT;

-- Answers to requests that came with an Idempotency-Key; `status` is null while one is worked on.
CREATE TABLE idempotency (
    id           INTEGER PRIMARY KEY,
    key_id       TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    status       INTEGER,
    body         BLOB,
    expires_at   INTEGER NOT NULL,
    UNIQUE (key_id, key)
) STRICT;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
