"""What `fn deploy` and the laptop read of a function is what is deployed: its func.yaml."""

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ValidationError, field_validator


class Trigger(BaseModel):
    """A path that leads to the function."""

    source: str


class FuncYaml(BaseModel):
    """The part that matters here; the Fn CLI ignores keys it does not know, and so do we."""

    name: str
    memory: int = 128
    timeout: int = 30
    config: dict[str, str] = {}
    triggers: list[Trigger] = []
    # `deploy.oci` in the file.
    detached_timeout: int | None = None
    provisioned_concurrency: int = 0

    @field_validator("config", mode="before")
    @classmethod
    def _texts(cls, config: dict[str, object] | None) -> dict[str, str]:
        """Take any scalar for a text, as the Fn CLI does."""
        return {
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in (config or {}).items()
        }

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a function folder."""
        path = folder / "func.yaml"
        try:
            found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ValueError(f"folder: {path}: {error}") from None
        oci = (found.get("deploy") or {}).get("oci") or {}
        detached = (oci.get("detached_mode") or {}).get("timeout")
        provisioned = (oci.get("provisioned_concurrency") or {}).get("count") or 0
        try:
            return cls.model_validate(found | {"detached_timeout": detached, "provisioned_concurrency": provisioned})
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise ValueError(f"folder: {path}: {told}") from None

    @property
    def model(self) -> str | None:
        """The model it serves: `FDK_MODEL` of its configuration."""
        return self.config.get("FDK_MODEL") or None
