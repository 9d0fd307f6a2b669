"""Hints on quotas, capacity and networks: failures of EC2 and VPC that end a cluster or node group."""

from app.gateways.aws.hint_rule import Rule, rule

QUOTAS: tuple[Rule, ...] = (
    rule(
        "vcpu_quota_exceeded",
        "Raise the EC2 quota of running vCPUs for this instance family (Service Quotas, ec2; $limit limit is too "
        "small), use smaller or fewer instances, or free some in this region.",
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        says=r"more (?:vCPU capacity|instances)\b.{0,40}than your current (?:vCPU|instance) limit of (?P<limit>\d+)",
    ),
    rule(
        "eip_quota_exceeded",
        "Every NAT gateway needs an Elastic IP. Release unused ones, raise the quota (EC2-VPC Elastic IPs, "
        "L-0263D0A3), or set network.nat to single or none.",
        "AddressLimitExceeded",
        says=r"maximum number of addresses has been reached",
    ),
    rule(
        "vpc_quota_exceeded",
        "Delete unused VPCs, raise the quota (VPCs per region, L-F678F1CE), or build the cluster in an existing VPC "
        "with network.vpc_id.",
        "VpcLimitExceeded",
        "InternetGatewayLimitExceeded",
        says=r"maximum number of (?:VPCs|internet gateways) has been reached",
    ),
    rule(
        "nat_gateway_quota_exceeded",
        "Raise the quota (NAT gateways per Availability Zone, L-FE5A380F), or set network.nat to single or none.",
        "NatGatewayLimitExceeded",
        says=r"(?:exceed the limit of \d+ NAT gateways)",
    ),
    rule(
        "cluster_quota_exceeded",
        "Raise the EKS quota (Clusters, L-1194D53C) or delete a cluster in this region.",
        says=r"cluster limit exceeded for account",
    ),
    rule(
        "nodegroup_quota_exceeded",
        "Raise the EKS quota (Managed node groups per cluster, L-6D54EA21) or delete a node group of this cluster.",
        says=r"node ?group(?:s)? limit exceeded|maximum number of (?:managed )?node ?groups",
    ),
    rule(
        "security_group_quota_exceeded",
        "Delete unused security groups or rules, or raise the VPC quota of the kind that the message names.",
        "SecurityGroupLimitExceeded",
        "RulesPerSecurityGroupLimitExceeded",
        says=r"maximum number of (?:security groups|rules per security group) ha",
    ),
    rule(
        "fleet_quota_exceeded",
        "New accounts may be blocked from starting instances until AWS has verified them: write to AWS Support, or "
        "raise the EC2 Fleet quota.",
        "MaxFleetCountExceeded",
        "PendingVerification",
        says=r"reached your quota for maximum Fleet Requests",
    ),
    rule(
        "spot_quota_exceeded",
        "Raise the quota of Spot vCPUs for this instance family, or use capacity_type ON_DEMAND.",
        "MaxSpotInstanceCountExceeded",
        says=r"max spot instance count exceeded",
    ),
    rule(
        "iam_quota_exceeded",
        "Delete unused IAM roles, policies or OIDC providers, or raise the IAM quota that the message names.",
        says=r"cannot exceed quota for \w+(?:PerAccount|PerRole|PerUser)",
    ),
)

CAPACITY: tuple[Rule, ...] = (
    rule(
        "zone_not_supported",
        "EKS has no room for a control plane in that zone. Choose subnets, or network.zones, among $zones.",
        "UnsupportedAvailabilityZoneException",
        says=r"targeted availability zone, does not currently have sufficient capacity to support the cluster\."
        r"(?: Retry and choose from these availability zones: (?P<zones>[\w-]+(?:, [\w-]+)*))?",
    ),
    rule(
        "insufficient_capacity",
        "AWS has no such instances in that zone now. Retry later, list several instance_types, or use subnets in "
        "$zones.",
        "InsufficientInstanceCapacity",
        says=r"do not have sufficient [\w.-]+ capacity in the Availability Zone"
        r"(?:.*?or choosing (?P<zones>[\w-]+(?:, [\w-]+)*))?",
        retryable=True,
    ),
    rule(
        "insufficient_spot_capacity",
        "AWS has no spare Spot capacity of these types now. Retry later, list more instance_types, or use "
        "capacity_type ON_DEMAND.",
        "UnfulfillableCapacity",
        "SpotMaxPriceTooLow",
        says=r"unable to fulfill capacity due to your request configuration"
        r"|no Spot capacity available|no more unused capacity available in this pool",
        retryable=True,
    ),
    rule(
        "instance_type_not_supported",
        "This instance type isn't offered in that zone. Choose another type, or subnets in $zones.",
        says=r"requested instance type \([\w.-]+\) is not supported in your requested Availability Zone"
        r"(?:.*?or choosing (?P<zones>[\w-]+(?:, [\w-]+)*))?",
    ),
    rule(
        "instance_type_not_supported",
        "This instance type isn't offered here, or not with this AMI type (arm64 against x86_64). Choose another.",
        "InvalidInstanceType",
        says=r"requested configuration is currently not supported|specified instance type \S+ is not valid"
        r"|not a valid instance type for requested amiType",
    ),
)

NETWORK: tuple[Rule, ...] = (
    rule(
        "subnet_not_found",
        "No such subnet in this account and region: check network.subnets, and the region.",
        "InvalidSubnetID.NotFound",
        "SubnetNotFound",
        "Ec2SubnetNotFound",
        says=r"subnet ID '[^']*' does not exist",
    ),
    rule(
        "subnets_in_one_zone",
        "EKS needs subnets in at least two availability zones: add one in another zone.",
        says=r"subnets specified must be in at least two different AZs",
    ),
    rule(
        "not_enough_free_addresses",
        "The subnets have too few free addresses (EKS needs at least 5 in each, and each node several). Use larger "
        "or other subnets, or free addresses.",
        "InsufficientFreeAddresses",
        "InsufficientFreeAddressesInSubnet",
        "IpNotAvailable",
        says=r"need at least \d+ IPs in each subnet|not enough free addresses|insufficient free addresses",
    ),
    rule(
        "subnet_without_public_addresses",
        "Nodes in a public subnet need a public address to reach the cluster: switch on auto-assign public IPv4 for "
        "the subnet, or use private subnets with a NAT gateway.",
        "Ec2SubnetInvalidConfiguration",
        says=r"does not automatically assign public IP addresses",
    ),
    rule(
        "subnet_not_private",
        "Fargate runs only in private subnets: use subnets whose route table has no internet gateway.",
        says=r"provided in Fargate Profile is not a private subnet",
    ),
    rule(
        "cidr_conflict",
        "The address range overlaps another subnet of the VPC: choose a free one.",
        "InvalidSubnet.Conflict",
        says=r"CIDR '[^']*' conflicts with another subnet",
    ),
    rule(
        "cidr_invalid",
        "A VPC takes /16 to /28, and a subnet a range inside its VPC: correct network.cidr.",
        "InvalidSubnet.Range",
        "InvalidVpc.Range",
        says=r"The CIDR '[^']*' is invalid",
    ),
    rule(
        "vpc_not_found",
        "No such VPC in this account and region: check network.vpc_id.",
        "InvalidVpcID.NotFound",
        "VpcIdNotFound",
        says=r"vpc ID '[^']*' does not exist",
    ),
    rule(
        "security_group_not_found",
        "No such security group in the cluster's VPC: check the ids, the VPC and the region.",
        "InvalidGroup.NotFound",
        "InvalidGroupId.Malformed",
        "SecurityGroupNotFound",
        "Ec2SecurityGroupNotFound",
        says=r"security group '[^']*' does not exist",
    ),
    rule(
        "key_pair_not_found",
        "ssh.key_name is the name of an EC2 key pair in the cluster's region, not of a file: create or import it "
        "there, or send ssh.public_key.",
        "InvalidKeyPair.NotFound",
        says=r"key ?pair '?[^' ]+'? (?:does not exist|not found)|KeyPair\s+\S+ not found",
    ),
)
