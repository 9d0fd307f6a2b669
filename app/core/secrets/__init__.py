"""Secrets in what callers see: which names and forms tell of one, and how it is hidden wherever it stands.

`names.py` and `forms.py` know a secret by its name or its looks, `encodings.py` how else it may be written,
`needles.py` finds many of them at once, `mask.py` hides known ones in a text, `scope.py` holds those of the request or
operation at hand. Pure but for that context.
"""

REDACTED = "(redacted)"
"""What stands for a secret."""
