"""AWS::EKS::Nodegroup and AWS::EKS::FargateProfile, on the same functions as the EKS API."""

from __future__ import annotations

from typing import Any

from ministack.services import eks

from ..eks import fargate, nodegroups, records
from .eks_cluster import camel, tag_map
from .registry import Attributes, Properties, Work


def body_of(properties: Properties) -> dict[str, Any]:
    """The request that a Nodegroup's properties stand for. Labels and tags keep their spelling."""
    body: dict[str, Any] = camel({k: v for k, v in properties.items() if k not in ("Labels", "Tags", "Version")})
    body["labels"] = {str(k): str(v) for k, v in (properties.get("Labels") or {}).items()}
    body["tags"] = tag_map(properties.get("Tags"))
    if properties.get("Version"):
        body["version"] = str(properties["Version"])
    if body.get("launchTemplate"):
        body["launchTemplate"] = {k: str(v) for k, v in body["launchTemplate"].items()}
    for field in ("scalingConfig", "updateConfig"):
        if field in body:
            body[field] = {k: int(v) if str(v).isdigit() else v for k, v in body[field].items()}
    return body


class Nodegroup:
    """AWS::EKS::Nodegroup. Ref is cluster/name, as on AWS."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Creates the group; what can't be launched fails here, after the group exists."""
        body = body_of(properties)
        body.setdefault("nodegroupName", work.generated_name())
        record = nodegroups.create(properties["ClusterName"], body)
        work.initiated(f"{record['clusterName']}/{record['nodegroupName']}")
        try:
            await work.wait()
        except Exception as error:
            record["status"] = "CREATE_FAILED"
            record["health"]["issues"] = [
                {"code": "AsgInstanceLaunchFailures", "message": str(error), "resourceIds": []}
            ]
            raise
        nodegroups.finish(record)
        failure = nodegroups.launch_failure(record)
        if failure:
            raise failure
        return self._attributes(record)

    @staticmethod
    def _attributes(record: records.Record) -> Attributes:
        identity = f"{record['clusterName']}/{record['nodegroupName']}"
        names = {"ClusterName": record["clusterName"], "NodegroupName": record["nodegroupName"]}
        return {"Arn": record["nodegroupArn"], "Id": identity, **names}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes sizes, labels, taints, version and tags: what EKS changes in place."""
        cluster_name, name = physical_id.split("/")
        record = records.nodegroup(cluster_name, name)
        before, after = body_of(old), body_of(new)
        update = self._start(cluster_name, name, before, after)
        try:
            await work.wait()
        except BaseException:
            record["status"] = "ACTIVE"
            if update:
                update["status"] = "Failed"
            raise
        if update and update["type"] == "VersionUpdate":
            nodegroups.finish_version_update(record, update, after)
        if update:
            update["status"] = "Successful"
        record.update(status="ACTIVE", tags=after["tags"])
        eks._tags[record["nodegroupArn"]] = dict(after["tags"])
        return self._attributes(record)

    @staticmethod
    def _start(cluster: str, name: str, before: dict[str, Any], after: dict[str, Any]) -> records.Record | None:
        fields = ("version", "releaseVersion", "launchTemplate")
        versions = {f: after[f] for f in fields if after.get(f) and after[f] != before.get(f)}
        change: dict[str, Any] = {}
        for field in ("scalingConfig", "updateConfig", "nodeRepairConfig"):
            if after.get(field) and after[field] != before.get(field):
                change[field] = after[field]
        if after["labels"] != before["labels"]:
            gone = [key for key in before["labels"] if key not in after["labels"]]
            change["labels"] = {"addOrUpdateLabels": after["labels"], "removeLabels": gone}
        taints, wanted = before.get("taints") or [], after.get("taints") or []
        if taints != wanted:
            gone = [taint for taint in taints if taint not in wanted]
            change["taints"] = {"addOrUpdateTaints": wanted, "removeTaints": gone}
        update = nodegroups.start_config_update(cluster, name, change) if change else None
        if versions:
            if update:
                update["status"] = "Successful"
                records.nodegroup(cluster, name)["status"] = "ACTIVE"
            update = nodegroups.start_version_update(cluster, name, versions)
        return update

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Drains and deletes the group, if it is still there."""
        record = eks._nodegroups.get(physical_id)
        if record is None:
            return
        status, record["status"] = record["status"], "DELETING"
        try:
            await work.wait()
        except BaseException:
            record["status"] = status
            raise
        nodegroups.remove(*physical_id.split("/"))


class FargateProfile:
    """AWS::EKS::FargateProfile."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Creates the profile."""
        body = camel({k: v for k, v in properties.items() if k not in ("Tags", "Selectors")})
        body["selectors"] = [self._selector(item) for item in properties.get("Selectors") or []]
        body["tags"] = tag_map(properties.get("Tags"))
        body.setdefault("fargateProfileName", work.generated_name())
        record = fargate.create(properties["ClusterName"], body)
        work.initiated(f"{record['clusterName']}|{record['fargateProfileName']}")
        try:
            await work.wait()
        except Exception:
            record["status"] = "CREATE_FAILED"
            raise
        record["status"] = "ACTIVE"
        return {"Arn": record["fargateProfileArn"]}

    @staticmethod
    def _selector(item: dict[str, Any]) -> dict[str, Any]:
        labels = item.get("Labels") or []
        pairs = labels if isinstance(labels, dict) else {label["Key"]: label["Value"] for label in labels}
        return {"namespace": item["Namespace"], "labels": pairs}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes the tags; all else replaces the profile."""
        await work.wait()
        record = records.fargate_profile(*physical_id.split("|"))
        record["tags"] = tag_map(new.get("Tags"))
        return {"Arn": record["fargateProfileArn"]}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Deletes the profile, if it is still there."""
        cluster_name, name = physical_id.split("|")
        record = records.fargate_profiles.get((cluster_name, name))
        if record is None:
            return
        record["status"] = "DELETING"
        await work.wait()
        fargate.remove(cluster_name, name)


HANDLERS = {"AWS::EKS::Nodegroup": Nodegroup(), "AWS::EKS::FargateProfile": FargateProfile()}
