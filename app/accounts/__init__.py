"""Projects and the AWS accounts that they use; one of each for now."""
