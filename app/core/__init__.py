"""What every layer may use: settings, errors, ids, logging. Knows nothing of the database, AWS or HTTP."""
