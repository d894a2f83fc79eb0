# One function as one image: docker build --build-arg FUNCTION=hello -t hello .
# It works with the classic builder and with BuildKit, and `fn build` and `fn deploy` run it as it is.

# The two bases must come from the same release, or the binary may ask for a newer libc than the runtime has.
ARG BUILDER=rust:1.95-slim-bookworm
# A function links libc, libm and libgcc_s and needs nothing else; debian:bookworm-slim works as well, with a shell.
ARG RUNTIME=gcr.io/distroless/cc-debian12


# The workspace twice: as it is, and as manifests with empty sources.
FROM ${BUILDER} AS source
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY fdk fdk
COPY cargo-fdk cargo-fdk
COPY examples examples
COPY tests tests
RUN set -e; mkdir /manifests; \
    find . -name Cargo.toml -o -name Cargo.lock | xargs cp --parents -t /manifests; \
    cargo metadata --offline --no-deps --format-version 1 >/tmp/members.json; \
    grep -o '"src_path":"/src/[^"]*"' /tmp/members.json | cut -d'"' -f4 | cut -d/ -f3- | while read -r target; do \
        mkdir -p "/manifests/${target%/*}"; \
        echo '#![allow(warnings)] fn main() {}' >"/manifests/$target"; \
    done


# The dependencies alone. A COPY from a stage is cached by content, so that only an edited manifest builds them anew.
# A function that links the inference room has a model, and needs the tool that fetches it; for another it is not
# built.
FROM ${BUILDER} AS deps
WORKDIR /src
# candle picks its kernels when it is compiled. x86-64-v3 (AVX2, FMA) is a Haswell of 2013 or later; for older hosts say
# x86-64, on arm64 generic.
ARG TARGET_CPU=x86-64-v3
ENV RUSTFLAGS="-C target-cpu=${TARGET_CPU}"
ARG FUNCTION=embed
COPY --from=source /manifests ./
# The empty crates must go: cargo compares times, and the sources that come next are older than they.
RUN set -e; cargo build --release --locked -p "${FUNCTION}"; \
    if ls target/release/deps/libfdk_inference-* >/dev/null 2>&1; then \
        cargo build --release --locked -p cargo-fdk; \
    fi; \
    cargo clean --release --locked --offline --workspace


FROM deps AS build
ARG FUNCTION=embed
COPY --from=source /src ./
RUN set -e; cargo build --release --locked --offline -p "${FUNCTION}"; \
    install -D "target/release/${FUNCTION}" /out/func; mkdir /out/tools; \
    if ls target/release/deps/libfdk_inference-* >/dev/null 2>&1; then \
        cargo build --release --locked --offline -p cargo-fdk; \
        install target/release/cargo-fdk /out/tools/; \
    fi


# The function's model, from model-assets/ of the context or else from its source, and verified in both cases. What else
# model-assets/ holds stays out of the image. A stage of its own: it runs again when the tool, func.yaml or
# model-assets/ changes, not at every edit.
FROM ${BUILDER} AS assets
WORKDIR /src
ARG FUNCTION=embed
COPY --from=build /out/tools /tools
COPY examples/${FUNCTION}/Cargo.toml examples/${FUNCTION}/func.yaml examples/${FUNCTION}/
COPY model-assets model-assets
# Readable by any user: a file downloaded by root may be root's alone.
RUN set -e; mkdir /model-assets; \
    if [ -e /tools/cargo-fdk ]; then \
        cp model-assets/models.toml /model-assets/; \
        model=$(awk '$1 == "FDK_MODEL:" { gsub(/["\047]/, "", $2); print $2 }' "examples/${FUNCTION}/func.yaml"); \
        if [ -d "model-assets/${model:-none}" ]; then cp -r "model-assets/${model}" /model-assets/; fi; \
        /tools/cargo-fdk assets fetch --for "examples/${FUNCTION}" --dir /model-assets; \
        rm -f /model-assets/*/.lock; \
    fi; \
    chmod -R a+rX /model-assets


FROM ${RUNTIME}
ARG FUNCTION=embed
LABEL org.opencontainers.image.title="${FUNCTION}" \
      org.opencontainers.image.description="A function for Fn and OCI Functions, built with the Rust FDK" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /function
COPY --from=assets /model-assets model-assets/
COPY --from=build /out/func func
# The user that the platform sets; no VOLUME, which it refuses.
USER 1000:1000
ENTRYPOINT ["/function/func"]
