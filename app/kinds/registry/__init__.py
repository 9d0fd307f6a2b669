"""ECR repositories: from a request to stacks, and back to status."""
