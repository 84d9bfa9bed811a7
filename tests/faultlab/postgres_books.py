"""Ledgers in a PostgreSQL of the tests, looked at from outside as `overshoot` wants it."""

from databases import PostgresServer

WATCH = """
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    INSERT INTO states VALUES (new.budget, new.posted_nanousd, new.leased_nanousd, new.limit_nanousd);
    RETURN NULL;
END'
"""


class PostgresBooks:
    """A schema of a server."""

    def __init__(self, server: PostgresServer, schema: str) -> None:
        self.server = server
        self.schema = schema

    def watch(self) -> None:
        with self.server.connect() as connection:
            connection.execute(f"SET search_path TO {self.schema}".encode())
            connection.execute("CREATE TABLE states (budget TEXT, spent BIGINT, granted BIGINT, most BIGINT)")
            connection.execute(f"{WATCH} SET search_path TO {self.schema}".encode())
            connection.execute(
                "CREATE TRIGGER watch AFTER INSERT OR UPDATE ON budget_windows FOR EACH ROW EXECUTE FUNCTION watch()"
            )

    def value(self, sql: str) -> int:
        with self.server.connect() as connection:
            connection.execute(f"SET search_path TO {self.schema}".encode())
            row = connection.execute(sql.encode()).fetchone()
            return int(row[0] or 0) if row else 0


class PostgresLedgers:
    """A server of which each ledger is a schema."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def new_ledger(self) -> tuple[str, PostgresBooks]:
        """An empty one: its address, and its books."""
        address = self._server.new_schema()
        return address, PostgresBooks(self._server, address.rsplit("%3D", 1)[1])
