"""Secrets Manager: what GetSecretValue gives and refuses, in AWS's words."""

from __future__ import annotations

import itertools
import json

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud
from .test_stacks import refused

NAMES = (f"secret/{number}" for number in itertools.count())


def test_the_current_version_is_given(cloud: Cloud) -> None:
    client = cloud.client("secretsmanager")
    arn = client.create_secret(Name=next(NAMES), SecretString="one")["ARN"]
    client.put_secret_value(SecretId=arn, SecretString="two")
    assert client.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")["SecretString"] == "two"
    assert client.get_secret_value(SecretId=arn[:-7], VersionStage="AWSPREVIOUS")["SecretString"] == "one"


def test_what_is_not_there(cloud: Cloud) -> None:
    """The last two by aws-sdk-js-v3 #7701 and boto3 #2794."""
    client = cloud.client("secretsmanager")
    with pytest.raises(ClientError) as error:
        client.get_secret_value(SecretId="secret/none")
    assert refused(error) == ("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    arn = client.create_secret(Name=next(NAMES), SecretString="one")["ARN"]
    empty = client.create_secret(Name=next(NAMES))["ARN"]
    for secret, stage in ((arn, "AWSPENDING"), (empty, "AWSCURRENT")):
        with pytest.raises(ClientError) as error:
            client.get_secret_value(SecretId=secret, VersionStage=stage)
        words = f"Secrets Manager can't find the specified secret value for staging label: {stage}"
        assert refused(error) == ("ResourceNotFoundException", words)


def test_what_is_marked_for_deletion(cloud: Cloud) -> None:
    client = cloud.client("secretsmanager")
    arn = client.create_secret(Name=next(NAMES), SecretString="one")["ARN"]
    client.delete_secret(SecretId=arn)
    with pytest.raises(ClientError) as error:
        client.get_secret_value(SecretId=arn)
    words = "You can't perform this operation on the secret because it was marked for deletion."
    assert refused(error) == ("InvalidRequestException", words)


def test_who_may_read(cloud: Cloud) -> None:
    """A resource policy that denies counts; a secret of another account needs one that allows."""
    client = cloud.client("secretsmanager")
    arn = client.create_secret(Name=next(NAMES), SecretString="one")["ARN"]
    statement = {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    client.put_resource_policy(
        SecretId=arn, ResourcePolicy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    foreign = arn.replace("123456789012", "210987654321")
    for secret in (arn, foreign):
        with pytest.raises(ClientError) as error:
            client.get_secret_value(SecretId=secret)
        code, words = refused(error)
        assert code == "AccessDeniedException"
        assert "is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:aws:" in words
    assert words.endswith("because no resource-based policy allows the secretsmanager:GetSecretValue action")
