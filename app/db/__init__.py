"""The database: sessions, column types and the base of every table. SQLite and PostgreSQL run the same code."""
