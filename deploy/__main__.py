"""What `pulumi up` runs."""

import pulumi

from ai_function.program import deploy
from ai_function.settings import Settings

deploy(Settings.of_stack(pulumi.Config()))
