"""The local cloud, as the integration tests run it."""

from integration.conftest import _fresh_localcloud, aws_environment, kubernetes_programs, localcloud

__all__ = ["_fresh_localcloud", "aws_environment", "kubernetes_programs", "localcloud"]
