"""The whole, in the order in which things need each other."""

import pulumi

from .access import grant
from .function import make_application, make_function
from .gateway import make_gateway
from .settings import Settings
from .smoke import call


def deploy(settings: Settings) -> None:
    """Make everything, and export what callers need."""
    application = make_application(settings)
    function = make_function(settings, application)
    access = grant(settings, application, function)
    pulumi.export("application_id", application.id)
    pulumi.export("function_id", function.id)
    pulumi.export("invoke_endpoint", function.invoke_endpoint)
    pulumi.export("policy_statements", access.statements)
    if settings.gateway:
        pulumi.export("gateway_endpoint", make_gateway(settings, settings.gateway, function))
    if settings.smoke:
        pulumi.export("smoke_reply", call(settings, settings.smoke, function, [access.policy]))
