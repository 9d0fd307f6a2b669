"""The database's schema, one revision after the other. `app/migrate.py` runs them; nobody else imports this."""
