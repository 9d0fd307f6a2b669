"""ECR: the JSON API and the registry protocol under /v2/, which share what they store.

ministack keeps the records and policies of repositories (so that its tags and permissions go on
working on them); all operations are written anew here, with AWS's checks and words. On AWS the host
of a registry names its account and region. Here there is one host for all, and the token of
GetAuthorizationToken names them.
"""
