"""What transformers makes of conversations by chat templates: `apply_chat_template` ends in the function that is called here.

    chat_templates.py --out ../golden/chat_templates.json

The templates are small ones that do what those of Llama 3.2, Qwen 2.5 and 3, Gemma 3 and SmolLM3 do. A case has the text, or what
`raise_exception` says of the messages, or that the template itself fails. The clock stands still.
"""

import argparse
import datetime
import json
from pathlib import Path

import jinja2
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2026, 12, 1, 9, 8, 7)
BEGIN, END = "<|begin|>", "<|end|>"

TEMPLATES = {
    "llama 3.2": r"""{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set told = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set told = "" %}
{%- endif %}
{{- "<|head|>system\n\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\n" }}
{%- endif %}
{{- "Today: " + date_string + "\n\n" + told + eos_token }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|head|>' + message['role'] + '\n\n' + message['content'] | trim + eos_token }}
    {%- elif 'tool_calls' in message %}
        {{- raise_exception("no tools") }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant\n\n' }}
{%- endif %}
""",
    "qwen 2.5": r"""{%- if tools %}
    {{- '<|start|>system\n# Tools\n' }}
    {%- for tool in tools %}
        {{- tool | tojson }}
    {%- endfor %}
{%- elif messages[0]['role'] != 'system' %}
    {{- '<|start|>system\nYou help.<|end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system") or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|start|>' + message.role + '\n' + message.content + '<|end|>' + '\n' }}
    {%- elif loop.last or (messages[loop.index0 + 1].role != "tool") %}
        {{- '!' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant\n' }}
{%- endif %}
""",
    "qwen 3": r"""{%- set ns = namespace(looks=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.looks and message.role == "user" and message.content is string and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.looks = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<|start|>assistant\n<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content }}
        {%- else %}
            {{- '<|start|>assistant\n' + content }}
        {%- endif %}
        {{- '<|end|>\n' }}
    {%- else %}
        {{- '<|start|>' + message.role + '\n' + content + '<|end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
""",
    "gemma 3": r"""{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first = messages[0]['content'] + '\n\n' -%}
    {%- else -%}
        {%- set first = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Roles must take turns: user, assistant, user …") }}
    {%- endif -%}
    {%- set role = "model" if (message['role'] == 'assistant') else message['role'] -%}
    {{ '<turn>' + role + '\n' + (first if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {{ '?' }}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '</turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<turn>model
'}}
{%- endif -%}
""",
    "smollm 3": r"""{# defaults #}
{%- if enable_thinking is not defined -%}
{%- set enable_thinking = true -%}
{%- endif -%}
{%- set mode = "/think" if enable_thinking else "/no_think" -%}
{{- "<|start|>system\n" -}}
{%- if messages[0].role == "system" -%}
  {%- set told = messages[0].content -%}
  {%- if "/no_think" in told -%}
    {%- set mode = "/no_think" -%}
  {%- endif -%}
  {%- set own = told.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{%- if "/override" in told -%}
  {{- own.replace("/override", "").rstrip() -}}
{%- else -%}
  {%- set today = strftime_now("%d %B %Y") -%}
  {{- "Today: " ~ today ~ "\n" -}}
  {{- "Mode: " + mode + "\n\n" -}}
  {%- if own -%}
    {{- own + "\n\n" -}}
  {%- endif -%}
  {%- if xml_tools or python_tools or tools -%}
    {{- "### Tools\n\n" -}}
  {%- endif -%}
{%- endif -%}
{{- "<|end|>\n" -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{ "<|start|>" + message.role + "\n" + content + "<|end|>\n" }}
    {%- elif message.role == "assistant" -%}
        {% generation %}
        {%- if mode == "/think" -%}
            {{ "<|start|>assistant\n" + content.lstrip("\n") + "<|end|>\n" }}
        {%- else -%}
            {{ "<|start|>assistant\n<think>\n\n</think>\n" + content.lstrip("\n") + "<|end|>\n" }}
        {%- endif -%}
        {% endgeneration %}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ "<|start|>assistant\n" }}
{%- endif -%}
""",
    "none": r"""{{ tools }} {{ documents }} {{ tools is none }} {{ documents is defined }} {{ tools is sameas(documents) }}
{%- for document in documents or [] %}{{ document.text }}{% endfor %}
{% if documents is not none and documents|length > 0 %}{{ messages[9].content + 1 }}{% endif %}
""",
    "json": r"""{% for message in messages %}
{{ message.content | tojson }} {{ [message.role, 1, 2.5, true, none, {}, []] | tojson }} {{ {"a": [message.content]} | tojson(indent=2) }}
{{ message.content | tojson(ensure_ascii=false) }}
{% endfor %}
""",
    "time": r"""{{ strftime_now("%Y-%m-%dT%H:%M:%S %A %-d %b %y %j %p %I %%") }}""",
    "fails late": r"""{% for message in messages %}
{% if message.role == 'assistant' %}{{ undefined_function(message.content) }}{% else %}{{ message.content }}{% endif %}
{% endfor %}
""",
    "adds what is not there": r"""{% for message in messages %}
{% if message.role == 'assistant' %}{{ message.content + message.name }}{% else %}{{ message.content }}{% endif %}
{% endfor %}
""",
    "refuses in a macro": r"""{% macro check(message) %}
{% if message.role == 'system' %}{{ raise_exception('no ' ~ message.role ~ ' here') }}{% endif %}
{{ message.content }}{% endmacro %}
{% for message in messages %}{{ check(message) }}{% endfor %}
""",
}

say = lambda role, content: {"role": role, "content": content}
CONVERSATIONS = [
    [say("user", " What is 1 < 2 & 'x'? \n")],
    [say("system", "Be brief. /no_think "), say("user", "Größe 東京 🙂 \\ \"quoted\" \t\u0001\u007f")],
    [
        say("user", "one"), say("assistant", "<think>\nhm\n</think>\n\nEins."), say("user", "<tool>two</tool>"),
        say("assistant", "\nZwei."), say("user", "three"),
    ],
    [say("system", "/override Only this."), say("user", "a"), say("assistant", "</think>b")],
    [say("user", "a"), say("user", "b")],
    [say("assistant", "I begin.")],
]  # fmt: skip


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--out", type=Path, required=True)
    arguments = arguments.parse_args()
    chat_template_utils.datetime = Clock
    golden = []
    for name, template in TEMPLATES.items():
        cases = []
        for messages in CONVERSATIONS:
            try:
                texts, _ = chat_template_utils.render_jinja_template(
                    [messages], chat_template=template, add_generation_prompt=True, bos_token=BEGIN, eos_token=END
                )
                cases.append({"messages": messages, "text": texts[0]})
            except jinja2.TemplateError as error:
                # What raise_exception raises is of this class, what else goes wrong of one of those below it.
                ours = type(error) is jinja2.TemplateError
                cases.append({"messages": messages, "refused": str(error)} if ours else {"messages": messages, "fails": True})
        golden.append({"name": name, "template": template, "cases": cases})
    golden = {"now": NOW.isoformat() + "Z", "begin": BEGIN, "end": END, "templates": golden}
    arguments.out.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", "utf-8")


main()
