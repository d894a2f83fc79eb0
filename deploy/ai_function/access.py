"""Who may call the function, who may deploy it, what it may read itself: groups, and the policy of policies.txt."""

from dataclasses import dataclass

import pulumi
from pulumi_oci import functions, identity

from . import policies
from .settings import Settings


@dataclass(frozen=True)
class Access:
    """What came of it."""

    policy: identity.Policy
    statements: pulumi.Output[list[str]]


def grant(settings: Settings, application: functions.Application, function: functions.Function) -> Access:
    """Make the groups that are not there yet, and the policy."""
    name = settings.func_yaml.name
    made: list[pulumi.Resource] = []

    def group(existing: str | None, kind: str, description: str) -> str:
        if existing:
            return existing
        called = f"{name}-{kind}"
        made.append(
            identity.Group(called, compartment_id=settings.tenancy, name=called, description=f"{description} {name}")
        )
        return called

    access = settings.access
    invokers = group(access.invokers, "invokers", "May call the function")
    deployers = group(access.deployers, "deployers", "May deploy the function")
    dynamic_group = f"{name}-function"
    made.append(
        identity.DynamicGroup(
            dynamic_group,
            compartment_id=settings.tenancy,
            name=dynamic_group,
            description=f"The function {name}, as itself",
            matching_rule=pulumi.Output.format("ALL {{resource.type = 'fnfunc', resource.id = '{0}'}}", function.id),
        )
    )

    text = policies.FILE.read_text(encoding="utf-8")
    bucket, secrets, traces = access.bucket, access.secrets, settings.application.traces

    def fill(ids: tuple[str, str]) -> list[str]:
        application_id, function_id = ids
        return policies.fill(
            text,
            {
                "tenancy_id": settings.tenancy,
                "compartment_id": settings.compartment,
                "application_id": application_id,
                "function_id": function_id,
                "invokers": invokers,
                "deployers": deployers,
                "dynamic_group": dynamic_group,
                "repository": settings.function.repository,
                "bucket": bucket.name if bucket else None,
                "bucket_compartment_id": (bucket.compartment or settings.compartment) if bucket else None,
                "secret_id": secrets.ids if secrets else None,
                "secret_compartment_id": (secrets.compartment or settings.compartment) if secrets else None,
                "gateway_compartment_id": settings.compartment if settings.gateway else None,
                "traces_compartment_id": (traces.compartment or settings.compartment) if traces else None,
            },
        )

    statements = pulumi.Output.all(application.id, function.id).apply(lambda ids: fill((ids[0], ids[1])))
    # In the tenancy: some statements are about it, and a bucket or a secret may be in any of its compartments.
    policy = identity.Policy(
        name,
        compartment_id=settings.tenancy,
        name=f"{name}-function",
        description=f"Who may call and deploy {name}, and what it may read: deploy/policies.txt",
        statements=statements,
        opts=pulumi.ResourceOptions(depends_on=made),
    )
    return Access(policy, statements)
