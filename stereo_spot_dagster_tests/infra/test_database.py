"""The database is private, encrypted, backed up and hard to delete; secrets are in Secrets Manager."""

from __future__ import annotations

import json

from .synthesis import Deployment


def test_the_database_is_private_and_encrypted(default: Deployment) -> None:
    database = default.data.one("RDS::DBInstance")
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    subnets = default.data.one("RDS::DBSubnetGroup")["SubnetIds"]
    assert all("database" in subnet["Ref"] for subnet in subnets)


def test_the_subnets_of_the_database_have_no_way_out(default: Deployment) -> None:
    routes = default.data.all("EC2::Route")
    assert not [name for name in routes if "database" in name]


def test_a_week_of_backups_is_kept_and_deleting_takes_two_steps(default: Deployment) -> None:
    database = default.data.one("RDS::DBInstance")
    assert database["BackupRetentionPeriod"] == 7
    assert database["DeletionProtection"] is True
    assert default.data.resource("RDS::DBInstance")["DeletionPolicy"] == "Snapshot"


def test_a_standby_is_paid_for_when_asked(default: Deployment, with_domain: Deployment) -> None:
    assert default.data.one("RDS::DBInstance")["MultiAZ"] is False
    assert with_domain.data.one("RDS::DBInstance")["MultiAZ"] is True


def test_nobody_has_seen_the_password(default: Deployment) -> None:
    secret = default.data.one("SecretsManager::Secret", "Database")
    assert secret["GenerateSecretString"]["PasswordLength"] >= 30
    assert "resolve:secretsmanager" in json.dumps(default.data.one("RDS::DBInstance")["MasterUserPassword"])


def test_the_token_of_the_hub_has_a_place_but_no_value(default: Deployment) -> None:
    secret = default.data.one("SecretsManager::Secret", "HubToken")
    assert json.loads(secret["SecretString"]) == {"HF_TOKEN": ""}
