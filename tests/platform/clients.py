"""Asks a served model as people's own clients do: clients.py openai|oci|openai-chat|oci-chat|oci-rerank BASE_URL [KEY_FILE].
Prints one JSON object."""

import json
import sys

which, url, *more = sys.argv[1:]


def with_openai():
    import openai

    client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
    said = {"models": [model.id for model in client.models.list()]}
    model = said["models"][0]
    # The library asks for base64 and decodes it.
    reply = client.embeddings.create(model=model, input=["a cat", "a kitten", "a bond"])
    said["vectors"] = [item.embedding for item in reply.data]
    said["tokens"] = reply.usage.total_tokens
    short = client.embeddings.create(model=model, input="a cat", dimensions=8, encoding_format="float")
    said["short"] = len(short.data[0].embedding)
    try:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    except openai.NotFoundError as error:
        said["unknown"] = [error.code, error.message]
    try:
        client.embeddings.create(model=model, input="word " * 400)
    except openai.BadRequestError as error:
        said["long"] = [error.param, error.message]
    return said


def openai_chat():
    import openai

    client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
    model = "SmolLM2-135M-Instruct"
    ask = {"model": model, "messages": [{"role": "user", "content": "Name a colour."}], "max_tokens": 3}
    reply = client.chat.completions.create(**ask)
    said = {"model": reply.model, "text": reply.choices[0].message.content, "reason": reply.choices[0].finish_reason}
    said["tokens"] = [reply.usage.completion_tokens, reply.usage.prompt_tokens_details.cached_tokens]
    events = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    said["streamed"] = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
    said["streamed_tokens"] = events[-1].usage.completion_tokens
    said["streamed_ids"] = len({(event.id, event.created) for event in events})
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"]}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    reply = client.chat.completions.create(**ask | {"max_tokens": 30}, response_format=form)
    said["json"] = json.loads(reply.choices[0].message.content)
    reply = client.chat.completions.create(**ask | {"max_tokens": 12}, response_format={"type": "json_object"})
    said["object"] = isinstance(json.loads(reply.choices[0].message.content), dict)
    said["completed"] = client.completions.create(model=model, prompt="a b c d e f g h", max_tokens=3).choices[0].text
    try:
        client.chat.completions.create(**ask, logit_bias={"1": 1})
    except openai.BadRequestError as error:
        said["refused"] = [error.param, error.message]
    return said


def oci_client():
    import oci

    config = {
        "user": "ocid1.user.oc1..u", "tenancy": "ocid1.tenancy.oc1..t", "region": "us-chicago-1",
        "fingerprint": "00:" * 15 + "00", "key_file": more[0],
    }  # fmt: skip
    inference = oci.generative_ai_inference
    client = inference.GenerativeAiInferenceClient(
        config, service_endpoint=url, retry_strategy=oci.retry.NoneRetryStrategy()
    )
    return client, inference.models, oci.exceptions.ServiceError


def oci_chat():
    client, models, failure = oci_client()
    details = lambda request: models.ChatDetails(
        chat_request=request,
        compartment_id="ocid1.compartment.oc1..c",
        serving_mode=models.OnDemandServingMode(model_id="smollm2"),
    )
    content = [models.TextContent(text="Name a colour.")]
    message = models.UserMessage(content=content)
    generic = lambda **more: models.GenericChatRequest(messages=[message], max_tokens=3, **more)
    reply = client.chat(details(generic())).data
    choice = reply.chat_response.choices[0]
    said = {"model": reply.model_id, "text": choice.message.content[0].text, "reason": choice.finish_reason}
    cohere = models.CohereChatRequest(message="Name a colour.", max_tokens=3)
    said["cohere"] = client.chat(details(cohere)).data.chat_response.text
    events = [json.loads(event.data) for event in client.chat(details(generic(is_stream=True))).data.events()]
    said["streamed"] = "".join(event["message"]["content"][0]["text"] for event in events if "message" in event)
    said["streamed_reason"] = events[-1]["finishReason"]
    try:
        client.chat(details(generic(frequency_penalty=1.0)))
    except failure as error:
        said["refused"] = [error.status, error.code, error.message]
    return said


def with_oci():
    client, models, failure = oci_client()
    details = lambda truncate, texts: models.EmbedTextDetails(
        inputs=texts,
        truncate=truncate,
        compartment_id="ocid1.compartment.oc1..c",
        serving_mode=models.OnDemandServingMode(model_id="minilm"),
    )
    said = {"vectors": client.embed_text(details("END", ["a cat", "a kitten", "a bond"])).data.embeddings}
    try:
        client.embed_text(details("NONE", ["word " * 400]))
    except failure as error:
        said["long"] = [error.status, error.code, error.message]
    return said


def oci_rerank():
    client, models, failure = oci_client()
    details = lambda documents, **more: models.RerankTextDetails(
        input="How hot is boiling water?",
        documents=documents,
        compartment_id="ocid1.compartment.oc1..c",
        serving_mode=models.OnDemandServingMode(model_id="minilm"),
        **more,
    )
    documents = ["Bread is baked in an oven.", "Water boils at 100 degrees.", "Ice is frozen water."]
    reply = client.rerank_text(details(documents, top_n=2, is_echo=True)).data
    said = {"model": reply.model_id, "version": reply.model_version, "documents": documents}
    said["ranks"] = [[rank.index, rank.relevance_score, rank.document.text] for rank in reply.document_ranks]
    plain = client.rerank_text(details(documents)).data.document_ranks
    said["plain"] = [[rank.index, rank.document] for rank in plain]
    try:
        client.rerank_text(details(["short", "long " * 60_000]))
    except failure as error:
        said["long"] = [error.status, error.code, error.message]
    return said


asks = {
    "openai": with_openai, "oci": with_oci, "openai-chat": openai_chat, "oci-chat": oci_chat, "oci-rerank": oci_rerank,
}  # fmt: skip
print(json.dumps(asks[which]()))
