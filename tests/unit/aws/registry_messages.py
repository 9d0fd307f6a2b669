"""What ECR really says, with the thread where it was quoted, and the hint that answers it."""

REGISTRY_MESSAGES = [
    (  # brentley/appmeshworkshop#31
        "The repository with name 'appme-cryst-1ohx2vfar9cxh' in registry with id '991225764181' cannot be deleted "
        "because it still contains images (Service: AmazonECR; Status Code: 400; Error Code: "
        "RepositoryNotEmptyException; Request ID: 450688b7)",
        "registry_not_empty",
        "force=true",
    ),
    (  # stratospheric-dev/stratospheric#204
        "Resource handler returned message: \"Resource of type 'AWS::ECR::Repository' with identifier "
        "'hello-world-app' already exists.\" (RequestToken: ae022db4, HandlerErrorCode: AlreadyExists)",
        "name_in_use",
        "another name",
    ),
    (  # the sentence as users of Terraform quote it; ECR's own
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation "
        "failure: Rule for tagStatus=ANY must have the lowest priority per storage class'",
        "lifecycle_policy_invalid",
        "rule",
    ),
    (  # terraform-aws-modules/terraform-aws-ecr#19
        "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'",
        "repository_policy_invalid",
        "access",
    ),
    (  # moto and users' runbooks quote the same sentence
        "The scan quota per image has been exceeded. Wait and try again.",
        "scan_limit_reached",
        "24 hours",
    ),
    ("This feature is disabled", "scan_disabled", "Inspector"),  # alexjurkiewicz/ecr-scan-image#44
    (  # aws-controllers-k8s/community#2589
        "The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN",
        "upstream_needs_credentials",
        "credential_arn",
    ),
    (  # goharbor/harbor#20174
        "UnsupportedUpstreamRegistryException: The upstream registry URL harbor.example.com is invalid. Specify a "
        "valid upstream registry URL and try again",
        "upstream_not_supported",
        "a few registries",
    ),
    # The sentences of these are ECR's API reference's; no thread was found that quotes one.
    (
        "KmsException: The operation failed due to a KMS exception.",
        "registry_key_not_usable",
        "kms:CreateGrant",
    ),
    (
        "UnsupportedImageTypeException: The image is of a type that cannot be scanned.",
        "image_not_scannable",
        "charts",
    ),
    (
        "UnableToAccessSecretException: The secret is unable to be accessed. Verify the resource permissions for the "
        "secret and try again.",
        "upstream_secret_not_usable",
        "ecr-pullthroughcache/",
    ),
]
