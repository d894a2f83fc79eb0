"""The echo of the Python FDK: every byte back, with the content type it came with."""

from fdk import response


def handler(ctx, data=None):
    content_type = ctx.Headers().get("content-type", "application/octet-stream")
    return response.Response(ctx, response_data=data.getvalue(), headers={"Content-Type": content_type})
