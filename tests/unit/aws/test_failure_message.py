"""Reasons as CloudFormation really gives them; the thread where each was quoted stands beside it."""

import pytest

from app.gateways.aws.failure_message import read_reason


@pytest.mark.parametrize(
    ("reason", "message", "code"),
    [
        pytest.param(
            'Resource handler returned message: "The maximum number of VPCs has been reached. (Service: Ec2, '
            'Status Code: 400, Request ID: 5ce9e2b3-ab97-48ae-9110-21df5e97e9b5)" (RequestToken: '
            "79d65bb7-1d80-c629-18dc-b61fe9935538, HandlerErrorCode: GeneralServiceException)",
            "The maximum number of VPCs has been reached.",
            "GeneralServiceException",
            id="handler envelope",  # awslabs/landing-zone-accelerator-on-aws#241
        ),
        pytest.param(
            'Resource handler returned message: "Addon specified is not supported (Service: Eks, Status Code: 400, '
            'Request ID: 683c7d50-b441-4c44-b327-fde57c61b150, Extended Request ID: null)" (RequestToken: '
            "f5b1072c-8566-9900-e37b-8df89074e6a5, HandlerErrorCode: InvalidRequest)",
            "Addon specified is not supported",
            "InvalidRequest",
            id="extended request id",  # aws/containers-roadmap#1429
        ),
        pytest.param(
            "The maximum number of addresses has been reached. (Service: AmazonEC2; Status Code: 400; Error Code: "
            "AddressLimitExceeded; Request ID: 6826fecd-0d28-4efe-b28f-041d8359e922)",
            "The maximum number of addresses has been reached.",
            "AddressLimitExceeded",
            id="Java SDK 1",  # eksctl-io/eksctl#1646
        ),
        pytest.param(
            "Cannot create cluster 'eksworkshop-8YqWBxvHsSIGg' because us-east-1e, the targeted availability zone, "
            "does not currently have sufficient capacity to support the cluster. Retry and choose from these "
            "availability zones: us-east-1a, us-east-1b (Service: AmazonEKS; Status Code: 400; Error Code: "
            "UnsupportedAvailabilityZoneException; Request ID: 78bd7473-fe58-4c7c-80c8-63c69280aa46; Proxy: null)",
            "Cannot create cluster 'eksworkshop-8YqWBxvHsSIGg' because us-east-1e, the targeted availability zone, "
            "does not currently have sufficient capacity to support the cluster. Retry and choose from these "
            "availability zones: us-east-1a, us-east-1b",
            "UnsupportedAvailabilityZoneException",
            id="Java SDK 1 with proxy",  # aws-samples/aws-deeplearning-labs#1
        ),
        pytest.param(
            'Resource handler returned message: "[Issue(Code=NodeCreationFailure, Message=Instances failed to join '
            "the kubernetes cluster, ResourceIds=[i-01ffcdfb2f4d5670f, i-0cdaaf8fbe0d3b249])] (Service: null, Status "
            'Code: 0, Request ID: null)" (RequestToken: 2b857f44-998a-d3d1-1a4c-f5bf1899f733, HandlerErrorCode: '
            "GeneralServiceException)",
            "Instances failed to join the kubernetes cluster",
            "NodeCreationFailure",
            id="EKS issue",  # aws-samples/amazon-eks-ami-rhel#11
        ),
        pytest.param(
            "Nodegroup mng-2 failed to stabilize: [{Code: AsgInstanceLaunchFailures,Message: Could not launch "
            "On-Demand Instances. InsufficientInstanceCapacity - We currently do not have sufficient p2.xlarge "
            "capacity in the Availability Zone you requested (us-west-2b). Our system will be working on provisioning "
            "additional capacity. You can currently get p2.xlarge capacity by not specifying an Availability Zone in "
            "your request or choosing us-west-2a, us-west-2c. Launching EC2 instance failed.,ResourceIds: "
            "[eks-mng-2-82bf5c07-70d3-9015-d7e4-4ce657bd6b3d]}, {Code: NodeCreationFailure,Message: Instances failed "
            "to join the kubernetes cluster,ResourceIds: [DUMMY_036364eb-6e0e-465a-bf91-7c1f8ee2f891]}]",
            "We currently do not have sufficient p2.xlarge capacity in the Availability Zone you requested "
            "(us-west-2b). Our system will be working on provisioning additional capacity. You can currently get "
            "p2.xlarge capacity by not specifying an Availability Zone in your request or choosing us-west-2a, "
            "us-west-2c.",
            "InsufficientInstanceCapacity",
            id="two issues, the launch is the cause",  # eksctl-io/eksctl#4732
        ),
        pytest.param(
            "API: iam:CreateRole User: arn:aws:iam::754058048930:user/arsenii is not authorized to perform: "
            "iam:CreateRole on resource: arn:aws:iam::754058048930:role/eksctl-newtest22-cluster-ServiceRole-10NX",
            "API: iam:CreateRole User: arn:aws:iam::754058048930:user/arsenii is not authorized to perform: "
            "iam:CreateRole on resource: arn:aws:iam::754058048930:role/eksctl-newtest22-cluster-ServiceRole-10NX",
            "AccessDenied",
            id="API style",  # eksctl-io/eksctl#319
        ),
        pytest.param(
            "API: ec2:DescribeVpcs You are not authorized to perform this operation.",
            "API: ec2:DescribeVpcs You are not authorized to perform this operation.",
            "AccessDenied",
            id="API style of EC2",  # eksctl-io/eksctl#365
        ),
        pytest.param(
            "[Issue(Code=AsgInstanceLaunchFailures, Message=Instance became unhealthy while waiting for instance to "
            "be in InService state. Termination Reason: Client.InvalidKMSKey.InvalidState: The KMS key provided is in "
            "an incorrect state, ResourceIds=[eks-ng-1ac96815-c130-66de-ac5f-e705e77b45df])]",
            "The KMS key provided is in an incorrect state",
            "Client.InvalidKMSKey.InvalidState",
            id="termination reason",  # hashicorp/terraform-provider-aws#39904
        ),
        pytest.param(
            "Update failed due to [{ErrorCode: PodEvictionFailure,ErrorMessage: Reached max retries while trying to "
            "evict pods from nodes in node group prod-nodegroup,ResourceIds: "
            "[ip-10-233-150-169.eu-west-1.compute.internal]}]",
            "Reached max retries while trying to evict pods from nodes in node group prod-nodegroup",
            "PodEvictionFailure",
            id="EKS issue of an update",  # aws/containers-roadmap#1282
        ),
        pytest.param("Exceeded attempts to wait", "Exceeded attempts to wait", None, id="plain text"),
    ],
)
def test_the_services_own_sentence_and_code_are_read(reason: str, message: str, code: str | None) -> None:
    said = read_reason(reason)

    assert (said.message, said.code) == (message, code)


def test_resources_of_an_issue_are_named_without_placeholders() -> None:
    said = read_reason("[Issue(Code=NodeCreationFailure, Message=Nope, ResourceIds=[i-1, DUMMY_2, i-3])]")

    assert said.resources == ("i-1", "i-3")


def test_a_denial_inside_an_envelope_is_told_by_its_sentence() -> None:
    reason = (  # the form of aws-cloudformation handlers, see aws/aws-cdk#20033
        'Resource handler returned message: "User: arn:aws:sts::1:assumed-role/slipway/slipway is not authorized to '
        "perform: eks:CreateCluster on resource: arn:aws:eks:us-east-1:1:cluster/a (Service: Eks, Status Code: 403, "
        'Request ID: 1)" (RequestToken: 1, HandlerErrorCode: GeneralServiceException)'
    )

    assert read_reason(reason).code == "AccessDenied"


def test_the_attempt_count_of_newer_sdks_goes_too() -> None:
    reason = (
        'Resource handler returned message: "nodegroup is gone (Service: Eks, Status Code: 404, Request ID: 0a) (SDK '
        'Attempt Count: 1)" (RequestToken: 0a-1, HandlerErrorCode: NotFound)'
    )

    assert read_reason(reason).message == "nodegroup is gone"
    assert read_reason(reason).code == "NotFound"
