"""Manages and calls functions with Oracle's own command line: oci_cli.py URL CONFIG_FILE COMPARTMENT. Prints one JSON object."""

import json
import os
import subprocess
import sys

url, config_file, compartment = sys.argv[1:]
oci = os.path.join(os.path.dirname(sys.executable), "oci")


def run(*arguments):
    command = [oci, "--config-file", config_file, "--endpoint", url, "fn", *arguments]
    environment = {**os.environ, "OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING": "True", "HOME": os.path.dirname(config_file)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def data(*arguments):
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


said = {}
app = data(
    "application", "create", "--compartment-id", compartment, "--display-name", "cli",
    "--subnet-ids", '["ocid1.subnet.oc1..s"]',
)  # fmt: skip
function = data(
    "function", "create", "container-function", "--application-id", app["id"], "--display-name", "greet",
    "--image", "hello:0.0.1", "--memory-in-mbs", "128",
)  # fmt: skip
said["created"] = [app["display-name"], function["display-name"], function["memory-in-mbs"]]
invoked = run(
    "function", "invoke", "--function-id", function["id"], "--fn-intent", "httprequest",
    "--fn-invoke-type", "sync", "--file", "-", "--body", '{"name": "CLI"}',
)  # fmt: skip
said["invoked"] = invoked.stdout.strip() or invoked.stderr
said["listed"] = [item["display-name"] for item in data("function", "list", "--application-id", app["id"])]
data_less = run("function", "delete", "--function-id", function["id"], "--force")
said["deleted"] = [data_less.returncode, data_less.stderr]
gone = run("function", "get", "--function-id", function["id"])
said["gone"] = [gone.returncode, "NotAuthorizedOrNotFound" in gone.stderr]
print(json.dumps(said))
