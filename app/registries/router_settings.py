"""Routes of ECR's settings of an account and region. They are AWS's own: Slipway keeps no copy of them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from app.accounts import repository as accounts
from app.core.fields import Region
from app.gateways.aws.cloud import Cloud
from app.http.caller import CallerDep
from app.http.change import DirectChangeDep
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery
from app.http.route import StrictRoute
from app.kinds.registry.checks import check_region
from app.operations.dependencies import DatabaseDep
from app.registries.dependencies import FeatureDep
from app.registries.errors import CacheRuleNotFoundError
from app.registries.images import refusals
from app.registries.settings import (
    PREFIX,
    CacheRuleOut,
    CacheRuleSpec,
    ReplicationSpec,
    cache_rule_of,
    cache_rule_out,
    put_cache_rule,
    replication_of,
    replication_out,
)

router = APIRouter(route_class=StrictRoute, prefix="/registry-settings", tags=["registry settings"])

PrefixPath = Annotated[
    str,
    Path(pattern=PREFIX, min_length=2, max_length=30, description="What repositories' names begin with; ROOT is none."),
]


async def _cloud(
    caller: CallerDep,
    database: DatabaseDep,
    feature: FeatureDep,
    region: Annotated[Region, Query()],
    account: Annotated[str, Query(max_length=64, description="Id or name of the AWS account.")] = "default",
) -> Cloud:
    """Return the AWS that the query names.

    Raises:
        InvalidError: there is no such account or region.
    """
    async with database.read() as session:
        account_id = await accounts.account_id(session, caller.project_id, account)
    cloud = await feature.clouds.of(account_id, region)
    await check_region(cloud, "/query/region")
    return cloud


CloudDep = Annotated[Cloud, Depends(_cloud)]


@router.get("/pull-through-cache-rules", responses=problems(422))
async def list_pull_through_cache_rules(cloud: CloudDep, page: PageQuery) -> Page[CacheRuleOut]:
    """List the rules that have ECR cache other registries, by prefix."""
    rules = await cloud.ecr_account.cache_rules()
    if (after := page.after_text) is not None:
        rules = [rule for rule in rules if rule.prefix > after]
    kept, token = page.cut(rules[: page.fetch], lambda rule: rule.prefix)
    return Page(items=[cache_rule_out(rule) for rule in kept], next_page_token=token)


@router.put("/pull-through-cache-rules/{prefix:path}", response_model=CacheRuleOut, responses=problems(409, 422))
async def put_pull_through_cache_rule(
    prefix: PrefixPath, spec: CacheRuleSpec, change: DirectChangeDep, cloud: CloudDep
) -> Response:
    """Make a rule, or give one that is there another secret or role: all that ECR can change of it."""
    made = await put_cache_rule(cloud.ecr_account, cache_rule_of(prefix, spec))
    async with change.transaction() as session:
        return await change.answer(session, 200, cache_rule_out(made))


@router.delete(
    "/pull-through-cache-rules/{prefix:path}",
    status_code=204,
    response_class=Response,
    responses=problems(404, 422),
)
async def delete_pull_through_cache_rule(prefix: PrefixPath, change: DirectChangeDep, cloud: CloudDep) -> Response:
    """Delete a rule; the repositories that it made stay."""
    if not await cloud.ecr_account.delete_cache_rule(prefix):
        raise CacheRuleNotFoundError(f"There is no cache rule for {prefix!r} in {cloud.region}.")
    async with change.transaction() as session:
        return await change.answer(session, 204, None)


@router.get("/replication", responses=problems(422))
async def get_replication(cloud: CloudDep) -> ReplicationSpec:
    """Read where images are copied to when they are pushed."""
    return replication_out(await cloud.ecr_account.replication())


@router.put("/replication", response_model=ReplicationSpec, responses=problems(422))
async def put_replication(spec: ReplicationSpec, change: DirectChangeDep, cloud: CloudDep) -> Response:
    """Replace all rules of replication; without any, nothing more is copied."""
    identity = await cloud.identity()
    with refusals():
        await cloud.ecr_account.put_replication(replication_of(spec, identity.account))
    async with change.transaction() as session:
        return await change.answer(session, 200, replication_out(await cloud.ecr_account.replication()))
