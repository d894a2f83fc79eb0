"""A stack that is right, and what Pulumi is told to make of a stack."""

from pathlib import Path
from typing import Any
from unittest import mock

import pulumi
from pulumi.runtime import mocks, test

from ai_function.program import deploy
from ai_function.settings import Settings

ROOT = Path(__file__).parents[2]
TENANCY = "ocid1.tenancy.oc1..home"
COMPARTMENT = "ocid1.compartment.oc1..functions"
SUBNET = "ocid1.subnet.oc1.eu-frankfurt-1.one"
FUNCTION = "ocid1.fnfunc.oc1..made"
APPLICATION = "ocid1.fnapp.oc1..made"

SMALLEST: dict[str, Any] = {
    "tenancy": TENANCY,
    "compartment": COMPARTMENT,
    "application": {"name": "ai", "subnets": [SUBNET]},
    "function": {"folder": str(ROOT / "examples/serve"), "image": "fra.ocir.io/space/ai/serve:0.0.1"},
}
WHOLE: dict[str, Any] = SMALLEST | {
    "application": {
        "name": "ai",
        "subnets": [SUBNET],
        "shape": "GENERIC_ARM",
        "config": {"FDK_LOG": "info"},
        "traces": {"domain": "ocid1.apmdomain.oc1.eu-frankfurt-1.one"},
    },
    "function": SMALLEST["function"]
    | {
        "memory": 512,
        "timeout": 120,
        "detached_timeout": 900,
        "provisioned_concurrency": 20,
        "config": {"FDK_LOG": "debug"},
    },
    "access": {
        "invokers": "everyone-here",
        "bucket": {"name": "models", "compartment": "ocid1.compartment.oc1..data"},
        "secrets": {"ids": ["ocid1.vaultsecret.oc1..a", "ocid1.vaultsecret.oc1..b"]},
    },
    "gateway": {
        "subnet": SUBNET,
        "jwt": {"issuers": ["https://idcs.example"], "audiences": ["ai"], "keys": "https://idcs.example/jwk"},
    },
    "smoke": {
        "request": {"inputs": ["are you there"]},
        "schema": {"type": "object", "required": ["embeddings"]},
    },
}


class Cloud(mocks.Mocks):
    """What would be made, by type; ids and outputs as OCI gives them."""

    def __init__(self, reply: str = '{"embeddings": [[0.1]]}') -> None:
        self.reply = reply
        self.made: list[tuple[str, str, dict[str, Any]]] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.made.append((args.typ, args.name, args.inputs))
        given = {
            "oci:Functions/application:Application": (APPLICATION, {}),
            "oci:Functions/function:Function": (
                FUNCTION,
                {"invokeEndpoint": "https://x.functions.oci.oraclecloud.com"},
            ),
            "oci:Functions/invokeFunction:InvokeFunction": ("call", {"content": self.reply}),
            "oci:ApiGateway/deployment:Deployment": ("deployment", {"endpoint": "https://gateway.example/"}),
        }
        identity, outputs = given.get(args.typ, (f"{args.name}-id", {}))
        return identity, args.inputs | outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program asks for {args.token}")

    def only(self, kind: str) -> dict[str, Any]:
        """The inputs of the one resource of this type."""
        (found,) = self.all(kind)
        return found

    def all(self, kind: str) -> list[dict[str, Any]]:
        """The inputs of each resource of this type."""
        return [inputs for typ, _, inputs in self.made if typ.endswith(f":{kind}")]


def run(values: dict[str, Any], cloud: Cloud | None = None) -> tuple[Cloud, dict[str, Any]]:
    """What a stack makes, and its outputs."""
    cloud = cloud or Cloud()
    mocks.set_mocks(cloud)
    outputs: dict[str, Any] = {}
    exported: dict[str, Any] = {}

    def program() -> pulumi.Output[None]:
        with mock.patch.object(pulumi, "export", exported.__setitem__):
            deploy(Settings.parse(values))
        return pulumi.Output.all(**exported).apply(outputs.update)

    test(program)()  # type: ignore[no-untyped-call]
    return cloud, outputs
