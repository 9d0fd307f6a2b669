"""EKS: what ministack lacks or answers too kindly.

ministack keeps the records (so that its token reviews, access policies and tags go on working on
them); the operations on clusters, node groups, addons and Fargate profiles are written anew here,
with AWS's checks and without its Docker containers. REST and CloudFormation call the same functions.
"""
