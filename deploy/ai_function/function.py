"""The application and the function in it."""

from pulumi_oci import functions, logging

from .settings import Settings


def make_application(settings: Settings) -> functions.Application:
    """Make the application, with its log."""
    wanted = settings.application
    traces = functions.ApplicationTraceConfigArgs(
        is_enabled=wanted.traces is not None, domain_id=wanted.traces.domain if wanted.traces else None
    )
    application = functions.Application(
        wanted.name,
        compartment_id=settings.compartment,
        display_name=wanted.name,
        subnet_ids=wanted.subnets,
        network_security_group_ids=wanted.network_security_groups,
        shape=wanted.shape,
        config=wanted.config,
        trace_config=traces,
    )
    if wanted.logs:
        _log(settings, application)
    return application


def _log(settings: Settings, application: functions.Application) -> None:
    name = settings.application.name
    group = logging.LogGroup(f"{name}-logs", compartment_id=settings.compartment, display_name=f"{name}-functions")
    logging.Log(
        f"{name}-invocations",
        display_name=f"{name}-invocations",
        log_group_id=group.id,
        log_type="SERVICE",
        is_enabled=True,
        retention_duration=settings.application.log_days,
        configuration=logging.LogConfigurationArgs(
            compartment_id=settings.compartment,
            source=logging.LogConfigurationSourceArgs(
                source_type="OCISERVICE", service="functions", category="invoke", resource=application.id
            ),
        ),
    )


def make_function(settings: Settings, application: functions.Application) -> functions.Function:
    """Make the function."""
    yaml = settings.func_yaml
    count = yaml.provisioned_concurrency
    strategy = "CONSTANT" if count else "NONE"
    return functions.Function(
        yaml.name,
        application_id=application.id,
        display_name=yaml.name,
        source_details=functions.FunctionSourceDetailsArgs(
            source_type="CONTAINER_IMAGE", image=settings.function.image, image_digest=settings.function.image_digest
        ),
        # A text, in this one place.
        memory_in_mbs=str(yaml.memory),
        timeout_in_seconds=yaml.timeout,
        detached_mode_timeout_in_seconds=yaml.detached_timeout,
        config=yaml.config,
        provisioned_concurrency_config=functions.FunctionProvisionedConcurrencyConfigArgs(
            strategy=strategy, count=count or None
        ),
        trace_config=functions.FunctionTraceConfigArgs(is_enabled=settings.application.traces is not None),
    )
