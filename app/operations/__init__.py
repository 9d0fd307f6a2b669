"""The ledger: every change that was asked for, with its steps, events, cause of failure, and what can be done to it."""
