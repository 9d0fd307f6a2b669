import pytest
from stack_samples import GROUP, PUBLIC_KEY, ULID, document, nodegroup, nodegroup_template, of_type, view

from app.core.errors import InvalidError
from app.kinds.nodegroup.spec import ScalingSpec, SshSpec, TaintSpec, UpdateSpec
from app.kinds.nodegroup.template import nodegroup_labels
from app.stacks.machine import accelerator, architecture, data_device, default_ami_type


def resources(**changes):
    return document(nodegroup_template(nodegroup(**changes)))["Resources"]


def group(**changes):
    return resources(**changes)["Nodegroup"]["Properties"]


def launch(**changes):
    return resources(**changes)["LaunchTemplate"]["Properties"]["LaunchTemplateData"]


def policies(**changes):
    return [
        arn["Fn::Sub"].rsplit("/")[-1] for arn in resources(**changes)["NodeRole"]["Properties"]["ManagedPolicyArns"]
    ]


def test_nodes_are_as_hardened_as_those_of_eksctl():
    made = launch()
    assert made["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
    assert made["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {"VolumeSize": 80, "VolumeType": "gp3", "Iops": 3000, "Throughput": 125, "Encrypted": True},
        }
    ]
    assert made["SecurityGroupIds"] == [GROUP]
    assert "KeyName" not in made


def test_tags_reach_what_the_launch_template_launches():
    made = launch(tags={"team": "a"})["TagSpecifications"]
    assert [spec["ResourceType"] for spec in made] == ["instance", "volume", "network-interface"]
    for spec in made:
        found = {tag["Key"]: tag["Value"] for tag in spec["Tags"]}
        assert found == {
            "Name": "prod-workers-Node",
            "team": "a",
            "slipway:cluster": "prod",
            "slipway:id": f"ng_{ULID}",
        }


def test_one_instance_type_stands_where_it_can_be_changed_and_several_where_they_must():
    assert launch(instance_types=("c5.large",))["InstanceType"] == "c5.large"
    assert "InstanceTypes" not in group(instance_types=("c5.large",))
    several = ("c5.large", "c5a.large")
    assert "InstanceType" not in launch(instance_types=several)
    assert group(instance_types=several)["InstanceTypes"] == list(several)


def test_bottlerocket_sizes_its_data_volume_and_encrypts_both():
    system, data = launch(ami_type="BOTTLEROCKET_x86_64", disk_size_gib=200)["BlockDeviceMappings"]
    assert (system["DeviceName"], data["DeviceName"]) == ("/dev/xvda", "/dev/xvdb")
    assert "VolumeSize" not in system["Ebs"]
    assert data["Ebs"]["VolumeSize"] == 200
    assert system["Ebs"]["Encrypted"] is data["Ebs"]["Encrypted"] is True
    assert data_device("WINDOWS_CORE_2022_x86_64") == "/dev/sda1"


@pytest.mark.parametrize(
    ("instance_type", "arch", "chip"),
    [
        ("m5.large", "x86_64", "none"),
        ("m7g.large", "arm64", "none"),
        ("c7gn.xlarge", "arm64", "none"),
        ("a1.medium", "arm64", "none"),
        ("t4g.nano", "arm64", "none"),
        ("x2gd.large", "arm64", "none"),
        ("im4gn.large", "arm64", "none"),
        ("hpc7g.4xlarge", "arm64", "none"),
        ("i4i.large", "x86_64", "none"),
        ("u7i-12tb.224xlarge", "x86_64", "none"),
        ("g4dn.xlarge", "x86_64", "nvidia"),
        ("g4ad.xlarge", "x86_64", "none"),
        ("gr6.4xlarge", "x86_64", "nvidia"),
        ("g5g.xlarge", "arm64", "nvidia"),
        ("p5en.48xlarge", "x86_64", "nvidia"),
        ("p6-b200.48xlarge", "x86_64", "nvidia"),
        ("p6e-gb200.36xlarge", "arm64", "nvidia"),
        ("trn2.48xlarge", "x86_64", "neuron"),
        ("inf2.xlarge", "x86_64", "neuron"),
    ],
)
def test_instance_types_say_what_they_are(instance_type, arch, chip):
    assert (architecture(instance_type), accelerator(instance_type)) == (arch, chip)


def test_the_image_follows_the_machine_unless_the_caller_says():
    assert group()["AmiType"] == "AL2023_x86_64_STANDARD"
    assert group(instance_types=("m7g.large", "c7g.large"))["AmiType"] == "AL2023_ARM_64_STANDARD"
    assert group(instance_types=("g5.xlarge",))["AmiType"] == "AL2023_x86_64_NVIDIA"
    assert group(instance_types=("m7g.large",), ami_type="BOTTLEROCKET_ARM_64")["AmiType"] == "BOTTLEROCKET_ARM_64"


def test_machines_that_need_different_images_are_refused():
    with pytest.raises(InvalidError) as caught:
        default_ami_type(["m5.large", "m7g.large"])
    assert [error.pointer for error in caught.value.errors] == ["/instance_types"]


def test_ssh_with_a_key_that_aws_makes():
    doc = document(nodegroup_template(nodegroup(ssh=SshSpec())))
    pair = doc["Resources"]["KeyPair"]["Properties"]
    assert "PublicKeyMaterial" not in pair
    assert doc["Outputs"]["SshPrivateKeyParameter"]["Value"] == {"Fn::Sub": "/ec2/keypair/${KeyPair.KeyPairId}"}
    assert doc["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["KeyName"] == {"Ref": "KeyPair"}
    assert pair["KeyType"] == "ed25519"


def test_ssh_with_a_public_key_names_the_pair_after_it():
    doc = document(nodegroup_template(nodegroup(ssh=SshSpec.model_construct(public_key=PUBLIC_KEY + "\n"))))
    pair = doc["Resources"]["KeyPair"]["Properties"]
    assert pair["PublicKeyMaterial"] == PUBLIC_KEY
    assert "SshPrivateKeyParameter" not in doc["Outputs"]
    other = resources(ssh=SshSpec(public_key=PUBLIC_KEY + "2"))["KeyPair"]["Properties"]
    assert other["KeyName"] != pair["KeyName"]


def test_ssh_with_a_key_that_exists():
    made = resources(ssh=SshSpec(key_name="mine", source_security_groups=["sg-0fedcba9876543210"]))
    assert "KeyPair" not in made
    assert made["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["KeyName"] == "mine"
    (rule,) = made["SshSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert rule["SourceSecurityGroupId"] == "sg-0fedcba9876543210"
    assert (rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) == (22, 22, "tcp")


def test_open_ssh_covers_both_families():
    rules = resources(ssh=SshSpec(key_name="mine"))["SshSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert [rule.get("CidrIp") or rule["CidrIpv6"] for rule in rules] == ["0.0.0.0/0", "::/0"]


def test_ssh_comes_on_top_of_the_cluster_security_group():
    made = launch(ssh=SshSpec(key_name="mine"))["SecurityGroupIds"]
    assert made == [GROUP, {"Fn::GetAtt": ["SshSecurityGroup", "GroupId"]}]


def test_a_key_pair_is_kept_from_tags_that_would_replace_it():
    made = nodegroup_template(nodegroup(ssh=SshSpec(), tags={"team": "a"}))
    assert "team" not in made.tags
    explicit = {"Key": "team", "Value": "a"}
    assert explicit in document(made)["Resources"]["NodeRole"]["Properties"]["Tags"]
    assert explicit in document(made)["Resources"]["SshSecurityGroup"]["Properties"]["Tags"]
    assert nodegroup_template(nodegroup(ssh=SshSpec(key_name="mine"), tags={"team": "a"})).tags["team"] == "a"


def test_the_role_fits_the_family():
    assert policies() == [
        "AmazonEKSWorkerNodePolicy",
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonSSMManagedInstanceCore",
        "AmazonEKS_CNI_Policy",
    ]
    six = view(ip_family="ipv6")
    assert "AmazonEKS_CNI_Policy" not in policies(cluster=six)
    (inline,) = resources(cluster=six)["NodeRole"]["Properties"]["Policies"]
    assert "ec2:AssignIpv6Addresses" in inline["PolicyDocument"]["Statement"][0]["Action"]


def test_labels_taints_and_sizes():
    long_key = "a" * 60 + ".example.com/" + "b" * 60
    made = group(
        labels={"tier": "web", "slipway.dev/nodegroup": "forged"},
        taints=[
            TaintSpec.model_construct(key=long_key, effect="NO_EXECUTE", value="x"),
            TaintSpec(key="plain", effect="PREFER_NO_SCHEDULE"),
        ],
        scaling=ScalingSpec(min=0, max=5),
        desired=0,
    )
    assert made["Labels"] == {
        "tier": "web",
        "slipway.dev/cluster": "prod",
        "slipway.dev/nodegroup": "workers",
    }
    assert made["Taints"] == [
        {"Key": long_key, "Value": "x", "Effect": "NO_EXECUTE"},
        {"Key": "plain", "Effect": "PREFER_NO_SCHEDULE"},
    ]
    assert made["ScalingConfig"] == {"MinSize": 0, "MaxSize": 5, "DesiredSize": 0}
    assert group(scaling=ScalingSpec(min=1, max=2), desired=None)["ScalingConfig"] == {"MinSize": 1, "MaxSize": 2}


def test_a_long_cluster_name_is_cut_to_a_legal_label():
    label = nodegroup_labels("c" * 62 + "-" + "d" * 30, "workers", {})["slipway.dev/cluster"]
    assert label == "c" * 62


def test_updates():
    made = group(update=UpdateSpec(max_unavailable_percent=30), version="1.34")
    assert made["UpdateConfig"] == {"MaxUnavailablePercentage": 30}
    assert made["Version"] == "1.34"
    assert group(update=UpdateSpec(max_unavailable=2))["UpdateConfig"] == {"MaxUnavailable": 2}
    assert not {"UpdateConfig", "Version"} & set(group())


def test_outputs():
    doc = document(nodegroup_template(nodegroup()))
    assert set(doc["Outputs"]) == {"Arn", "RoleArn", "NodegroupName"}
    assert doc["Outputs"]["NodegroupName"]["Value"] == "workers"
    assert not of_type(doc, "AWS::EC2::SecurityGroup")
