"""The statements, word for word."""

import re

import pytest
from stack import APPLICATION, COMPARTMENT, FUNCTION, SMALLEST, TENANCY, WHOLE, run

from ai_function import policies

CALLERS = [
    f"Allow group serve-invokers to use fn-invocation in compartment id {COMPARTMENT} where target.function.id = '{FUNCTION}'",
    f"Allow group serve-invokers to read fn-function in compartment id {COMPARTMENT} where target.function.id = '{FUNCTION}'",
]
DEPLOYERS = [
    f"Allow group serve-deployers to read fn-app in compartment id {COMPARTMENT}",
    f"Allow group serve-deployers to manage fn-function in compartment id {COMPARTMENT} where target.app.id = '{APPLICATION}'",
    "Allow group serve-deployers to manage repos in tenancy where target.repo.name = 'ai/serve'",
    "Allow group serve-deployers to read objectstorage-namespaces in tenancy",
]
ITSELF = [
    "Allow dynamic-group serve-function to read objects in compartment id ocid1.compartment.oc1..data where target.bucket.name = 'models'",
    f"Allow dynamic-group serve-function to read secret-bundles in compartment id {COMPARTMENT} where target.secret.id = 'ocid1.vaultsecret.oc1..a'",
    f"Allow dynamic-group serve-function to read secret-bundles in compartment id {COMPARTMENT} where target.secret.id = 'ocid1.vaultsecret.oc1..b'",
]
SERVICES = [
    f"Allow any-user to use fn-invocation in compartment id {COMPARTMENT} where all {{request.principal.type = 'ApiGateway', "
    f"request.resource.compartment.id = '{COMPARTMENT}', target.function.id = '{FUNCTION}'}}",
    f"Allow service faas to use apm-domains in compartment id {COMPARTMENT}",
]


def test_the_smallest_stack_gives_nothing_that_it_does_not_need() -> None:
    cloud, outputs = run(SMALLEST)
    policy = cloud.only("Policy")
    assert policy["statements"] == CALLERS + DEPLOYERS
    assert policy["compartmentId"] == TENANCY
    assert outputs["policy_statements"] == CALLERS + DEPLOYERS


def test_the_whole_stack() -> None:
    theirs = [line.replace("serve-invokers", "everyone-here") for line in CALLERS]
    assert run(WHOLE)[0].only("Policy")["statements"] == theirs + DEPLOYERS + ITSELF + SERVICES


def test_no_statement_is_wider_than_its_purpose() -> None:
    for line in policies.lines(policies.FILE.read_text(encoding="utf-8")):
        found = re.match(r"Allow (.+?) to (\w+) ([\w-]+) in (.+?)( where .+)?$", line)
        assert found, line
        who, verb, what, where, condition = found.groups()
        assert not what.endswith(("-family", "all-resources")), line
        # Whoever may manage or be anybody is held to one thing; the tenancy at large is only looked at.
        if verb == "manage" or who == "any-user" or (where == "tenancy" and verb != "read"):
            assert condition, line
        # Nobody who deploys may call, and no call is allowed but of one function.
        if what == "fn-invocation":
            assert "deployers" not in who, line
            assert "target.function.id = '${function_id}'" in line


def test_a_placeholder_without_a_value_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=re.escape("no value for ${grop} in 'Allow group ${grop} to x': there are group")
    ):
        policies.fill("Allow group ${grop} to x", {"group": "g"})


@pytest.mark.parametrize("value", ["a b", "x' or request.user.id = 'y", "", "a,b"])
def test_a_value_cannot_say_more_than_a_name(value: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a policy statement"):
        policies.fill("Allow group ${group} to x", {"group": value})


def test_comments_and_lists() -> None:
    text = "# none\n\nA ${one} ${many} # why\nB ${gone}\n"
    assert policies.fill(text, {"one": "1", "many": ["x", "y"], "gone": None}) == ["A 1 x", "A 1 y"]
