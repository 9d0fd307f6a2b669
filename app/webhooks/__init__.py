"""Webhooks and callbacks: who is told of what, the outbox, signed delivery with retries, and the log of attempts."""
