-- What requests were like, as vectors: only of requests that were embedded for a second opinion. They serve to find similar ones,
-- so old ones may go: 100,000 are kept (some 300 MB for 1,536 dimensions).
CREATE TABLE embeddings (
    sequence   INTEGER PRIMARY KEY,
    request_id TEXT    NOT NULL,
    at_ns      INTEGER NOT NULL,
    embedder   TEXT    NOT NULL,  -- vectors of different embedders cannot be compared
    vector     BLOB    NOT NULL,  -- little-endian float16
    UNIQUE (request_id, embedder)  -- a vector delivered twice counts once
) STRICT;

CREATE TRIGGER old_embeddings_go AFTER INSERT ON embeddings
BEGIN
    DELETE FROM embeddings WHERE sequence <= new.sequence - 100000;
END;
