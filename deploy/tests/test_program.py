"""What a stack makes, argument by argument."""

import json

import pulumi
import pytest
from stack import APPLICATION, COMPARTMENT, FUNCTION, SMALLEST, SUBNET, TENANCY, WHOLE, Cloud, run


def test_the_smallest_stack_is_whole() -> None:
    cloud, outputs = run(SMALLEST)
    kinds = sorted(typ.rpartition(":")[2] for typ, _, _ in cloud.made)
    assert kinds == ["Application", "DynamicGroup", "Function", "Group", "Group", "Log", "LogGroup", "Policy"]
    application = cloud.only("Application")
    assert application["compartmentId"] == COMPARTMENT
    assert application["subnetIds"] == [SUBNET]
    assert application["shape"] == "GENERIC_X86"
    assert application["traceConfig"] == {"isEnabled": False}
    function = cloud.only("Function")
    # Of examples/serve/func.yaml.
    assert (function["displayName"], function["memoryInMbs"], function["timeoutInSeconds"]) == ("serve", "256", 60)
    assert function["config"]["FDK_MODEL"] == "minilm"
    assert function["applicationId"] == APPLICATION
    assert function["sourceDetails"] == {"sourceType": "CONTAINER_IMAGE", "image": "fra.ocir.io/space/ai/serve:0.0.1"}
    assert function["provisionedConcurrencyConfig"] == {"strategy": "NONE"}
    assert outputs["application_id"] == APPLICATION
    assert outputs["function_id"] == FUNCTION
    assert outputs["invoke_endpoint"] == "https://x.functions.oci.oraclecloud.com"


def test_what_the_stack_says_goes_before_func_yaml() -> None:
    cloud, outputs = run(WHOLE)
    function = cloud.only("Function")
    assert (function["memoryInMbs"], function["timeoutInSeconds"]) == ("512", 120)
    assert function["detachedModeTimeoutInSeconds"] == 900
    assert function["provisionedConcurrencyConfig"] == {"strategy": "CONSTANT", "count": 20}
    assert (function["config"]["FDK_LOG"], function["config"]["FDK_MODEL"]) == ("debug", "minilm")
    assert function["traceConfig"] == {"isEnabled": True}
    application = cloud.only("Application")
    assert application["shape"] == "GENERIC_ARM"
    assert application["traceConfig"] == {"isEnabled": True, "domainId": "ocid1.apmdomain.oc1.eu-frankfurt-1.one"}
    assert json.loads(outputs["smoke_reply"]) == {"embeddings": [[0.1]]}
    assert outputs["gateway_endpoint"] == "https://gateway.example"


def test_the_log_is_the_applications() -> None:
    cloud, _ = run(SMALLEST)
    log = cloud.only("Log")
    assert log["configuration"]["source"] == {
        "sourceType": "OCISERVICE",
        "service": "functions",
        "category": "invoke",
        "resource": APPLICATION,
    }
    quiet = SMALLEST | {"application": SMALLEST["application"] | {"logs": False}}
    assert not run(quiet)[0].all("Log")


def test_the_gateway_has_the_triggers_and_asks_for_a_token() -> None:
    cloud, _ = run(WHOLE)
    specification = cloud.only("Deployment")["specification"]
    routes = {route["path"]: route["methods"] for route in specification["routes"]}
    assert routes["/v1/embeddings"] == ["POST"]
    assert routes["/v1/models"] == ["GET"]
    assert {route["backend"]["functionId"] for route in specification["routes"]} == {FUNCTION}
    policies = specification["requestPolicies"]
    assert policies["authentication"]["isAnonymousAccessAllowed"] is False
    assert policies["authentication"]["tokenAuthScheme"] == "Bearer"
    assert policies["authentication"]["publicKeys"]["uri"] == "https://idcs.example/jwk"
    assert policies["rateLimiting"] == {"rateInRequestsPerSecond": 10, "rateKey": "TOTAL"}
    assert cloud.only("Gateway")["endpointType"] == "PUBLIC"
    assert not run(SMALLEST)[0].all("Gateway")


def test_the_function_is_alone_in_its_dynamic_group() -> None:
    group = run(SMALLEST)[0].only("DynamicGroup")
    assert group["matchingRule"] == f"ALL {{resource.type = 'fnfunc', resource.id = '{FUNCTION}'}}"
    assert group["compartmentId"] == TENANCY


def test_a_group_that_exists_is_not_made() -> None:
    assert [group["name"] for group in run(SMALLEST)[0].all("Group")] == ["serve-invokers", "serve-deployers"]
    assert [group["name"] for group in run(WHOLE)[0].all("Group")] == ["serve-deployers"]


def test_another_image_is_another_smoke_call() -> None:
    def name(image: str) -> str:
        cloud, _ = run(WHOLE | {"function": WHOLE["function"] | {"image": image}})
        (found,) = [name for typ, name, _ in cloud.made if typ.endswith("InvokeFunction")]
        return found

    first = name("fra.ocir.io/space/ai/serve:0.0.1")
    assert first == name("fra.ocir.io/space/ai/serve:0.0.1")
    assert first != name("fra.ocir.io/space/ai/serve:0.0.2")


def test_the_smoke_call_is_the_documents() -> None:
    call = run(WHOLE)[0].only("InvokeFunction")
    assert call == {
        "functionId": FUNCTION,
        "fnIntent": "httprequest",
        "fnInvokeType": "sync",
        "invokeFunctionBody": '{"inputs": ["are you there"]}',
    }


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            '{"error": "no model"}',
            'smoke: $: \'embeddings\' is a required property\nthe reply is {"error": "no model"}',
        ),
        ("<html>", "smoke: the reply is no JSON: '<html>'"),
    ],
)
def test_a_deployment_that_answers_wrongly_has_failed(reply: str, told: str) -> None:
    with pytest.raises(pulumi.RunError) as refused:
        run(WHOLE, Cloud(reply))
    assert str(refused.value) == told
