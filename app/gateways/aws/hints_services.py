"""Hints on versions, nodes, registries, access and names: failures of EKS, ECR, IAM and CloudFormation themselves."""

from app.gateways.aws.hint_rule import Rule, rule

VERSIONS: tuple[Rule, ...] = (
    rule(
        "version_not_supported",
        "EKS doesn't offer this Kubernetes version: ask for one that it lists as supported, one minor at a time.",
        says=r"unsupported Kubernetes version",
    ),
    rule(
        "node_version_too_new",
        "A node group can't be newer than its cluster: upgrade the cluster first, or ask for its version.",
        says=r"node ?group.{0,40}version .{0,40}(?:greater|higher|newer) than"
        r"|node ?group.{0,40}version .{0,40}must be less than or equal to the cluster version",
    ),
    rule(
        "nodes_not_upgraded",
        "EKS upgrades a cluster only when its node groups have the cluster's present version: upgrade them first.",
        says=r"must be updated to match cluster version \S+ before updating cluster version"
        r"|kubelet version \S+ of nodegroup \S+ is too old",
    ),
    rule(
        "release_version_invalid",
        "The AMI release doesn't belong to the node group's Kubernetes version: set both, or leave the release out.",
        says=r"release version \S+ is (?:not valid for kubernetes version|invalid)",
    ),
    rule(
        "addon_version_not_supported",
        "That addon, or its version, doesn't exist for the cluster's Kubernetes version: leave the version out to "
        "get the default.",
        says=r"addon (?:version |\S+ )?specified is not supported",
    ),
    rule(
        "addon_conflict",
        "The cluster already has objects of this addon that somebody else changed: remove them, or let the addon "
        "overwrite them.",
        "ConfigurationConflict",
        says=r"conflicts found when trying to apply",
    ),
    rule(
        "addon_degraded",
        "The addon's pods don't become ready. Mostly there is no node that they may run on: check for nodes, taints "
        "and free pod addresses.",
        "InsufficientNumberOfReplicas",
        says=r"unhealthy because it doesn't have the desired number of replicas",
    ),
)

NODES: tuple[Rule, ...] = (
    rule(
        "kms_key_not_usable",
        "The key is disabled, deleted, in another region, or its policy doesn't let the service use it: allow "
        "AWSServiceRoleForAutoScaling (volumes) or the cluster's role (secrets), and kms:CreateGrant.",
        "InvalidKMSKey.InvalidState",
        "Client.InvalidKMSKey.InvalidState",
        says=r"KMS key provided is in an incorrect state|inaccessible AWS KMS key|access denied to KMS key"
        r"|not authorized to perform kms:\w+",
    ),
    rule(
        "nodes_failed_to_join",
        "The instances started but never joined. Mostly they can't reach the cluster's endpoint or ECR: check NAT "
        "and routes, endpoints.public_cidrs (or switch the private endpoint on), the node role and its policies, "
        "and custom AMIs.",
        "NodeCreationFailure",
        says=r"instances failed to join the kubernetes cluster",
    ),
    rule(
        "pods_not_evicted",
        "Pods could not be moved off the old nodes, mostly for a PodDisruptionBudget: loosen it and retry.",
        "PodEvictionFailure",
        says=r"reached max retries while trying to evict pods",
    ),
    rule(
        "cluster_has_dependents",
        "The cluster still has node groups or Fargate profiles: delete them first.",
        says=r"cluster has (?:nodegroups|node groups|fargate profiles) attached",
    ),
    rule(
        "dependents_left",
        "Something that no stack of ours made still uses it, mostly load balancers of Services and Ingresses or "
        "their network interfaces and security groups: delete those, then delete again.",
        "DependencyViolation",
        says=r"has dependencies and cannot be deleted|has a dependent object|has some mapped public address",
    ),
    rule(
        "role_in_use",
        "Somebody attached a policy or an instance profile to the role from outside: detach it, then delete again.",
        "DeleteConflict",
        says=r"cannot delete entity, must (?:detach|remove|delete)",
    ),
)

REGISTRIES: tuple[Rule, ...] = (
    rule(
        "registry_not_empty",
        "Images are in it: delete them first, or send the delete again with ?force=true, which deletes them too.",
        "RepositoryNotEmptyException",
        says=r"cannot be deleted because it still contains images",
    ),
    rule(
        "lifecycle_policy_invalid",
        "ECR refuses the lifecycle policy for the reason that the message gives: correct that rule and send it again.",
        says=r"lifecycle policy validation failure",
    ),
    rule(
        "repository_policy_invalid",
        "ECR refuses the repository policy, mostly because a role or account in access doesn't exist (any more): take "
        "it out.",
        says=r"invalid repository policy provided",
    ),
    rule(
        "registry_key_not_usable",
        "ECR can't use the KMS key: it must be a symmetric one, enabled, in the registry's region, and Slipway's role "
        "needs kms:DescribeKey, kms:CreateGrant and kms:RetireGrant on it.",
        "KmsException",
        "KmsError",
    ),
    rule(
        "scan_limit_reached",
        "ECR scans an image once in 24 hours, the scan on push included: read what that one found.",
        says=r"scan quota per image has been exceeded",
    ),
    rule(
        "image_not_scannable",
        "ECR's basic scan reads packages of the common Linux distributions only: charts and images from scratch have "
        "none.",
        "UnsupportedImageTypeException",
        says=r"UnsupportedImageError",
    ),
    rule(
        "scan_disabled",
        "The account scans by Amazon Inspector (enhanced scanning), which starts its scans by itself.",
        says=r"^this feature is disabled",
    ),
    rule(
        "upstream_needs_credentials",
        "The other registry wants a login: keep it in Secrets Manager under ecr-pullthroughcache/… and give its ARN as "
        "credential_arn.",
        says=r"upstream registry requires authentication",
    ),
    rule(
        "upstream_not_supported",
        "ECR can cache from a few registries only, and wants the host that the documentation names for each.",
        "UnsupportedUpstreamRegistryException",
    ),
    rule(
        "upstream_secret_not_usable",
        "ECR can't read the secret: it must be in this account and region, and its name must begin with "
        "ecr-pullthroughcache/.",
        "UnableToAccessSecretException",
        "UnableToDecryptSecretValueException",
        "SecretNotFoundException",
    ),
)

SECRETS: tuple[Rule, ...] = (
    rule(
        "secret_not_found",
        "Check the ARN, and that its region and account are the right ones; a secret without a value has none to give.",
        says=r"secrets manager can.t find the specified secret",
    ),
    rule(
        "secret_access_denied",
        "Slipway's role needs secretsmanager:GetSecretValue on this secret (and kms:Decrypt on its key if that is not "
        "aws/secretsmanager). A secret of another account also needs a resource policy that lets the role in.",
        says=r"not authorized to perform:? secretsmanager:GetSecretValue",
    ),
    rule(
        "secret_access_denied",
        "The secret is encrypted with a key of your own: Slipway's role needs kms:Decrypt on it, and the key's policy "
        "must allow that.",
        says=r"^access to KMS is not allowed",
    ),
    rule(
        "secret_pending_deletion",
        "Restore the secret (aws secretsmanager restore-secret), or refer to another one.",
        says=r"on the secret because it was (?:marked|scheduled) for deletion",
    ),
    rule(
        "secret_undecryptable",
        "The secret's KMS key is disabled, pending deletion or gone: enable it, or store the secret with another key.",
        "DecryptionFailure",
        says=r"can.t decrypt the protected secret text",
    ),
)

ACCESS: tuple[Rule, ...] = (
    rule(
        "service_linked_role_missing",
        "EKS needs its service-linked role once per account. Create it (aws iam create-service-linked-role "
        "--aws-service-name eks-nodegroup.amazonaws.com), or allow $action to Slipway's role.",
        says=r"(?:validate if SLR|create service linked role)\b.*?(?:missing permissions for '(?P<action>[\w:]+)')?$"
        r"|unable to assume the service-linked role",
    ),
    rule(
        "role_not_assumable",
        "The role doesn't exist or its trust policy doesn't name who has to assume it. A role that was made seconds "
        "ago may need a minute: retry.",
        says=r"could not be assumed because it does not exist or the trusted entity is not correct"
        r"|not authorized to perform: sts:AssumeRole|Misconfigured PodExecutionRole Trust Policy",
        retryable=True,
    ),
    rule(
        "permission_denied",
        "Slipway's role lacks a permission, or a service control policy or permissions boundary takes it away: allow "
        "$action.",
        says=r"(?:not authorized to perform:? |API: (?=.*not authorized))(?P<action>[\w-]+:\w+)",
    ),
    rule(
        "permission_denied",
        "Slipway's role lacks a permission, or a service control policy or permissions boundary takes it away: allow "
        "$action.",
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        says=r"you are not authorized to perform this operation",
    ),
    rule(
        "credentials_expired",
        "Slipway's AWS credentials have expired: renew them. Long work needs a role, not a session of hours.",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        says=r"security token included in the request is expired|signature expired",
        retryable=True,
    ),
    rule(
        "credentials_invalid",
        "AWS doesn't know these credentials: check the keys, profile or role that Slipway runs with, and the region "
        "(one that is opt-in has to be switched on).",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "AuthFailure",
        says=r"security token included in the request is invalid|unable to locate credentials",
    ),
)

NAMES: tuple[Rule, ...] = (
    rule(
        "name_in_use",
        "Something of that name exists already, maybe from outside Slipway: choose another name, or delete it first.",
        "AlreadyExistsException",
        "AlreadyExists",
        "EntityAlreadyExists",
        "ResourceAlreadyExistsException",
        says=r"already exists",
    ),
    rule(
        "name_too_long",
        "IAM takes at most 64 characters for a role: use a shorter name.",
        says=r"at 'roleName' failed to satisfy constraint: Member must have length",
    ),
    rule(
        "capabilities_missing",
        "The template has IAM resources and the call didn't acknowledge them. This is a fault of Slipway's: report it.",
        "InsufficientCapabilities",
        "InsufficientCapabilitiesException",
        says=r"requires capabilities ?: ?\[",
    ),
    rule(
        "termination_protected",
        "Termination protection is on: switch deletion_protection off first.",
        says=r"cannot be deleted while TerminationProtection is enabled|deletion protection",
    ),
    rule(
        "resource_busy",
        "Another change of it is running: retry when that has ended.",
        "ResourceInUseException",
        "OperationInProgressException",
        says=r"currently has update .* in progress|_IN_PROGRESS state and can ?not be updated"
        r"|as it is currently not in Active State",
        retryable=True,
    ),
    rule(
        "aws_throttled",
        "AWS limits calls per account and region, and something made too many: retry.",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        says=r"\brate exceeded\b|\brequest limit exceeded\b",
        retryable=True,
    ),
    rule(
        "aws_timed_out",
        "The resource didn't become ready in the time that CloudFormation waits: look at its own state, then retry.",
        "NotStabilized",
        says=r"exceeded attempts to wait|timed out waiting for|did not stabilize|failed to stabilize$"
        r"|creation time exceeded the specified timeout",
        retryable=True,
    ),
    rule(
        "aws_internal_error",
        "A fault inside AWS: retry, and see the AWS Health Dashboard.",
        "InternalFailure",
        "ServiceInternalError",
        "ServerException",
        says=r"(?:^|: )internal (?:failure|error)",
        retryable=True,
    ),
    rule(
        "quota_exceeded",
        "A quota of the account is used up: see Service Quotas for the one that the message names.",
        "ResourceLimitExceededException",
        "ServiceLimitExceeded",
        "LimitExceededException",
        "ServiceQuotaExceededException",
        says=r"limit exceeded",
    ),
)
