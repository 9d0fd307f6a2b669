"""Registries: ECR repositories, what is in them, and the way into them."""
