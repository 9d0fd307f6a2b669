"""What knows a CloudFormation stack: its driver, the poller that waits for it, its events, and why it failed.

It knows no kind of resource; what a stack should be comes as a template.
"""
