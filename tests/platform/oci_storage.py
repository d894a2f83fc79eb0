"""Reads and writes objects and secrets with Oracle's own SDK: oci_storage.py URL CONFIG_FILE FUNCTION. Prints one JSON object."""

import base64
import json
import sys

import oci
from oci._vendor import requests

url, config_file, function = sys.argv[1:]
config = oci.config.from_file(config_file)
plain = {"service_endpoint": url, "retry_strategy": oci.retry.NoneRetryStrategy()}
objects = oci.object_storage.ObjectStorageClient(config, **plain)
secrets = oci.secrets.SecretsClient(config, **plain)
namespace = objects.get_namespace().data
said = {"namespace": namespace}


def refused(call, *args, **kwargs):
    """What the service answers to a call that must not succeed."""
    try:
        call(*args, **kwargs)
    except oci.exceptions.ServiceError as error:
        return [error.status, error.code]
    return "it succeeded"


# The SDK leaves the body of a put out of its signature.
here = (namespace, "models")
name = "a/b c.txt"
put = objects.put_object(*here, name, b"0123456789")
head = objects.head_object(*here, name)
said["head"] = [head.status, head.headers["content-length"], head.headers["etag"] == put.headers["etag"]]
said["whole"] = objects.get_object(*here, name).data.content.decode()
part = objects.get_object(*here, name, range="bytes=2-5")
said["part"] = [part.status, part.data.content.decode(), part.headers["content-range"]]
said["end"] = objects.get_object(*here, name, range="bytes=-2").data.content.decode()
said["beyond"] = refused(objects.get_object, *here, name, range="bytes=10-")
objects.put_object(*here, "other", b"")
listed = objects.list_objects(*here, fields="name,size").data.objects
said["listed"] = [[item.name, item.size] for item in listed]
said["beneath"] = [item.name for item in objects.list_objects(*here, prefix="a/").data.objects]
again = objects.put_object(*here, name, b"other", if_match=put.headers["etag"])
said["again"] = [objects.get_object(*here, name).data.content.decode(), again.headers["etag"] != put.headers["etag"]]
said["stale"] = refused(objects.put_object, *here, name, b"x", if_match=put.headers["etag"])[0]

# A put whose body is signed, and one whose body is another than was signed.
signer = oci.signer.Signer(
    tenancy=config["tenancy"], user=config["user"], fingerprint=config["fingerprint"],
    private_key_file_location=config["key_file"],
)  # fmt: skip


def signed_put(sent=None):
    address = f"{url}/n/{namespace}/b/models/o/signed"
    request = requests.Request("PUT", address, data=b"signed", headers={"content-type": "text/plain"})
    request = signer(request.prepare())
    request.body = sent or request.body
    return requests.Session().send(request, timeout=20).status_code


said["signed"] = [signed_put(), signed_put(b"forged"), objects.get_object(*here, "signed").data.content.decode()]
said["deleted"] = objects.delete_object(*here, "other").status
said["gone"] = refused(objects.get_object, *here, "other")

# No statement is for this bucket.
there = (namespace, "private")
said["refused"] = [
    refused(objects.get_object, *there, "x"),
    refused(objects.put_object, *there, "x", b"mine"),
    refused(objects.list_objects, *there),
    refused(objects.delete_object, *there, "x"),
]
said["head_refused"] = refused(objects.head_object, *there, "x")[0]

content = lambda bundle: base64.b64decode(bundle.data.secret_bundle_content.content).decode()
prefix = "ocid1.vaultsecret.local.lcl."
said["secret"] = content(secrets.get_secret_bundle(prefix + "password"))
said["by_name"] = content(secrets.get_secret_bundle_by_name("password", "ocid1.vault.local..any"))
said["secret_refused"] = [
    refused(secrets.get_secret_bundle, prefix + "other"),
    refused(secrets.get_secret_bundle_by_name, "other", "ocid1.vault.local..any"),
]

# Nor is one for functions.
manage = oci.functions.FunctionsManagementClient(config, **plain)
caller = oci.functions.FunctionsInvokeClient(config, **plain)
said["no_function"] = [
    refused(caller.invoke_function, function, invoke_function_body='{"name": "you"}'),
    refused(manage.get_function, function),
    refused(manage.delete_function, function),
]
print(json.dumps(said))
