"""What a stack says, checked before anything is made; a refusal names every wrong value and its remedy."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pulumi
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from .func_yaml import FuncYaml
from .model import Model
from .ocid import ApmDomain, Compartment, Secret, SecurityGroup, Subnet, Tenancy

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,98}$")]
"""A name that stands in a policy statement as one word."""

MEMORY = (128, 256, 512, 1024, 2048, 3072)
"""What OCI Functions offers, in MB."""


class _Part(BaseModel):
    """A slip in a key is an error, not a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Traces(_Part):
    """Spans of each call, sent to a domain of Application Performance Monitoring."""

    domain: ApmDomain
    compartment: Compartment | None = None


class Application(_Part):
    """What functions of one application share."""

    name: Name
    subnets: Annotated[list[Subnet], Field(min_length=1)]
    network_security_groups: list[SecurityGroup] = []
    shape: Literal["GENERIC_X86", "GENERIC_ARM", "GENERIC_X86_ARM"] = "GENERIC_X86"
    config: dict[str, str] = {}
    logs: bool = True
    log_days: Annotated[int, Field(ge=30, le=180, multiple_of=30)] = 30
    traces: Traces | None = None


def _registry_image(image: str) -> str:
    path, _, tag = image.rpartition(":")
    host, *rest = path.split("/")
    if not host.endswith(".ocir.io") or len(rest) < 2 or not all(rest):  # noqa: PLR2004
        raise ValueError("an image is REGION.ocir.io/NAMESPACE/REPOSITORY:TAG, in the function's own region")
    if tag == "latest":
        raise ValueError("the tag latest says nothing: name the version, so that a deployment can be told from another")
    return image


class Function(_Part):
    """One function. What its func.yaml says holds unless it is said here."""

    folder: Path
    image: Annotated[str, AfterValidator(_registry_image)]
    image_digest: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")] | None = None
    memory: int | None = None
    timeout: int | None = None
    detached_timeout: int | None = None
    provisioned_concurrency: int | None = None
    config: dict[str, str] = {}

    @property
    def repository(self) -> str:
        """The repository's name within the registry's namespace."""
        return self.image.rpartition(":")[0].split("/", 2)[2]


class Bucket(_Part):
    """Where the function reads its model."""

    name: Name
    compartment: Compartment | None = None


class Secrets(_Part):
    """What the function may read of the vault."""

    ids: Annotated[list[Secret], Field(min_length=1)]
    compartment: Compartment | None = None


class Access(_Part):
    """Groups that exist; one that is not named is made."""

    invokers: Name | None = None
    deployers: Name | None = None
    bucket: Bucket | None = None
    secrets: Secrets | None = None


def _https(url: str) -> str:
    if not url.startswith("https://"):
        raise ValueError("it begins with https://")
    return url


class Jwt(_Part):
    """Whose tokens the gateway takes. OpenAI's clients send their API key as a bearer token: the token goes there."""

    issuers: Annotated[list[str], Field(min_length=1)]
    audiences: Annotated[list[str], Field(min_length=1)]
    keys: Annotated[str, AfterValidator(_https)]


class Gateway(_Part):
    """HTTP for callers that have no OCI key: the triggers of func.yaml become its routes."""

    subnet: Subnet
    jwt: Jwt
    public: bool = True
    requests_per_second: Annotated[int, Field(ge=1)] = 10


class Smoke(_Part):
    """A call after each deployment, and the JSON Schema that its reply must satisfy."""

    request: Any
    schema_: Annotated[dict[str, Any], Field(alias="schema", min_length=1)]


class Settings(_Part):
    """All of a stack."""

    tenancy: Tenancy
    compartment: Compartment
    application: Application
    function: Function
    access: Access = Access()
    gateway: Gateway | None = None
    smoke: Smoke | None = None

    @classmethod
    def of_stack(cls, config: pulumi.Config) -> Self:
        """Read a stack's configuration. An error of it ends the program with a message and without a traceback."""
        found = {key: _value(text) for key in cls.model_fields if (text := config.get(key)) is not None}
        return cls.parse(found, prefix=f"{config.name}:")

    @classmethod
    def parse(cls, values: dict[str, object], *, prefix: str = "") -> Self:
        """Check values."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            told = [
                f"{prefix}{_place(fault['loc'])}: {line}"
                for fault in error.errors()
                for line in fault["msg"].removeprefix("Value error, ").splitlines()
            ]
            raise pulumi.RunError("\n".join(told)) from None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        yaml = self.func_yaml
        memory, timeout = yaml.memory, yaml.timeout
        faults = [] if memory in MEMORY else [f"memory {memory}: OCI Functions has {', '.join(map(str, MEMORY))} MB"]
        if not 5 <= timeout <= 300:  # noqa: PLR2004
            faults.append(f"timeout {timeout}: a call may take 5 to 300 s; for longer work there is detached_timeout")
        detached = yaml.detached_timeout
        if detached is not None and not timeout <= detached <= 3600:  # noqa: PLR2004
            faults.append(f"detached_timeout {detached}: it is from the timeout, {timeout}, to 3600 s")
        if yaml.provisioned_concurrency < 0:
            faults.append(f"provisioned_concurrency {yaml.provisioned_concurrency}: it is 0 for none, or more")
        if yaml.model and (model := Model.read(self.function.folder, yaml.model)):
            faults += model.misfits(memory, timeout)
        if faults:
            raise ValueError("\n".join(faults))
        return self

    @property
    def func_yaml(self) -> FuncYaml:
        """The function's func.yaml with what the stack says otherwise."""
        said = self.function.model_dump(include={"memory", "timeout", "detached_timeout", "provisioned_concurrency"})
        found = FuncYaml.read(self.function.folder)
        changed = {key: value for key, value in said.items() if value is not None}
        return found.model_copy(update={**changed, "config": found.config | self.function.config})


def _value(text: str) -> object:
    """Read a value of a stack: Pulumi hands an object over as JSON, and anything else as it stands."""
    return json.loads(text) if text.startswith(("{", "[")) else text


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in parts) or "function"
