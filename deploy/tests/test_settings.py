"""What is refused, and how it is said."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from stack import ROOT, SMALLEST, WHOLE

from ai_function.settings import Settings


def refusal(changes: dict[str, Any]) -> str:
    values: dict[str, Any] = json.loads(json.dumps(WHOLE))
    for path, value in changes.items():
        *above, last = path.split(".")
        place = values
        for key in above:
            place = place[key]
        place[last] = value
    with pytest.raises(pulumi.RunError) as refused:
        Settings.parse(values, prefix="ai-function:")
    return str(refused.value)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("tenancy", "my-tenancy", "tenancy: 'my-tenancy' is no OCID: ocid1.tenancy.… is wanted"),
        (
            "compartment",
            "ocid1.vcn.oc1..x",
            "compartment: 'ocid1.vcn.oc1..x' is the OCID of a vcn: ocid1.compartment.… or ocid1.tenancy.… is wanted",
        ),
        ("application.subnets", [], "application.subnets: List should have at least 1 item after validation, not 0"),
        (
            "application.shape",
            "BIG",
            "application.shape: Input should be 'GENERIC_X86', 'GENERIC_ARM' or 'GENERIC_X86_ARM'",
        ),
        ("application.subnet", "x", "application.subnet: Extra inputs are not permitted"),
        ("function.memory", 300, "function: memory 300: OCI Functions has 128, 256, 512, 1024, 2048, 3072 MB"),
        (
            "function.memory",
            64,
            "function: memory 64: OCI Functions has 128, 256, 512, 1024, 2048, 3072 MB\n"
            "ai-function:function: memory 64: minilm has 88 MB of files and needs 120 MB or more",
        ),
        (
            "function.timeout",
            301,
            "function: timeout 301: a call may take 5 to 300 s; for longer work there is detached_timeout",
        ),
        (
            "function.timeout",
            6,
            "function: timeout 6: a first call of embed with minilm may take 7 s (a cold container reads its model), "
            "and ends with 504 before that",
        ),
        ("function.detached_timeout", 60, "function: detached_timeout 60: it is from the timeout, 120, to 3600 s"),
        ("function.provisioned_concurrency", -1, "function: provisioned_concurrency -1: it is 0 for none, or more"),
        (
            "function.image",
            "embed:0.0.1",
            "function.image: an image is REGION.ocir.io/NAMESPACE/REPOSITORY:TAG, in the function's own region",
        ),
        (
            "function.image",
            "fra.ocir.io/space/embed:latest",
            "function.image: the tag latest says nothing: name the version, so that a deployment can be told from another",
        ),
        (
            "access.bucket.name",
            "a b",
            "access.bucket.name: String should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]{0,98}$'",
        ),
        (
            "access.secrets.ids",
            ["ocid1.vault.oc1..x"],
            "access.secrets.ids.0: 'ocid1.vault.oc1..x' is the OCID of a vault: ocid1.vaultsecret.… is wanted",
        ),
        ("gateway.jwt.keys", "http://x", "gateway.jwt.keys: it begins with https://"),
        ("gateway.jwt.issuers", [], "gateway.jwt.issuers: List should have at least 1 item after validation, not 0"),
        ("smoke.schema", {}, "smoke.schema: Dictionary should have at least 1 item after validation, not 0"),
    ],
)
def test_bad_values_are_refused(path: str, value: object, told: str) -> None:
    assert refusal({path: value}) == f"ai-function:{told}"


def test_everything_wrong_is_told_at_once() -> None:
    told = refusal({"tenancy": "x", "application.name": "a b"})
    assert len(told.splitlines()) == 2


def test_a_folder_without_func_yaml(tmp_path: Path) -> None:
    assert f"function: folder: {tmp_path}/func.yaml: " in refusal({"function.folder": str(tmp_path)})


def test_func_yaml_speaks_for_the_function(tmp_path: Path) -> None:
    oci = {"provisioned_concurrency": {"strategy": "CONSTANT", "count": 40}, "detached_mode": {"timeout": 600}}
    found = {"name": "f", "memory": 512, "timeout": 60, "config": {"N": 6, "ON": True}, "deploy": {"oci": oci}}
    (tmp_path / "func.yaml").write_text(yaml.safe_dump(found))
    settings = Settings.parse(SMALLEST | {"function": SMALLEST["function"] | {"folder": str(tmp_path)}})
    yaml_of = settings.func_yaml
    assert (yaml_of.memory, yaml_of.timeout, yaml_of.detached_timeout) == (512, 60, 600)
    assert yaml_of.provisioned_concurrency == 40
    assert yaml_of.config == {"N": "6", "ON": "true"}


def test_the_example_stack_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "deploy")
    stack = yaml.safe_load((ROOT / "deploy/Pulumi.example.yaml").read_text())["config"]
    given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in stack.items()}
    pulumi.runtime.set_all_config(given)
    settings = Settings.of_stack(pulumi.Config("ai-function"))
    assert settings.func_yaml.name == "serve"
    assert settings.smoke is not None


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in ROOT.glob("examples/*/func.yaml")))
def test_every_example_can_be_deployed(folder: str) -> None:
    function = SMALLEST["function"] | {"folder": str(ROOT / "examples" / folder)}
    assert Settings.parse(SMALLEST | {"function": function}).func_yaml.name == folder
