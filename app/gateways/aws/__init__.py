"""One small client per AWS service; the only package that knows botocore.

Start at `clients.py` (accounts, shared connections) and `errors.py` (what every call may raise). `cloudformation.py`,
`eks.py`, `ec2.py`, `elb.py`, `logs.py` and `sts.py` hold one client each. `stack.py` and `hints.py` are pure: what a
stack looks like, and what to do about a failure. Importing any of them loads no botocore; the first call does, in a
thread.
"""
