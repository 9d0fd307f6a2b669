"""The local cloud: ministack, extended from outside, as the AWS account of a developer's machine."""
