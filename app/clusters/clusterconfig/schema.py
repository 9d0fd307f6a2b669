"""The keys of eksctl's ClusterConfig, eksctl.io/v1alpha5, as far as Slipway looks into it.

A name alone is a key whose inside isn't looked at: either a plain value, or a section that isn't supported at all.
Facts are from the JSON schema that eksctl publishes (August 2026); it has no `deletionProtection`.
"""

from typing import TypeAlias

Keys: TypeAlias = "dict[str, Keys | None]"


def _keys(names: str, inside: "Keys | None" = None) -> Keys:
    return {**dict.fromkeys(names.split()), **(inside or {})}


WELL_KNOWN_POLICIES = _keys(
    "autoScaler awsLoadBalancerController certManager ebsCSIController efsCSIController externalDNS imageBuilder"
)

NODE_ADDON_POLICIES = _keys(
    "albIngress appMesh appMeshPreview autoScaler awsLoadBalancerController certManager cloudWatch ebs efs"
    " externalDNS fsx imageBuilder xRay"
)

CLUSTER = _keys(
    "addons apiVersion availabilityZones capabilities controlPlaneScalingConfig fargateProfiles gitops"
    " iamIdentityMappings identityProviders karpenter kind kubeAPIServerConfig kubeControllerManagerConfig"
    " kubeSchedulerConfig localZones managedNodeGroups nodeGroups outpost remoteNetworkConfig",
    {
        "accessConfig": _keys("accessEntries authenticationMode bootstrapClusterCreatorAdminPermissions"),
        "addonsConfig": _keys("autoApplyPodIdentityAssociations disableDefaultAddons"),
        "autoModeConfig": _keys("enabled nodePools nodeRoleARN permissionsBoundaryARN"),
        "cloudWatch": {"clusterLogging": _keys("enableTypes logRetentionInDays")},
        "iam": _keys(
            "fargatePodExecutionRoleARN fargatePodExecutionRolePermissionsBoundary podIdentityAssociations"
            " serviceAccounts serviceRoleARN serviceRolePermissionsBoundary vpcResourceControllerPolicy withOIDC"
        ),
        "kubernetesNetworkConfig": _keys("ipFamily serviceIPv4CIDR serviceIPv6CIDR"),
        "metadata": _keys("annotations forceUpdateVersion name region rollbackConfig tags version"),
        "privateCluster": _keys("additionalEndpointServices enabled skipEndpointCreation"),
        "secretsEncryption": _keys("keyARN"),
        "upgradePolicy": _keys("supportType"),
        "vpc": _keys(
            "autoAllocateIPv6 cidr controlPlaneEgressMode controlPlaneOnPrivateSubnets controlPlaneSecurityGroupIDs"
            " controlPlaneSubnetIDs extraCIDRs extraIPv6CIDRs hostnameType id ipv6Cidr ipv6Pool"
            " manageSharedNodeSecurityGroupRules publicAccessCIDRs securityGroup sharedNodeSecurityGroup",
            {
                "clusterEndpoints": _keys("privateAccess publicAccess"),
                "nat": _keys("gateway"),
                "subnets": _keys("private public"),
            },
        ),
        "zonalShiftConfig": _keys("enabled"),
    },
)

SUBNET = _keys("az cidr id")

ADDON = _keys(
    "attachPolicy attachPolicyARNs configurationValues name namespaceConfig owners permissionsBoundary"
    " podIdentityAssociations publishers resolveConflicts serviceAccountRoleARN tags types"
    " useDefaultPodIdentityAssociations version",
    {"wellKnownPolicies": WELL_KNOWN_POLICIES},
)

MANAGED_NODE_GROUP = _keys(
    "additionalVolumes ami amiFamily asgSuspendProcesses availabilityZones bottlerocket capacityReservation"
    " desiredCapacity disableIMDSv1 disablePodIMDS ebsOptimized efaEnabled enableDetailedMonitoring"
    " instanceMarketOptions instanceName instancePrefix instanceSelector instanceType instanceTypes labels"
    " launchTemplate maxPodsPerNode maxSize minSize name outpostARN overrideBootstrapCommand placement"
    " preBootstrapCommands privateNetworking propagateASGTags releaseVersion spot subnets tags taints"
    " volumeEncrypted volumeIOPS volumeKmsKeyID volumeName volumeSize volumeThroughput volumeType",
    {
        "iam": _keys(
            "attachPolicy attachPolicyARNs instanceProfileARN instanceRoleARN instanceRoleName"
            " instanceRolePermissionsBoundary",
            {"withAddonPolicies": NODE_ADDON_POLICIES},
        ),
        "nodeRepairConfig": _keys(
            "enabled maxParallelNodesRepairedCount maxParallelNodesRepairedPercentage maxUnhealthyNodeThresholdCount"
            " maxUnhealthyNodeThresholdPercentage nodeRepairConfigOverrides"
        ),
        "securityGroups": _keys("attachIDs withLocal withShared"),
        "ssh": _keys("allow enableSsm publicKey publicKeyName publicKeyPath sourceSecurityGroupIds"),
        "updateConfig": _keys("maxUnavailable maxUnavailablePercentage"),
    },
)

TAINT = _keys("effect key value")
