"""HTTP in front of the function: OpenAI's paths and the others of its triggers, for callers with a token."""

import pulumi
from pulumi_oci import apigateway, functions

from .settings import Gateway, Settings

# The paths that are asked for with GET; all else is a request with a body.
_ASKED = ("/models", "/info")


def make_gateway(settings: Settings, wanted: Gateway, function: functions.Function) -> pulumi.Output[str]:
    """Make the gateway and its deployment, and return the address of it."""
    yaml = settings.func_yaml
    gateway = apigateway.Gateway(
        yaml.name,
        compartment_id=settings.compartment,
        display_name=yaml.name,
        endpoint_type="PUBLIC" if wanted.public else "PRIVATE",
        subnet_id=wanted.subnet,
    )
    backend = apigateway.DeploymentSpecificationRouteBackendArgs(
        type="ORACLE_FUNCTIONS_BACKEND", function_id=function.id
    )
    sources = [trigger.source for trigger in yaml.triggers] or [f"/{yaml.name}"]
    routes = [
        apigateway.DeploymentSpecificationRouteArgs(
            path=source, methods=["GET" if source.endswith(_ASKED) else "POST"], backend=backend
        )
        for source in sources
    ]
    deployment = apigateway.Deployment(
        yaml.name,
        compartment_id=settings.compartment,
        display_name=yaml.name,
        gateway_id=gateway.id,
        path_prefix="/",
        specification=apigateway.DeploymentSpecificationArgs(
            routes=routes,
            request_policies=apigateway.DeploymentSpecificationRequestPoliciesArgs(
                authentication=_tokens(wanted),
                rate_limiting=apigateway.DeploymentSpecificationRequestPoliciesRateLimitingArgs(
                    rate_in_requests_per_second=wanted.requests_per_second, rate_key="TOTAL"
                ),
            ),
        ),
    )
    # The route follows the prefix, which is a slash.
    return deployment.endpoint.apply(lambda endpoint: endpoint.rstrip("/"))


def _tokens(wanted: Gateway) -> apigateway.DeploymentSpecificationRequestPoliciesAuthenticationArgs:
    return apigateway.DeploymentSpecificationRequestPoliciesAuthenticationArgs(
        type="JWT_AUTHENTICATION",
        token_header="Authorization",  # noqa: S106
        token_auth_scheme="Bearer",  # noqa: S106
        is_anonymous_access_allowed=False,
        issuers=wanted.jwt.issuers,
        audiences=wanted.jwt.audiences,
        max_clock_skew_in_seconds=10,
        public_keys=apigateway.DeploymentSpecificationRequestPoliciesAuthenticationPublicKeysArgs(
            type="REMOTE_JWKS", uri=wanted.jwt.keys, is_ssl_verify_disabled=False, max_cache_duration_in_hours=1
        ),
    )
