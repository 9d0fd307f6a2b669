"""Each hint, on a message that AWS really sent; the thread where it was quoted stands beside it."""

import pytest
from registry_messages import REGISTRY_MESSAGES

from app.gateways.aws.failure_message import read_reason
from app.gateways.aws.hint_rule import Rule
from app.gateways.aws.hints import RULES, advise

HANDLER = 'Resource handler returned message: "{} (Service: {}, Status Code: 400, Request ID: 0a)" (RequestToken: 0b, '

MESSAGES = [
    (  # klothoplatform/klotho#311
        "[Issue(Code=AsgInstanceLaunchFailures, Message=Could not launch On-Demand Instances. VcpuLimitExceeded - You "
        "have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket that the "
        "specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an "
        "adjustment to this limit. Launching EC2 instance failed., ResourceIds=[eks-ng-3ec35205])]",
        "vcpu_quota_exceeded",
        "32 limit",
    ),
    (  # convox/rack#2539
        "You have requested more instances (6) than your current instance limit of 5 allows for the specified instance "
        "type. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        "vcpu_quota_exceeded",
        "5 limit",
    ),
    (  # radius-project/samples#711
        HANDLER.format("The maximum number of addresses has been reached.", "Ec2")
        + "HandlerErrorCode: GeneralServiceException)",
        "eip_quota_exceeded",
        "network.nat",
    ),
    (  # awslabs/landing-zone-accelerator-on-aws#241
        HANDLER.format("The maximum number of VPCs has been reached.", "Ec2")
        + "HandlerErrorCode: GeneralServiceException)",
        "vpc_quota_exceeded",
        "network.vpc_id",
    ),
    (  # canonical/bundle-kubeflow#1171
        "The maximum number of internet gateways has been reached.",
        "vpc_quota_exceeded",
        "L-F678F1CE",
    ),
    (  # the code: eksctl-io/eksctl#560; the sentence is EC2's, for which no thread was found
        "Performing this operation would exceed the limit of 5 NAT gateways (Service: AmazonEC2; Status Code: 400; "
        "Error Code: NatGatewayLimitExceeded; Request ID: 0a)",
        "nat_gateway_quota_exceeded",
        "L-FE5A380F",
    ),
    ("Cluster limit exceeded for account.", "cluster_quota_exceeded", "L-1194D53C"),  # pulumi/pulumi-eks#1311
    (  # pulumi/pulumi-eks#854
        "The maximum number of security groups has been reached (Service: AmazonEC2; Status Code: 400; Error Code: "
        "SecurityGroupLimitExceeded; Request ID: 0a)",
        "security_group_quota_exceeded",
        "security groups",
    ),
    (  # terraform-aws-modules/terraform-aws-eks#2149
        "[Issue(Code=AsgInstanceLaunchFailures, Message=You've reached your quota for maximum Fleet Requests for this "
        "account. Launching EC2 instance failed., ResourceIds=[eks-a]), Issue(Code=NodeCreationFailure, "
        "Message=Instances failed to join the kubernetes cluster, ResourceIds=[DUMMY_04f2c42f])]",
        "fleet_quota_exceeded",
        "AWS Support",
    ),
    ("Max spot instance count exceeded. Launching EC2 instance failed.", "spot_quota_exceeded", "ON_DEMAND"),
    # ^ aws-deepracer-community/deepracer-on-the-spot#55
    (  # eksctl-io/eksctl#817
        "Cannot create cluster 'app-staging' because us-east-1e, the targeted availability zone, does not currently "
        "have sufficient capacity to support the cluster. Retry and choose from these availability zones: us-east-1a, "
        "us-east-1b, us-east-1c (Service: AmazonEKS; Status Code: 400; Error Code: "
        "UnsupportedAvailabilityZoneException; Request ID: 830e951d-7d99-11e9-a98d-d92990e73a23)",
        "zone_not_supported",
        "among us-east-1a, us-east-1b, us-east-1c",
    ),
    (  # eksctl-io/eksctl#4732
        "We currently do not have sufficient p2.xlarge capacity in the Availability Zone you requested (us-west-2b). "
        "Our system will be working on provisioning additional capacity. You can currently get p2.xlarge capacity by "
        "not specifying an Availability Zone in your request or choosing us-west-2a, us-west-2c.",
        "insufficient_capacity",
        "us-west-2a, us-west-2c",
    ),
    (  # mludvig/aws-ethereum-miner#23
        "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request "
        "configuration. Please adjust your request and try again. Launching EC2 instance failed.",
        "insufficient_spot_capacity",
        "more instance_types",
    ),
    (  # eksctl-io/eksctl#6461
        HANDLER.format(
            "Your requested instance type (g4dn.xlarge) is not supported in your requested Availability Zone "
            "(us-west-2d). Please retry your request by not specifying an Availability Zone or choosing us-west-2a, "
            "us-west-2b, us-west-2c.",
            "Eks",
        )
        + "HandlerErrorCode: InvalidRequest)",
        "instance_type_not_supported",
        "us-west-2a, us-west-2b, us-west-2c",
    ),
    (  # eksctl-io/eksctl#792
        "The requested configuration is currently not supported. Please check the documentation for supported "
        "configurations. Launching EC2 instance failed.",
        "instance_type_not_supported",
        "AMI type",
    ),
    (  # AdminTurnedDevOps/DevOps-The-Hard-Way-AWS#16
        "The subnet ID 'subnet-0df1b2a9355054a37' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: "
        "InvalidSubnetID.NotFound; Request ID: d74eea6b-fe44-4a72-a981-9b9dd4925902; Proxy: null)",
        "subnet_not_found",
        "network.subnets",
    ),
    (  # awsdocs/amazon-eks-user-guide#795
        HANDLER.format("Subnets specified must be in at least two different AZs", "Eks")
        + "HandlerErrorCode: InvalidRequest)",
        "subnets_in_one_zone",
        "two availability zones",
    ),
    (  # elastic-ipfs/infrastructure#221
        "Provided subnets subnet-040a1f0013274c2b0 Free IPs: 0 subnet-0af91474429282c3d Free IPs: 0 , need at least 5 "
        "IPs in each subnet to be free for this operation",
        "not_enough_free_addresses",
        "free addresses",
    ),
    (  # sassoftware/viya4-iac-aws#271
        "[Issue(Code=Ec2SubnetInvalidConfiguration, Message=One or more Amazon EC2 Subnets of "
        "[subnet-0332da0d666ebc6ea] for node group generic-2024 does not automatically assign public IP addresses to "
        "instances launched into it., ResourceIds=[subnet-0332da0d666ebc6ea])]",
        "subnet_without_public_addresses",
        "auto-assign",
    ),
    (  # awslabs/eks-perf-tests#195
        "Subnet subnet-0ab49c01946ecc462 provided in Fargate Profile is not a private subnet",
        "subnet_not_private",
        "internet gateway",
    ),
    (  # waterbear-cloud/paco#40
        "The CIDR '10.4.3.0/24' conflicts with another subnet (Service: AmazonEC2; Status Code: 400; Error Code: "
        "InvalidSubnet.Conflict; Request ID: ba58cafc-4299-4d6b-bca0-d0801c6a249b)",
        "cidr_conflict",
        "overlaps",
    ),
    ("The CIDR '10.0.0.0/8' is invalid.", "cidr_invalid", "/16"),  # grycap/im#1011
    (  # serverless/serverless#2973
        "Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. EC2 Error Message: The "
        "security group 'sg-48118334' does not exist",
        "security_group_not_found",
        "security group",
    ),
    ("KeyPair  Devopskeypair.pem not found", "key_pair_not_found", "not of a file"),
    # ^ terraform-aws-modules/terraform-aws-eks#2208
    ("The key pair 'oregon.pem' does not exist", "key_pair_not_found", "ssh.public_key"),
    # ^ aws-samples/amazon-eks-machine-learning-with-terraform-and-kubeflow#15
    ("unsupported Kubernetes version 1.24", "version_not_supported", "supported"),
    # ^ pluralsight-cloud/content-deploying-and-managing-a-web-application-in-kubernetes-with-terraform#1
    (  # the local cloud's words: no thread was found that quotes EKS's
        "Nodegroup Kubernetes version 1.35 must be less than or equal to the cluster version 1.34",
        "node_version_too_new",
        "upgrade the cluster first",
    ),
    (  # hashicorp/terraform-provider-aws#19478
        "Nodegroups eks-stg-gp must be updated to match cluster version 1.18 before updating cluster version",
        "nodes_not_upgraded",
        "upgrade them first",
    ),
    (  # eksctl-io/eksctl#7754
        HANDLER.format("[i4g.xlarge] is not a valid instance type for requested amiType AL2_x86_64", "Eks")
        + "HandlerErrorCode: InvalidRequest)",
        "instance_type_not_supported",
        "arm64",
    ),
    (  # eksctl-io/eksctl#4544
        "Nodegroup XXXXX failed to stabilize: [{Code: Ec2LaunchTemplateInvalidConfiguration,Message: The specified "
        "instance type c6i.xlarge is not valid,ResourceIds: [XXXXXX]}]",
        "instance_type_not_supported",
        "another",
    ),
    (  # aws/amazon-vpc-cni-k8s#2607
        "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. Conflicts: "
        'DaemonSet.apps aws-node - .spec.template.spec.containers[name="aws-node"].env[name="A"].value',
        "addon_conflict",
        "overwrite",
    ),
    (  # hashicorp/terraform-provider-aws#50007
        "Access denied to KMS key arn:aws:kms:a due to explicit deny policy or revoked grant",
        "kms_key_not_usable",
        "kms:CreateGrant",
    ),
    (  # eksctl-io/eksctl#7976
        HANDLER.format("Requested release version 1.31.3-20250103 is not valid for kubernetes version 1.30.", "Eks")
        + "HandlerErrorCode: InvalidRequest",
        "release_version_invalid",
        "AMI release",
    ),
    (  # awslabs/cdk-eks-blueprints#1101
        HANDLER.format("Addon version specified is not supported", "Eks") + "HandlerErrorCode: InvalidRequest)",
        "addon_version_not_supported",
        "leave the version out",
    ),
    (  # aws/containers-roadmap#1429
        HANDLER.format("Addon specified is not supported", "Eks") + "HandlerErrorCode: InvalidRequest)",
        "addon_version_not_supported",
        "leave the version out",
    ),
    (  # aws-ia/terraform-aws-eks-blueprints-addons#335
        "[Issue(Code=InsufficientNumberOfReplicas, Message=The add-on is unhealthy because it doesn't have the desired "
        "number of replicas., ResourceIds=[])]",
        "addon_degraded",
        "taints",
    ),
    (  # hashicorp/terraform-provider-aws#39904
        "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: "
        "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state",
        "kms_key_not_usable",
        "AWSServiceRoleForAutoScaling",
    ),
    ("User not authorized to perform kms:CreateGrant operation", "kms_key_not_usable", "kms:CreateGrant"),
    # ^ kubernetes-sigs/cluster-api-provider-aws#2432
    (  # aws/aws-cdk#17556
        "Nodegroup ClusterNodegroupDefaultCapa-cSKLvWa4Tbo3 failed to stabilize: [{Code: NodeCreationFailure,Message: "
        "Instances failed to join the kubernetes cluster,ResourceIds: [i-02d2213bead380a29, i-0917ddef8f04b94b8]}]",
        "nodes_failed_to_join",
        "endpoints.public_cidrs",
    ),
    ("Cluster has nodegroups attached", "cluster_has_dependents", "delete them first"),  # gruntwork-io/cloud-nuke#148
    (  # eksctl-io/eksctl#7589
        HANDLER.format("The subnet 'subnet-0f2381' has dependencies and cannot be deleted.", "Ec2")
        + "HandlerErrorCode: InvalidRequest)",
        "dependents_left",
        "load balancers",
    ),
    (  # eksctl-io/eksctl#1849
        "resource sg-0161c1e34bd99c2e6 has a dependent object (Service: AmazonEC2; Status Code: 400; Error Code: "
        "DependencyViolation; Request ID: 80f4c7fb-1b9a-4fdc-b6ab-fd4e7ef5fdf8)",
        "dependents_left",
        "load balancers",
    ),
    (  # eksctl-io/eksctl#253
        "Network vpc-02efbdd06a44f2995 has some mapped public address(es). Please unmap those public address(es) "
        "before detaching the gateway.",
        "dependents_left",
        "load balancers",
    ),
    ("Cannot delete entity, must detach all policies first.", "role_in_use", "detach it"),  # eksctl-io/eksctl#2216
    (  # XenitAB/terraform-modules#396
        "Failed to create service linked role: AWSServiceRoleForAmazonEKSNodegroup due to missing permissions for "
        "'iam:CreateServiceLinkedRole'",
        "service_linked_role_missing",
        "allow iam:CreateServiceLinkedRole",
    ),
    (  # terraform-aws-modules/terraform-aws-eks#823
        "Failed to validate if SLR: AWSServiceRoleForAmazonEKSNodegroup already exists due to missing permissions for "
        "'iam:GetRole'",
        "service_linked_role_missing",
        "allow iam:GetRole",
    ),
    (  # aws-samples/aws-fault-injection-simulator-workshop-v2#188
        "Amazon EKS Nodegroups was unable to assume the service-linked role",
        "service_linked_role_missing",
        "eks-nodegroup.amazonaws.com",
    ),
    (  # terraform-aws-modules/terraform-aws-eks#2406
        "Role with arn: arn:aws:iam::111122223333:role/eks-cluster-20230113, could not be assumed because it does not "
        "exist or the trusted entity is not correct",
        "role_not_assumable",
        "trust policy",
    ),
    (  # peymanmortazavi/eks-helm-deploy#7
        "User: arn:aws:iam::111122223333:user/app-user is not authorized to perform: sts:AssumeRole on resource: "
        "arn:aws:iam::444455556666:role/blackbox-eks-admin",
        "role_not_assumable",
        "trust policy",
    ),
    (  # eksctl-io/eksctl#319
        "API: iam:CreateRole User: arn:aws:iam::754058048930:user/arsenii is not authorized to perform: iam:CreateRole "
        "on resource: arn:aws:iam::754058048930:role/eksctl-newtest22-cluster-ServiceRole-10NXBYLSN4ULP",
        "permission_denied",
        "allow iam:CreateRole",
    ),
    (  # eksctl-io/eksctl#365
        "API: ec2:DescribeVpcs You are not authorized to perform this operation.",
        "permission_denied",
        "allow ec2:DescribeVpcs",
    ),
    ("The security token included in the request is expired", "credentials_expired", "renew"),  # eksctl#5968
    (  # terraform-aws-modules/terraform-aws-eks#1991
        "Cluster already exists with name: bb-thanos-observer",
        "name_in_use",
        "another name",
    ),
    (  # aws/karpenter-provider-aws#3479
        "1 validation error detected: Value 'KarpenterNodeRole-Cluster9EE0221C-91e6aaf5bfa049c994e911f11a460298' at "
        "'roleName' failed to satisfy constraint: Member must have length less than or equal to 64",
        "name_too_long",
        "64 characters",
    ),
    ("Requires capabilities : [CAPABILITY_NAMED_IAM]", "capabilities_missing", "Slipway"),  # envato/stack_master#138
    # getmoto/moto#7592
    ("Secrets Manager can't find the specified secret.", "secret_not_found", "ARN"),
    (  # aws/aws-sdk-js-v3#7701
        "Secrets Manager can't find the specified secret value for staging label: AWSPENDING",
        "secret_not_found",
        "ARN",
    ),
    (  # external-secrets/kubernetes-external-secrets#114, with the apostrophe that it quotes
        "You can’t perform this operation on the secret because it was marked for deletion.",
        "secret_pending_deletion",
        "restore-secret",
    ),
    (  # IAM User Guide, "Troubleshoot access denied error messages"
        "User: arn:aws:iam::123456789012:user/dev is not authorized to perform: secretsmanager:GetSecretValue on "
        "resource: arn:aws:secretsmanager:us-west-2:210987654321:secret:db-AbCdEf because no resource-based policy "
        "allows the secretsmanager:GetSecretValue action",
        "secret_access_denied",
        "kms:Decrypt",
    ),
    ("Access to KMS is not allowed", "secret_access_denied", "kms:Decrypt"),  # Secrets Manager's answer to a key policy
    (  # API reference of GetSecretValue, DecryptionFailure
        "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
        "secret_undecryptable",
        "KMS key",
    ),
    (  # aws/containers-roadmap#2204
        "Nodegroup cannot be updated as it is currently not in Active State",
        "resource_busy",
        "retry",
    ),
    (  # aws/aws-cdk#18683
        "Cannot delete because cluster awsekscdkreprocluster0B03C0D6 currently has update "
        "dbbddb79-fb22-4d6e-a345-843f49618706 in progress",
        "resource_busy",
        "retry",
    ),
    (  # aws/aws-cdk#9882
        "Rate exceeded for operation 'Rate exceeded (Service: Lambda, Status Code: 429, Request ID: 2d5768a1, Extended "
        "Request ID: null)'.",
        "aws_throttled",
        "retry",
    ),
    (  # 2i2c-org/infrastructure#5117
        HANDLER.format("The maximum number of rules per security group has been reached.", "Ec2")
        + "HandlerErrorCode: ServiceLimitExceeded)",
        "security_group_quota_exceeded",
        "rules",
    ),
    (  # EKS's exception is in its API reference; no thread was found that quotes its sentence
        "Nodegroup limit exceeded for cluster prod (Service: AmazonEKS; Status Code: 400; Error Code: "
        "ResourceLimitExceededException; Request ID: 0a)",
        "nodegroup_quota_exceeded",
        "L-6D54EA21",
    ),
    (  # aws/eks-hybrid#741
        'Resource handler returned message: "Cannot exceed quota for PoliciesPerRole: 10 (Service: Iam, Status Code: '
        '409, Request ID: a42eda91-33d6-4a53-976c-2948b84c77b5) (SDK Attempt Count: 1)" (RequestToken: '
        "a6dcd513-5b40-32ea-cd39-c272e6373ac5, HandlerErrorCode: ServiceLimitExceeded)",
        "iam_quota_exceeded",
        "IAM quota",
    ),
    (  # cloudposse/terraform-aws-msk-apache-kafka-cluster#79, without an id
        "InvalidVpcID.NotFound: The vpc ID 'vpc-051a385fb9fa65e72' does not exist",
        "vpc_not_found",
        "network.vpc_id",
    ),
    (  # aws/containers-roadmap#1282
        "Update failed due to [{ErrorCode: PodEvictionFailure,ErrorMessage: Reached max retries while trying to evict "
        "pods from nodes in node group prod-nodegroup,ResourceIds: [ip-10-233-150-169.eu-west-1.compute.internal]}]",
        "pods_not_evicted",
        "PodDisruptionBudget",
    ),
    (  # aws/karpenter-provider-aws#1488
        "UnauthorizedOperation: You are not authorized to perform this operation. Encoded authorization failure "
        "message: 0l-KPWQJ8q5z3YatP3Ybgb5lf0dibDhN6KaE3jQ5Bu4hNkP1BxfK",
        "permission_denied",
        "the action that the message names",
    ),
    (  # terraform-aws-modules/terraform-aws-eks#2890
        "InvalidClientTokenId: The security token included in the request is invalid",
        "credentials_invalid",
        "opt-in",
    ),
    (  # ekristen/aws-nuke#821
        "Stack [eksctl-unique-wardrobe-1764939855-cluster] cannot be deleted while TerminationProtection is enabled",
        "termination_protected",
        "deletion_protection",
    ),
    (  # the handlers of CloudFormation say so; a KMS key's, in its own tests
        'Resource handler returned message: "Exceeded attempts to wait" (RequestToken: '
        "36086107-14b9-bbbe-fed4-9d8496c2579f, HandlerErrorCode: NotStabilized)",
        "aws_timed_out",
        "its own state",
    ),
    ("Nodegroup nodegroup failed to stabilize: Internal Failure", "aws_internal_error", "Health"),  # eksctl#2008
    (  # serverless/serverless#149
        "Limit for stacks has been exceeded (Service: AmazonCloudFormation; Status Code: 400; Error Code: "
        "LimitExceededException; Request ID: 0a)",
        "quota_exceeded",
        "Service Quotas",
    ),
    ("InvalidRequestException: Request limit exceeded.", "aws_throttled", "retry"),  # aws/aws-sdk#652
    *REGISTRY_MESSAGES,
]


@pytest.mark.parametrize(("reason", "code", "hint"), MESSAGES, ids=[f"{m[1]}-{i}" for i, m in enumerate(MESSAGES)])
def test_what_aws_says_gets_its_hint(reason: str, code: str, hint: str) -> None:
    said = read_reason(reason)

    advice = advise(said.code, said.message)

    assert advice is not None
    assert (advice.code, hint in advice.hint) == (code, True), advice


def test_no_rule_is_without_a_message_that_only_it_answers() -> None:
    def answers(rule: Rule, reason: str) -> bool:
        said = read_reason(reason)
        found = next(each for each in RULES if each.advice(said.code, said.message))
        return found is rule

    assert [rule for rule in RULES if not any(answers(rule, reason) for reason, *_ in MESSAGES)] == []


def test_a_message_that_nobody_knows_gets_none() -> None:
    assert advise("InvalidRequest", "The moon is in the wrong quarter") is None


def test_a_denial_without_an_action_still_reads_as_a_sentence() -> None:
    advice = advise("AccessDenied", "No.")

    assert advice is not None
    assert advice.hint.endswith("allow the action that the message names.")


def test_hints_leave_no_placeholder_unfilled() -> None:
    for rule in RULES:
        for aws_code in rule.aws_codes:
            advice = rule.advice(aws_code, "")
            assert advice is not None
            assert "$" not in advice.hint


def test_codes_are_snake_case_and_many() -> None:
    codes = {rule.code for rule in RULES}

    assert len(codes) >= 18
    assert all(code.replace("_", "").isalnum() and code == code.lower() for code in codes)


@pytest.mark.parametrize("code", ["insufficient_capacity", "aws_throttled", "role_not_assumable", "resource_busy"])
def test_what_passes_by_itself_is_retryable(code: str) -> None:
    assert all(rule.retryable for rule in RULES if rule.code == code)


def test_what_needs_somebody_is_not_retryable() -> None:
    assert not any(rule.retryable for rule in RULES if rule.code.endswith("quota_exceeded"))
