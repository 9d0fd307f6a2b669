"""Rules, counted calls, leftovers, signatures, and what the process can bear."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud
from .templates import cluster, groups, nodegroup, resource
from .test_stacks import refused


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({}, "must be a JSON list"), (["x"], "rule 0: must be an object"),
        ([{"op": "create"}], "needs delay or fail"),
        ([{"delay": 1}, {"delay": "1"}], "rule 1: delay must be seconds"),
        ([{"fail": "x", "tims": 1}], "unknown key tims"),
        ([{"op": "make", "delay": 1}], "op must be one of"), ([{"api": "eks:*"}], "needs status and code"),
        ([{"api": "eks:*", "status": 400, "code": "X", "share": 2}], "share must be a number from 0 to 1"),
        ([{"delay": 1, "times": -1}], "times must be a whole number"),
    ],
)  # fmt: skip
def test_rules_are_checked(cloud: Cloud, rules: Any, says: str) -> None:
    """400 with a message that says which rule and why; those in force stay."""
    cloud.rules({"delay": 0.01, "stack": "none"})
    status, answer = cloud.control("PUT", "rules", rules)
    assert status == 400 and says in answer["message"]
    assert cloud.control("GET", "rules")[1][0]["stack"] == "none"


def test_the_first_rule_that_matches_counts(cloud: Cloud) -> None:
    """Globs over operation, type, logical id and stack; `times` uses a rule up."""
    cloud.rules({"op": "create", "type": "AWS::Logs::*", "stack": "first-*", "fail": "no", "times": 1}, {"delay": 0})
    stack = cloud.create(groups(), "first-1")
    cloud.wait(stack, "ROLLBACK_COMPLETE")
    assert cloud.reasons(stack) == ["Log1: no"]
    cloud.delete(stack)
    cloud.delete(cloud.make(groups(), "first-2")["stack"])
    read_back = cloud.control("GET", "rules")[1]
    assert read_back[0]["used"] == 1
    assert cloud.control("PUT", "rules", read_back)[0] == 200


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("cloudformation", "DescribeStacks", {}), ("ec2", "DescribeVpcs", {}),
        ("eks", "DescribeCluster", {"name": "x"}),
        ("logs", "DescribeLogGroups", {}), ("sts", "GetCallerIdentity", {}), ("elbv2", "DescribeLoadBalancers", {}),
        ("iam", "ListRoles", {}), ("ecr", "DescribeRepositories", {}), ("ssm", "GetParameter", {"Name": "x"}),
    ],
)  # fmt: skip
def test_faults_have_the_form_that_sdks_parse(
    cloud: Cloud, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    """Query XML, EC2's XML, JSON and REST-JSON; the call is counted by its name."""
    prefix = {"elbv2": "elasticloadbalancing"}.get(service, service)
    cloud.control("DELETE", "calls")
    cloud.rules({"api": f"{prefix}:{operation}", "status": 400, "code": "Throttling", "times": 1})
    method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)[1:]
    with pytest.raises(ClientError) as error:
        getattr(cloud.client(service), method)(**arguments)
    assert refused(error) == ("Throttling", "Rate exceeded")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert cloud.control("GET", "calls")[1] == {f"{prefix}:{operation}": 1}


def test_a_share_of_calls_fails(cloud: Cloud) -> None:
    """About as many as asked for."""
    cloud.rules({"api": "sts:*", "status": 503, "code": "ServiceUnavailable", "share": 0.5})
    failed = 0
    for _ in range(60):
        try:
            cloud.client("sts").get_caller_identity()
        except ClientError:
            failed += 1
    assert 10 < failed < 50


@pytest.mark.calendar
@pytest.mark.parametrize(
    ("service", "method", "code", "unknown"),
    [
        ("cloudformation", "describe_stacks", "SignatureDoesNotMatch", "InvalidClientTokenId"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch", "InvalidClientTokenId"),
        ("iam", "list_roles", "SignatureDoesNotMatch", "InvalidClientTokenId"),
        ("eks", "list_clusters", "InvalidSignatureException", "UnrecognizedClientException"),
        ("logs", "describe_log_groups", "InvalidSignatureException", "UnrecognizedClientException"),
        ("ec2", "describe_vpcs", "AuthFailure", "AuthFailure"),
    ],
)
def test_signatures_are_verified(cloud: Cloud, service: str, method: str, code: str, unknown: str) -> None:
    """A wrong secret and an unknown key get the errors that each service has for them."""
    with pytest.raises(ClientError) as error:
        getattr(cloud.client(service, aws_secret_access_key="wrong"), method)()
    assert refused(error)[0] == code
    with pytest.raises(ClientError) as error:
        getattr(cloud.client(service, aws_access_key_id="AKIAUNKNOWNUNKNOWN00"), method)()
    assert refused(error)[0] == unknown


def test_a_key_of_twelve_digits_is_another_account(cloud: Cloud) -> None:
    """With the same secret, which is verified."""
    key = {"aws_access_key_id": "210987654321"}
    identity = cloud.client("sts", **key).get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == ("210987654321", "arn:aws:iam::210987654321:root")
    assert cloud.client("eks", **key).list_clusters()["clusters"] == []
    with pytest.raises(ClientError):
        cloud.client("eks", **key, aws_secret_access_key="wrong").list_clusters()


@pytest.mark.calendar
def test_assumed_roles_sign_too(cloud: Cloud, base: dict[str, str]) -> None:
    """STS gives credentials that work, and that IAM's policies limit."""
    iam, name = cloud.client("iam"), base["ClusterRole"].rsplit("/", 1)[-1]
    assert iam.get_role(RoleName=name)
    document = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": '
        '"arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}]}'
    )
    iam.create_role(RoleName="assumed", AssumeRolePolicyDocument=document)
    arn = "arn:aws:iam::123456789012:role/assumed"
    given = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    keys = {
        "aws_access_key_id": given["AccessKeyId"], "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }  # fmt: skip
    assert ":assumed-role/assumed/session" in cloud.client("sts", **keys).get_caller_identity()["Arn"]
    with pytest.raises(ClientError) as error:
        cloud.client("eks", **keys).list_clusters()
    assert refused(error)[0] == "AccessDeniedException"
    iam.delete_role(RoleName="assumed")


def test_unknown_control_routes_say_what_there_is(cloud: Cloud) -> None:
    """404 and 405 name the way."""
    assert cloud.control("GET", "nothing")[0] == 404
    assert cloud.control("POST", "rules", [])[0] == 405


def test_five_hundred_stacks_wait_at_once(cloud: Cloud) -> None:
    """Delays hold no threads: a pool of 32, Python's largest, would be at it for three quarters of a minute."""
    cloud.rules({"op": "create", "delay": 3})
    client = cloud.client("cloudformation")
    with ThreadPoolExecutor(8) as pool:
        stacks = list(pool.map(lambda n: cloud.create(groups(), f"many-{n}"), range(500)))
    cloud.wait(stacks[-1], "CREATE_COMPLETE", 30)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda stack: client.delete_stack(StackName=stack), stacks))
    for stack in stacks[-20:]:
        cloud.wait(stack, "DELETE_COMPLETE")


def test_fifty_clusters_at_once(cloud: Cloud, base: dict[str, str]) -> None:
    """With their node groups."""
    with ThreadPoolExecutor(8) as pool:
        owners = list(pool.map(lambda n: cloud.create(cluster(base, f"fleet-{n}")), range(50)))
        for owner in owners:
            cloud.wait(owner, "CREATE_COMPLETE")
        members = list(pool.map(lambda n: cloud.create(nodegroup(base, f"fleet-{n}")), range(50)))
        for stack in members:
            cloud.wait(stack, "CREATE_COMPLETE")
        list(pool.map(cloud.delete, members))
        list(pool.map(cloud.delete, owners))


def test_leftovers_name_what_exists(cloud: Cloud) -> None:
    """By type; the test's own stack and its group."""
    made = cloud.make({"Resources": {"Log": resource("AWS::Logs::LogGroup", LogGroupName="left")}})
    found = cloud.control("GET", "leftovers")[1]
    assert made["stack"] in found["AWS::CloudFormation::Stack"] and found["AWS::Logs::LogGroup"] == ["left"]
    cloud.delete(made["stack"])


def test_the_process_starts_and_stops(tmp_path: Any) -> None:
    """One line on stdout once it is ready, a clean end on SIGTERM; a taken port is refused."""
    command = [sys.executable, "-m", "slipway_localcloud", "up", "--dir", str(tmp_path), "--port"]
    running = subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    line = running.stdout.readline()
    port = line.partition("127.0.0.1:")[2].partition('"')[0]
    second = subprocess.run([*command, port], capture_output=True, text=True, timeout=60)
    assert second.returncode == 1 and "can't listen" in second.stderr
    running.terminate()
    assert running.stdout.read() == ""
    assert running.wait(30) == 0
