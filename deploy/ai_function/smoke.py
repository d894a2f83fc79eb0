"""A call of what was deployed, and a judgement of the reply: a deployment that answers wrongly has failed."""

import hashlib
import json
from typing import Any

import jsonschema
import pulumi
from pulumi_oci import functions

from .settings import Settings, Smoke


def call(
    settings: Settings, wanted: Smoke, function: functions.Function, after: list[pulumi.Resource]
) -> pulumi.Output[str]:
    """Call the function and return its checked reply."""
    # The provider calls once, when the resource is made. So another image or configuration is another resource.
    deployed = [settings.function.model_dump(mode="json"), settings.func_yaml.model_dump(mode="json")]
    mark = hashlib.sha256(json.dumps(deployed, sort_keys=True).encode()).hexdigest()[:8]
    invocation = functions.InvokeFunction(
        f"smoke-{mark}",
        function_id=function.id,
        fn_intent="httprequest",
        fn_invoke_type="sync",
        invoke_function_body=json.dumps(wanted.request),
        opts=pulumi.ResourceOptions(depends_on=after),
    )
    return invocation.content.apply(lambda content: judge(content, wanted.schema_))


def judge(content: str, schema: dict[str, Any]) -> str:
    """Return a reply that satisfies the schema; of another, say what it is and where it fails."""
    shown = content if len(content) <= 500 else f"{content[:500]}…"  # noqa: PLR2004
    try:
        reply = json.loads(content)
    except ValueError:
        raise pulumi.RunError(f"smoke: the reply is no JSON: {shown!r}") from None
    fault = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(reply))
    if fault is not None:
        raise pulumi.RunError(f"smoke: {fault.json_path}: {fault.message[:500]}\nthe reply is {shown}")
    return content
