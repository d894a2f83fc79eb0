"""One AI function on OCI Functions: the application, the function, who may call it, and what it may read."""
