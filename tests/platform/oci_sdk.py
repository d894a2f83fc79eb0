"""Manages and calls functions with Oracle's own SDK: oci_sdk.py URL CONFIG_FILE COMPARTMENT. Prints one JSON object."""

import json
import sys
import time
from email.utils import formatdate

import oci
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from oci._vendor import requests

url, config_file, compartment = sys.argv[1:]
config = oci.config.from_file(config_file)
functions = oci.functions
models = functions.models
plain = {"service_endpoint": url, "retry_strategy": oci.retry.NoneRetryStrategy()}
manage = functions.FunctionsManagementClient(config, **plain)
caller = functions.FunctionsInvokeClient(config, **plain)
said = {}


def refused(call, *args, **kwargs):
    """What the service answers to a call that must not succeed."""
    try:
        call(*args, **kwargs)
    except oci.exceptions.ServiceError as error:
        return [error.status, error.code]
    return "it succeeded"


def details(name, image="probe:0.0.1", memory=128, **more):
    source = models.CreateContainerImageFunctionSourceDetails(image=image)
    return models.CreateFunctionDetails(
        display_name=name, application_id=app.id, source_details=source, memory_in_mbs=memory, **more
    )


# The user's own document: an application, a function in it, a call of that.
app = manage.create_application(
    models.CreateApplicationDetails(
        compartment_id=compartment, display_name="my-application", subnet_ids=["ocid1.subnet.oc1..s"],
        freeform_tags={"team": "ai"}, config={"A": "1"},
    )
).data  # fmt: skip
said["app"] = [app.display_name, app.lifecycle_state, app.subnet_ids, app.freeform_tags, app.config]
again = models.CreateApplicationDetails(
    compartment_id=compartment, display_name="my-application", subnet_ids=["ocid1.subnet.oc1..s"]
)
said["twice"] = refused(manage.create_application, again)
function = manage.create_function(details("my-function")).data
said["function"] = [function.display_name, function.memory_in_mbs, function.source_details.image, function.timeout_in_seconds]
said["endpoint"] = function.invoke_endpoint
invoke = caller.invoke_function(
    function.id, fn_invoke_type="sync", fn_intent="httprequest", invoke_function_body="{}"
)
said["document"] = [invoke.status, json.loads(invoke.data.content)]
body = {"echo": True}
reply = caller.invoke_function(function.id, invoke_function_body=json.dumps(body), opc_request_id="mine")
said["invoke"] = [reply.status, json.loads(reply.data.content)["echo"], reply.headers["opc-request-id"].split("/")[0]]
# The same with a body that is data for an AI service.
embed = manage.create_function(details("embed", image="embed:0.0.1", memory=256, config={"FDK_MODEL": "minilm"})).data
sentences = json.dumps({"inputs": ["a cat", "a kitten"]})
reply = caller.invoke_function(embed.id, fn_invoke_type="sync", fn_intent="httprequest", invoke_function_body=sentences)
said["embed"] = [len(vector) for vector in json.loads(reply.data.content)["embeddings"]]
manage.delete_function(embed.id)
said["detached"] = caller.invoke_function(function.id, fn_invoke_type="detached", invoke_function_body="{}").status
said["dry"] = [caller.invoke_function(function.id, is_dry_run=True, invoke_function_body="{}").status]
said["intent"] = refused(caller.invoke_function, function.id, fn_intent="carrierpigeon", invoke_function_body="{}")
said["large"] = refused(caller.invoke_function, function.id, invoke_function_body="x" * (6 * 1024 * 1024 + 1))
said["fault"] = refused(caller.invoke_function, function.id, invoke_function_body='{"error": "no"}')

# What there is, in pages.
for name in ["other-a", "other-b"]:
    manage.create_function(details(name, config={"KEY": name}))
pages, page = [], None
while True:
    listed = manage.list_functions(app.id, limit=1, **({"page": page} if page else {}))
    pages += [item.display_name for item in listed.data]
    page = listed.headers.get("opc-next-page")
    if not page:
        break
said["pages"] = pages
said["all"] = [item.display_name for item in oci.pagination.list_call_get_all_results(manage.list_functions, app.id).data]
said["apps"] = [item.display_name for item in manage.list_applications(compartment, display_name="my-application").data]
said["limit"] = refused(manage.list_functions, app.id, limit=1000)

# Changes, guarded by etags.
got_app = manage.get_application(app.id)
said["got_app"] = [got_app.data.display_name, got_app.data.config]
change = models.UpdateApplicationDetails(config={"B": "2"})
said["stale_app"] = refused(manage.update_application, app.id, change, if_match="another")
manage.update_application(app.id, change, if_match=got_app.headers["etag"])
changed_app = manage.get_application(app.id)
said["updated_app"] = [changed_app.data.config, changed_app.headers["etag"] != got_app.headers["etag"]]
got = manage.get_function(function.id)
change = models.UpdateFunctionDetails(memory_in_mbs=256, config={"GREETING": "Hi"})
said["stale"] = refused(manage.update_function, function.id, change, if_match="another")
done = manage.update_function(function.id, change, if_match=got.headers["etag"])
requests_of = functions.WorkRequestManagementClient(config, **plain)
work = requests_of.get_work_request(done.headers["opc-work-request-id"]).data
updated = manage.get_function(function.id)
said["work"] = [work.operation_type, work.status, work.resources[0].identifier == function.id]
said["updated"] = [updated.data.memory_in_mbs, updated.data.config, updated.headers["etag"] != got.headers["etag"]]
said["memory"] = refused(manage.update_function, function.id, models.UpdateFunctionDetails(memory_in_mbs=100))
missing = manage.create_function(details("missing", image="phx.ocir.io/ns/none:1")).data
said["image"] = refused(caller.invoke_function, missing.id, invoke_function_body="{}")
said["full"] = refused(manage.delete_application, app.id)
said["unknown"] = refused(manage.get_function, function.id + "x")

# Callers who are not who they say, or say it too late.
stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = stranger.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
other = {key: value for key, value in config.items() if key != "key_file"}
other["key_content"] = pem.decode()
wrong = functions.FunctionsInvokeClient(other, **plain)
said["wrong_key"] = refused(wrong.invoke_function, function.id, invoke_function_body="{}")
nobody = functions.FunctionsInvokeClient({**config, "user": "ocid1.user.local..nobody"}, **plain)
said["wrong_user"] = refused(nobody.invoke_function, function.id, invoke_function_body="{}")
signer = oci.signer.Signer(
    tenancy=config["tenancy"], user=config["user"], fingerprint=config["fingerprint"],
    private_key_file_location=config["key_file"],
)  # fmt: skip
address = f"{url}/20181201/functions/{function.id}/actions/invoke"


def raw(change=None, **headers):
    request = requests.Request("POST", address, data=b'{"status": 200}', headers={"content-type": "application/json", **headers})
    request = signer(request.prepare())
    if change:
        change(request)
    return requests.Session().send(request, timeout=20).status_code


def other_body(request):
    request.body = b'{"status": 201}'


def later(request):
    request.headers["date"] = formatdate(time.time() + 1, usegmt=True)


at = lambda seconds: formatdate(time.time() + seconds, usegmt=True)
said["raw"] = raw()
said["inside"] = [raw(date=at(-280)), raw(date=at(280))]
said["outside"] = [raw(date=at(-310)), raw(date=at(310))]
said["changed"] = [raw(other_body), raw(later)]
said["unsigned"] = requests.post(address, data=b"{}", timeout=20).status_code

# A session of the same user.
session = oci.config.from_file(config_file, "SESSION")
key = oci.signer.load_private_key_from_file(session["key_file"])
token = open(session["security_token_file"]).read()
session = functions.FunctionsInvokeClient(
    session, signer=oci.auth.signers.SecurityTokenSigner(token, key), **plain
)
said["session"] = json.loads(session.invoke_function(function.id, invoke_function_body="{}").data.content)

# And away with it.
for item in manage.list_functions(app.id).data:
    manage.delete_function(item.id)
said["gone"] = refused(caller.invoke_function, function.id, invoke_function_body="{}")
said["stale_delete"] = refused(manage.delete_application, app.id, if_match="another")
manage.delete_application(app.id)
said["left"] = [item.display_name for item in manage.list_applications(compartment).data]
print(json.dumps(said))
