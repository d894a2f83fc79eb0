"""Names of OCI resources. One of the wrong kind is the commonest slip, and the services answer it with 404."""

import re
from typing import Annotated

from pydantic import AfterValidator

_FORM = re.compile(r"ocid1\.([a-z0-9]+)\.[a-z0-9]+\.[a-z0-9-]*\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?")


def _of(*kinds: str) -> AfterValidator:
    wanted = " or ".join(f"ocid1.{kind}.…" for kind in kinds)

    def check(text: str) -> str:
        found = _FORM.fullmatch(text)
        if not found:
            raise ValueError(f"{text!r} is no OCID: {wanted} is wanted")
        if found[1] not in kinds:
            raise ValueError(f"{text!r} is the OCID of a {found[1]}: {wanted} is wanted")
        return text

    return AfterValidator(check)


ApmDomain = Annotated[str, _of("apmdomain")]
# The tenancy is the root compartment.
Compartment = Annotated[str, _of("compartment", "tenancy")]
Secret = Annotated[str, _of("vaultsecret")]
SecurityGroup = Annotated[str, _of("networksecuritygroup")]
Subnet = Annotated[str, _of("subnet")]
Tenancy = Annotated[str, _of("tenancy")]
