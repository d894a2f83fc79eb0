"""Signs requests with Oracle's own SDK and sends them to a server: sdk.py URL CONFIG_FILE.

As the user of the configuration, and as the resource principal of the environment. Prints each request's status.
"""

import sys
import time
from email.utils import formatdate

import oci
from oci._vendor import requests

url, config_file = sys.argv[1:]
config = oci.config.from_file(config_file)
user = oci.signer.Signer(
    tenancy=config["tenancy"],
    user=config["user"],
    fingerprint=config["fingerprint"],
    private_key_file_location=config["key_file"],
)
principal = oci.auth.signers.get_resource_principals_signer()
body = b'{"text": "caf\xc3\xa9"}'
json = {"content-type": "application/json"}


def send(name, method, path, auth, **more):
    reply = requests.request(method, url + path, auth=auth, timeout=20, **more)
    print(name, method, path, reply.status_code)


for name, auth in [("user", user), ("principal", principal)]:
    send(name, "GET", "/n/ns/b/bucket/o/a%2Fb?x=1&y=%20z", auth)
    send(name, "HEAD", "/n/ns", auth)
    send(name, "DELETE", "/n/ns/b/bucket", auth)
    send(name, "POST", "/20181201/functions/f/actions/invoke", auth, data=body, headers=json)
    send(name, "POST", "/20181201/functions/f/actions/invoke", auth, data=b"", headers=json)
    send(name, "PUT", "/20181201/functions/f", auth, data=body, headers=json)


class Spoilt:
    """A signer whose request is changed after it was signed."""

    def __init__(self, change):
        self.change = change

    def __call__(self, request):
        request = user(request)
        self.change(request)
        return request


def other_body(request):
    request.body = request.body.replace(b"text", b"test")


def other_path(request):
    request.url = request.url.replace("invoke", "delete")


def other_host(request):
    request.headers["host"] = "functions.example.com"


def later(request):
    request.headers["date"] = formatdate(time.time() + 1, usegmt=True)


for name, change in [("body", other_body), ("path", other_path), ("host", other_host), ("date", later)]:
    send("spoilt-" + name, "POST", "/actions/invoke", Spoilt(change), data=body, headers=json)

old = {"date": formatdate(time.time() - 400, usegmt=True)}
send("stale", "GET", "/n/ns", user, headers=old)
